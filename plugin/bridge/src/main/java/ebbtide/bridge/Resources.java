package ebbtide.bridge;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What GoCD asks once, when it loads the plugin: answered from the JAR, since one failure there makes the plugin invalid
 * until GoCD is restarted. The files are those that the service serves.
 */
final class Resources {
    private static final String ICON = "icon.svg";

    private final Map<String, String> answers = Map.of(
            Message.PREFIX + "get-capabilities", read("capabilities.json"),
            Message.PREFIX + "get-icon", icon(),
            Message.PREFIX + "get-cluster-profile-metadata", read("cluster-profile-metadata.json"),
            Message.PREFIX + "get-cluster-profile-view", view("cluster-profile-view.html"),
            Message.PREFIX + "get-elastic-agent-profile-metadata", read("elastic-agent-profile-metadata.json"),
            Message.PREFIX + "get-elastic-agent-profile-view", view("elastic-agent-profile-view.html"),
            // Asked of every plugin; elastic agents of version 5.0 have no such settings.
            "go.plugin-settings.get-configuration", "{}");

    /** The body of the answer; empty if the request is none of these. */
    Optional<String> answer(String requestName, String body) {
        if (requestName.equals(Message.PREFIX + "migrate-config")) {
            // GoCD puts the answer in place of its profiles, so it gets back what it has.
            return Optional.of(body == null ? "{}" : body);
        }
        return Optional.ofNullable(answers.get(requestName));
    }

    private static String icon() {
        var icon = new LinkedHashMap<String, Object>();
        icon.put("content_type", "image/svg+xml");
        icon.put("data", Base64.getEncoder().encodeToString(read(ICON).getBytes(StandardCharsets.UTF_8)));
        return Json.write(icon);
    }

    private static String view(String file) {
        return Json.write(Map.of("template", read(file)));
    }

    private static String read(String file) {
        try (var in = Resources.class.getResourceAsStream("/ebbtide/" + file)) {
            if (in == null) {
                throw new IllegalStateException("the JAR lacks " + file);
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException unreadable) {
            throw new UncheckedIOException("the JAR is damaged: " + file, unreadable);
        }
    }
}
