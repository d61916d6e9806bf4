package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.NullSource;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    @ParameterizedTest
    @ValueSource(strings = {
        "{\"a\":1,\"b\":[true,false,null],\"c\":{\"d\":\"x\"}}", "[]", "{}", "\"\"", "-12.5", "true", "4321",
        "\"quote \\\" backslash \\\\ umlaut ü {{ }}\""
    })
    void whatWasReadIsWrittenTheSame(String text) throws Json.Malformed {
        assertEquals(text, Json.write(Json.parse(text)));
    }

    @Test
    void escapesAreUnderstood() throws Json.Malformed {
        assertEquals("a/b\n\t\u00e9\ud83d\ude00\"", Json.parse(" \"a\\/b\\n\\t\\u00e9\\ud83d\\uDE00\\\"\" "));
        assertEquals("\"line\\u000aend\"", Json.write("line\nend"));
    }

    @ParameterizedTest
    @NullSource
    @ValueSource(strings = {
        "", "{", "[1", "{\"a\"}", "{\"a\":}", "{a:1}", "[1,]", "tru", "\"open", "\"bad \\x\"", "\"\\u12g4\"", "1 2",
        "\"bare\nbreak\"", "--1", "<html>"
    })
    void whatIsNoJsonIsRefused(String text) {
        assertThrows(Json.Malformed.class, () -> Json.parse(text));
    }

    @Test
    void deepNestingIsRefusedInsteadOfOverflowing() {
        assertThrows(Json.Malformed.class, () -> Json.parse("[".repeat(100_000)));
    }

    @Test
    void complaintsNeverRepeatTheText() {
        var complaint = assertThrows(Json.Malformed.class, () -> Json.parse("{\"key\":hunter2}"));
        assertFalse(complaint.getMessage().contains("hunter2"));
    }

    @Test
    void onlyTextsAreTexts() throws Json.Malformed {
        var object = Json.parse("{\"a\":\"x\",\"b\":1}");
        assertEquals("x", Json.text(object, "a"));
        assertNull(Json.text(object, "b"));
        assertNull(Json.text(object, "c"));
        assertNull(Json.text(Json.parse("[]"), "a"));
    }
}
