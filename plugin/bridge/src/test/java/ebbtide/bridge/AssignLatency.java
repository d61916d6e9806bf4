package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Prints what should-assign-work costs GoCD through bridge and service, which know a thousand agents. Not among the
 * tests, since it says something on an idle machine only: {@code tests/run.sh --perf} runs it.
 */
class AssignLatency {
    private static final int AGENTS = 1000;
    private static final int WARM_UP = 2_000;
    private static final int MEASURED = 5_000;

    @TempDir
    Path folder;

    private static String job(int number) {
        return Samples.JOB.replace("4321", Integer.toString(number));
    }

    // The metrics: a list of so many agents is too long to be read over and over.
    private static boolean areStarted(EbbtideProcess service) {
        try {
            return service.get("/metrics").lines().anyMatch(line -> line.startsWith("ebbtide_agents{")
                    && line.contains("state=\"registering\"") && line.endsWith(" " + AGENTS));
        } catch (IOException away) {
            throw new AssertionError(away);
        }
    }

    private static List<?> agents(EbbtideProcess service) {
        try {
            return (List<?>) Json.parse(service.get("/api/v1/agents"));
        } catch (IOException | Json.Malformed bad) {
            throw new AssertionError(bad);
        }
    }

    @Test
    void printIt() throws Exception {
        try (var engine = new FakeEngine(); var service = EbbtideProcess.start(folder);
                var bridge = new Bridge(new FakeGocd(), Samples.settings(folder,
                        Map.of("url", service.url(), "token", EbbtideProcess.TOKEN)))) {
            bridge.start();
            var properties = "\"elastic_agent_profile_properties\":{\"Image\":\"a:1\",\"DockerAccess\":\"none\"},"
                    + "\"cluster_profile_properties\":{\"go_server_url\":\"https://gocd.example.com/go\",\"docker_uri\":\""
                    + engine.uri() + "\",\"max_docker_containers\":\"2000\",\"auto_register_timeout\":\"10\"}";
            for (int i = 0; i < AGENTS; i++) {
                var answer = bridge.handle(Message.CREATE_AGENT, "5.0", "{\"auto_register_key\":\"k\"," + properties
                        + ",\"job_identifier\":" + job(i) + "}");
                assertEquals(200, answer.code(), answer.body());
            }
            Wait.until("a thousand agents", Duration.ofMinutes(3), () -> areStarted(service));
            measure(bridge, properties, agents(service));
        }
    }

    private static void measure(Bridge bridge, String properties, List<?> agents) {
        var nanos = new long[MEASURED];
        int assigned = 0;
        for (int i = -WARM_UP; i < MEASURED; i++) {
            var agent = agents.get(Math.floorMod(i, AGENTS));
            var number = ((Number) ((Map<?, ?>) ((Map<?, ?>) agent).get("job")).get("id")).intValue();
            // Every other question is about another agent's job.
            var body = "{\"agent\":{\"agent_id\":\"" + Json.text(agent, "id") + "\",\"agent_state\":\"Idle\","
                    + "\"build_state\":\"Idle\",\"config_state\":\"Enabled\"}," + properties + ",\"job_identifier\":"
                    + job(i % 2 == 0 ? number : number + 1) + "}";
            long began = System.nanoTime();
            var answer = bridge.handle(Message.SHOULD_ASSIGN_WORK, "5.0", body).body();
            if (i >= 0) {
                nanos[i] = System.nanoTime() - began;
                assigned += answer.equals("true") ? 1 : 0;
            }
        }
        Arrays.sort(nanos);
        System.out.printf("should-assign-work, %d agents, %d calls (%d true): p50 %.3f ms, p99 %.3f ms, max %.3f ms%n",
                AGENTS, MEASURED, assigned, nanos[MEASURED / 2] / 1e6, nanos[MEASURED * 99 / 100] / 1e6,
                nanos[MEASURED - 1] / 1e6);
    }
}
