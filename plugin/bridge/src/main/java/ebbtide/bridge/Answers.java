package ebbtide.bridge;

import java.util.List;
import java.util.Map;

/** What GoCD is told in the service's place. */
final class Answers {
    private Answers() {}

    /** An error at a field: an exception would make GoCD save a cluster profile unchecked. */
    static String fieldError(String key, String message) {
        return Json.write(List.of(Map.of("key", key, "message", message)));
    }

    /** A report that says why there is none. GoCD puts it into its page unescaped, where AngularJS evaluates braces. */
    static String errorView(String message) {
        return Json.write(Map.of("view", "<div ng-non-bindable><h3>Ebbtide has no report</h3><p>" + escaped(message)
                + "</p></div>"));
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\"", "&quot;")
                .replace("'", "&#39;").replaceAll("\\{(?=\\{)", "{ ").replaceAll("\\}(?=\\})", "} ");
    }

    static boolean isList(String body) {
        try {
            return Json.parse(body) instanceof List<?>;
        } catch (Json.Malformed bad) {
            return false;
        }
    }

    static boolean isView(String body) {
        try {
            var view = Json.text(Json.parse(body), "view");
            return view != null && !view.isBlank();
        } catch (Json.Malformed bad) {
            return false;
        }
    }
}
