package ebbtide.bridge;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The little of JSON that the bridge must understand itself; all else passes through as text. Objects are Maps in their
 * order, arrays Lists, numbers BigDecimals.
 */
final class Json {
    private static final int MAX_DEPTH = 100;

    static final class Malformed extends Exception {
        private static final long serialVersionUID = 1;

        Malformed(String what) {
            super(what);
        }
    }

    private final String text;
    private int at;

    private Json(String text) {
        this.text = text;
    }

    /** A message without a body is null, and no JSON. */
    static Object parse(String text) throws Malformed {
        var reader = new Json(text == null ? "" : text);
        var value = reader.value(0);
        if (reader.peek() != 0) {
            throw reader.malformed("something follows the value");
        }
        return value;
    }

    /** The member of an object, if there is one and it is a text; else null. */
    static String text(Object object, String member) {
        return object instanceof Map<?, ?> map && map.get(member) instanceof String found ? found : null;
    }

    static String write(Object value) {
        var out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    private static void write(Object value, StringBuilder out) {
        if (value instanceof String string) {
            quote(string, out);
        } else if (value instanceof Map<?, ?> map) {
            var separator = "{";
            for (var entry : map.entrySet()) {
                out.append(separator);
                quote((String) entry.getKey(), out);
                write(entry.getValue(), out.append(':'));
                separator = ",";
            }
            out.append(map.isEmpty() ? "{}" : "}");
        } else if (value instanceof List<?> list) {
            var separator = "[";
            for (var each : list) {
                write(each, out.append(separator));
                separator = ",";
            }
            out.append(list.isEmpty() ? "[]" : "]");
        } else {
            out.append(value); // a number, a boolean or null
        }
    }

    private static void quote(String string, StringBuilder out) {
        out.append('"');
        for (int i = 0; i < string.length(); i++) {
            char c = string.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    private Object value(int depth) throws Malformed {
        if (depth > MAX_DEPTH) {
            throw malformed("it is nested too deep");
        }
        return switch (peek()) {
            case '{' -> object(depth);
            case '[' -> array(depth);
            case '"' -> string();
            case 't' -> word("true", true);
            case 'f' -> word("false", false);
            case 'n' -> word("null", null);
            default -> number();
        };
    }

    private Map<String, Object> object(int depth) throws Malformed {
        var members = new LinkedHashMap<String, Object>();
        at++;
        if (peek() == '}') {
            at++;
            return members;
        }
        do {
            if (peek() != '"') {
                throw malformed("a member's name is missing");
            }
            var name = string();
            expect(':');
            members.put(name, value(depth + 1));
        } while (goesOn('}'));
        return members;
    }

    private List<Object> array(int depth) throws Malformed {
        var values = new ArrayList<>();
        at++;
        if (peek() == ']') {
            at++;
            return values;
        }
        do {
            values.add(value(depth + 1));
        } while (goesOn(']'));
        return values;
    }

    /** After an element: true at a comma, false at the end. */
    private boolean goesOn(char end) throws Malformed {
        if (peek() == ',') {
            at++;
            return true;
        }
        expect(end);
        return false;
    }

    private String string() throws Malformed {
        var out = new StringBuilder();
        at++;
        while (true) {
            char c = next();
            if (c == '"') {
                return out.toString();
            }
            if (c < ' ') {
                throw malformed("a bare control character is in a text");
            }
            out.append(c == '\\' ? escaped() : c);
        }
    }

    private char escaped() throws Malformed {
        char c = next();
        return switch (c) {
            case '"', '\\', '/' -> c;
            case 'b' -> '\b';
            case 'f' -> '\f';
            case 'n' -> '\n';
            case 'r' -> '\r';
            case 't' -> '\t';
            case 'u' -> codeUnit();
            default -> throw malformed("an escape is unknown");
        };
    }

    private char codeUnit() throws Malformed {
        int unit = 0;
        for (int i = 0; i < 4; i++) {
            int digit = Character.digit(next(), 16);
            if (digit < 0) {
                throw malformed("an escape is broken");
            }
            unit = unit * 16 + digit;
        }
        return (char) unit;
    }

    private Object word(String word, Object meaning) throws Malformed {
        if (!text.startsWith(word, at)) {
            throw malformed("a value is unknown");
        }
        at += word.length();
        return meaning;
    }

    private BigDecimal number() throws Malformed {
        int start = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        try {
            return new BigDecimal(text.substring(start, at));
        } catch (NumberFormatException bad) {
            throw malformed("a value is missing or unknown");
        }
    }

    private void expect(char wanted) throws Malformed {
        if (peek() != wanted) {
            throw malformed("'" + wanted + "' is missing");
        }
        at++;
    }

    /** The next character that is not white space, without taking it; 0 at the end. */
    private char peek() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
            at++;
        }
        return at < text.length() ? text.charAt(at) : 0;
    }

    private char next() throws Malformed {
        if (at >= text.length()) {
            throw malformed("it ends too early");
        }
        return text.charAt(at++);
    }

    // Never quotes the text: it may hold a secret.
    private Malformed malformed(String what) {
        return new Malformed(what + ", at character " + at);
    }
}
