package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The bridge and a real {@code ebbtide serve}; needs no engine. */
class RealServiceTest {
    private static final String BAD_PING = "{\"all_cluster_profile_properties\":[{\"docker_uri\":\"nonsense\"}]}";

    @TempDir
    Path folder;

    private final FakeGocd gocd = new FakeGocd();
    private EbbtideProcess service;
    private Bridge bridge;

    @BeforeEach
    void setUp() throws Exception {
        service = EbbtideProcess.start(folder);
        bridge = new Bridge(gocd, Samples.settings(folder, Map.of("url", service.url(), "token_file", "token")));
        Files.writeString(folder.resolve("token"), EbbtideProcess.TOKEN);
        bridge.start();
        Wait.until("the service's health list", () -> gocd.health().equals("[]") && gocd.calls(Gocd.ADD_MESSAGES) > 1);
    }

    @AfterEach
    void tearDown() throws Exception {
        if (bridge != null) {
            bridge.close();
            service.kill(); // in order, it would wait for our idle connections
        }
    }

    private String send(Message message) {
        var answer = bridge.handle(message, "5.0", Samples.body(message));
        assertEquals(200, answer.code(), answer.body());
        return answer.body();
    }

    private boolean hasHeardOf(String message) {
        try {
            return service.get("/metrics").lines().anyMatch(line -> line.contains('"' + message + '"')
                    && !line.endsWith(" 0"));
        } catch (IOException away) {
            return false;
        }
    }

    @Test
    void everyMessageIsUnderstood() throws Exception {
        assertEquals("false", send(Message.SHOULD_ASSIGN_WORK));
        assertEquals("", send(Message.CREATE_AGENT));
        assertEquals("", send(Message.SERVER_PING));
        assertEquals("", send(Message.CLUSTER_PROFILE_CHANGED));
        assertEquals("[]", send(Message.VALIDATE_ELASTIC_AGENT_PROFILE));
        assertEquals("", send(Message.JOB_COMPLETION));
        for (var report : List.of(Message.CLUSTER_STATUS_REPORT, Message.AGENT_STATUS_REPORT,
                Message.PLUGIN_STATUS_REPORT)) {
            var view = Json.text(Json.parse(send(report)), "view");
            assertFalse(view.contains("be reached at " + service.url()), view);
        }
        Wait.until("the completion", () -> hasHeardOf("job-completion"));
    }

    @Test
    void validationNamesFieldAndRemedy() throws Exception {
        var errors = (List<?>) Json.parse(send(Message.VALIDATE_CLUSTER_PROFILE));
        assertEquals("docker_client_key", Json.text(errors.get(0), "key"));
        assertTrue(Json.text(errors.get(0), "message").contains("PEM"), errors.toString());
    }

    @Test
    void whatHappensToAJobIsSaidOnItsConsole() throws Exception {
        send(Message.CREATE_AGENT);
        Wait.until("lines on the console", () -> !gocd.console("unit").isEmpty());
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "get-capabilities", "get-icon", "get-cluster-profile-metadata", "get-cluster-profile-view",
        "get-elastic-agent-profile-metadata", "get-elastic-agent-profile-view", "migrate-config"
    })
    void theJarAnswersAsTheServiceWould(String name) throws Exception {
        var body = "{\"plugin_settings\":{},\"cluster_profiles\":[],\"elastic_agent_profiles\":[]}";
        assertEquals(Json.parse(service.post(Message.PREFIX + name, body)),
                Json.parse(new Resources().answer(Message.PREFIX + name, body).orElseThrow()));
    }

    @Test
    void aCrashIsSaidAndTakenBackAndNoCompletionIsLost() throws Exception {
        service.kill();
        assertEquals("false", send(Message.SHOULD_ASSIGN_WORK));
        assertEquals("", send(Message.JOB_COMPLETION));
        Wait.until("the error", () -> gocd.health().contains("Ebbtide can't be reached at " + service.url()));
        service.start();
        Wait.until("no error", () -> gocd.health().equals("[]"));
        Wait.until("the completion", () -> hasHeardOf("job-completion"));
    }

    @Test
    void whatAFormerProcessToldIsTakenBackByTheNext() throws Exception {
        bridge.handle(Message.SERVER_PING, "5.0", BAD_PING);
        Wait.until("the service's complaint", () -> gocd.health().contains("\"type\""));
        service.kill();
        service.start();
        Wait.until("an empty list", () -> gocd.health().equals("[]"));
    }

    @Test
    void aWrongTokenIsNamedAndTheRightOneTakenWithoutARestart() throws Exception {
        Files.writeString(folder.resolve("token"), "another");
        Wait.until("the error", () -> gocd.health().contains("refuses the token"));
        assertTrue(send(Message.VALIDATE_CLUSTER_PROFILE).contains("refuses the token"));
        Files.writeString(folder.resolve("token"), EbbtideProcess.TOKEN);
        Wait.until("no error", () -> gocd.health().equals("[]"));
    }
}
