package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.thoughtworks.go.plugin.api.GoPlugin;
import com.thoughtworks.go.plugin.api.info.PluginContext;
import com.thoughtworks.go.plugin.api.request.DefaultGoPluginApiRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * One job's life from GoCD's side: the JAR in a class loader like GoCD's, a real service, a real engine. The image is
 * that of tests/support/images.sh.
 */
@Tag("engine")
class WholeJobIT {
    private static final String SCRIPT = """
            docker network create net; docker volume create cache; \
            docker run -d --network net -v cache:/data ebbtide-test/busybox:1 sleep 1000; \
            echo job done; sleep 1000""";

    @TempDir
    Path folder;

    private final FakeGocd gocd = new FakeGocd();
    private final Map<String, Object> job = Map.of("pipeline_name", "build", "pipeline_label", "17",
            "pipeline_counter", 17, "stage_name", "test", "stage_counter", "1", "job_name", "unit", "job_id", 900);
    private Map<String, Object> cluster;
    private Map<String, Object> profile;
    private EbbtideProcess service;
    private PluginJar jar;
    private GoPlugin plugin;

    @BeforeEach
    void setUp() throws Exception {
        var engine = System.getenv("DOCKER_HOST");
        Assumptions.assumeTrue(engine != null, "DOCKER_HOST is not set: it names the engine to test with");
        cluster = Map.of("go_server_url", "https://gocd.example.com/go", "docker_uri", engine,
                "max_docker_containers", "5", "auto_register_timeout", "10");
        profile = Map.of("Image", "ebbtide-test/agent:1", "Command", "sh\n-c\n" + SCRIPT);
        service = EbbtideProcess.start(folder);
        Files.writeString(folder.resolve("token"), EbbtideProcess.TOKEN);
        System.setProperty("ebbtide.url", service.url());
        System.setProperty("ebbtide.token_file", folder.resolve("token").toString());
        System.setProperty("ebbtide.queue_file", folder.resolve("completions").toString());
        jar = new PluginJar();
        plugin = jar.plugin();
        plugin.initializeGoApplicationAccessor(gocd);
    }

    @AfterEach
    void tearDown() throws Exception {
        for (var name : List.of("ebbtide.url", "ebbtide.token_file", "ebbtide.queue_file")) {
            System.clearProperty(name);
        }
        if (plugin != null) {
            plugin.getClass().getMethod("unload", PluginContext.class)
                    .invoke(plugin, (Object) null);
            jar.close();
        }
        if (service != null) {
            service.close();
            removeWhatIsLeft();
        }
    }

    // After a failure; otherwise there is nothing.
    private void removeWhatIsLeft() throws InterruptedException {
        try {
            var label = "label=ebbtide.server=" + service.serverId;
            for (var id : EbbtideProcess.docker("ps", "-aq", "--filter", label).lines().toList()) {
                EbbtideProcess.docker("rm", "-fv", id);
            }
            for (var kind : List.of("network", "volume")) {
                for (var id : EbbtideProcess.docker(kind, "ls", "-q", "--filter", label).lines().toList()) {
                    EbbtideProcess.docker(kind, "rm", id);
                }
            }
        } catch (IOException stuck) {
            System.err.println(stuck.getMessage());
        }
    }

    /** A message about the job, with these members besides. */
    private String send(String name, Map<String, Object> members) throws Exception {
        var body = new LinkedHashMap<>(members);
        body.putIfAbsent("job_identifier", job);
        body.put("elastic_agent_profile_properties", profile);
        body.put("cluster_profile_properties", cluster);
        return sendText(name, Json.write(body));
    }

    private String sendText(String name, String body) throws Exception {
        var request = new DefaultGoPluginApiRequest("elastic-agent", "5.0", Message.PREFIX + name);
        request.setRequestBody(body);
        var answer = plugin.handle(request);
        assertEquals(200, answer.responseCode(), answer.responseBody());
        return answer.responseBody();
    }

    private static Map<String, Object> idle(String agent) {
        return Map.of("agent_id", agent, "agent_state", "Idle", "build_state", "Idle", "config_state", "Enabled");
    }

    private String agentInState(String state) {
        try {
            for (var agent : (List<?>) Json.parse(service.get("/api/v1/agents"))) {
                if (state.equals(Json.text(agent, "state"))) {
                    return Json.text(agent, "id");
                }
            }
            return null;
        } catch (IOException | Json.Malformed notYet) {
            return null;
        }
    }

    private boolean jobIsDone(String agent) {
        try {
            return EbbtideProcess.docker("logs", agent).contains("job done");
        } catch (IOException | InterruptedException notYet) {
            return false;
        }
    }

    private boolean nothingIsLeft() {
        try {
            return service.left().isEmpty();
        } catch (IOException | InterruptedException failed) {
            throw new AssertionError(failed);
        }
    }

    @Test
    void fromCreateAgentToAnEmptyEngine() throws Exception {
        assertEquals("[]", sendText("validate-cluster-profile", Json.write(cluster)));
        assertEquals("", send("create-agent", Map.of("auto_register_key", "key")));
        Wait.until("the agent", () -> agentInState("registering") != null);
        var agent = agentInState("registering");
        gocd.register(agent);

        assertEquals("true", send("should-assign-work", Map.of("agent", idle(agent))));
        var other = new LinkedHashMap<>(job);
        other.put("job_id", 901);
        assertEquals("false", send("should-assign-work", Map.of("agent", idle(agent), "job_identifier", other)));
        gocd.setState(agent, "Building");
        Wait.until("the job's work", () -> jobIsDone(agent));
        assertTrue(service.left().size() >= 4, "agent, container, network, volume: " + service.left());

        sendText("server-ping", Json.write(Map.of("all_cluster_profile_properties", List.of(cluster))));
        Wait.until("a listing of agents", () -> gocd.calls("go.processor.elastic-agents.list-agents") > 0);
        assertTrue(send("agent-status-report", Map.of("elastic_agent_id", agent)).contains(agent));
        assertTrue(send("cluster-status-report", Map.of()).contains(agent));

        gocd.setState(agent, "Idle");
        assertEquals("", send("job-completion", Map.of("elastic_agent_id", agent)));
        Wait.until("the agent's end in GoCD", () -> !gocd.knows(agent));
        Wait.until("an empty engine", this::nothingIsLeft);
        Wait.until("the last word on the console", () -> gocd.console("unit").contains("is gone"));

        assertTrue(gocd.console("unit").contains("accepted"), gocd.console("unit"));
        assertTrue(gocd.calls("go.processor.elastic-agents.disable-agents") > 0);
        assertTrue(gocd.calls("go.processor.elastic-agents.delete-agents") > 0);
        assertTrue(gocd.calls(Gocd.SERVER_INFO) > 0);
        assertTrue(gocd.calls(Gocd.ADD_MESSAGES) > 0);
        assertFalse(gocd.health().contains("\"error\""), gocd.health());
        System.out.println(gocd.console("unit"));
    }
}
