package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.GoApplicationAccessor;
import com.thoughtworks.go.plugin.api.GoPluginIdentifier;
import com.thoughtworks.go.plugin.api.logging.Logger;
import com.thoughtworks.go.plugin.api.request.DefaultGoApiRequest;
import com.thoughtworks.go.plugin.api.response.GoApiResponse;
import java.util.List;
import java.util.Optional;

/** The GoCD server that the plugin runs in, as the processor requests see it. Any thread. */
final class Gocd {
    static final GoPluginIdentifier IDENTIFIER = new GoPluginIdentifier("elastic-agent", List.of("5.0"));
    static final String ADD_MESSAGES = "go.processor.server-health.add-messages";
    static final String CONSOLE = "go.processor.console-log.append";
    static final String SERVER_INFO = "go.processor.server-info.get";

    // What the service has business with; GoCD offers more.
    private static final List<String> ALLOWED = List.of(ADD_MESSAGES, CONSOLE, SERVER_INFO,
            "go.processor.elastic-agents.list-agents", "go.processor.elastic-agents.disable-agents",
            "go.processor.elastic-agents.delete-agents");
    private static final Logger LOG = Logger.getLoggerFor(Gocd.class);

    record Reply(int code, String body) {}

    private final GoApplicationAccessor accessor;

    Gocd(GoApplicationAccessor accessor) {
        this.accessor = accessor;
    }

    /** GoCD throws when it can't process a request; that is an answer too. */
    Reply submit(String api, String version, String body) {
        if (!ALLOWED.contains(api)) {
            return new Reply(403, "the bridge does not pass " + api + " on");
        }
        var request = new DefaultGoApiRequest(api, version, IDENTIFIER);
        request.setRequestBody(body);
        GoApiResponse response;
        try {
            response = accessor.submit(request);
        } catch (RuntimeException | Error refused) { // of GoCD's, so our threads go on
            LOG.debug("GoCD could not process " + api + ": " + refused.getClass().getName());
            return new Reply(500, "GoCD could not process it: " + refused.getMessage());
        }
        if (response == null) {
            return new Reply(500, "GoCD gave no answer");
        }
        var text = response.responseBody();
        return new Reply(response.responseCode(), text == null ? "" : text);
    }

    /** The id by which the service tells GoCD servers apart; empty while GoCD doesn't say. */
    Optional<String> serverId() {
        var reply = submit(SERVER_INFO, "1.0", null);
        if (reply.code() != 200) {
            return Optional.empty();
        }
        try {
            var id = Json.text(Json.parse(reply.body()), "server_id");
            return Optional.ofNullable(id).filter(text -> !text.isBlank()).map(Gocd::asHeader);
        } catch (Json.Malformed bad) {
            return Optional.empty();
        }
    }

    // What the service accepts in a header and in labels.
    private static String asHeader(String id) {
        var safe = id.strip().replaceAll("[^A-Za-z0-9._-]", "_");
        return safe.substring(0, Math.min(safe.length(), 100));
    }
}
