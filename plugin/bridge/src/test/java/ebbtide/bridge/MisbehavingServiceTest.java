package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ebbtide.bridge.BadService.Manner;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Whatever stands at the service's address, GoCD gets the agreed answer, and in time. */
@Execution(ExecutionMode.CONCURRENT)
class MisbehavingServiceTest {
    private static final Duration SLACK = Duration.ofMillis(1500); // for a busy machine

    @TempDir
    Path folder;

    private record Timed(Message message, Forwarder.Answer answer, Duration took) {}

    private static Timed timed(Bridge bridge, Message message) {
        long began = System.nanoTime();
        var answer = bridge.handle(message, "5.0", Samples.body(message));
        return new Timed(message, answer, Duration.ofNanos(System.nanoTime() - began));
    }

    private static void start(Runnable task) {
        var thread = new Thread(task);
        thread.setDaemon(true);
        thread.start();
    }

    private Bridge bridge(FakeGocd gocd, String url) throws InterruptedException {
        var bridge = new Bridge(gocd, Samples.settings(folder, Map.of("url", url, "token", Samples.SECRET)));
        bridge.start();
        Wait.until("the settings", () -> gocd.calls(Gocd.ADD_MESSAGES) > 0);
        return bridge;
    }

    @ParameterizedTest
    @EnumSource
    void eachMessageHasItsAnswerWithinItsLimit(Manner manner) throws Exception {
        var gocd = new FakeGocd();
        try (var service = new BadService(manner); var bridge = bridge(gocd, service.url())) {
            List<CompletableFuture<Timed>> all = Arrays.stream(Message.values())
                    .map(message -> CompletableFuture.supplyAsync(() -> timed(bridge, message), MisbehavingServiceTest::start))
                    .toList();
            assertAll(all.stream().map(future -> (Executable) () -> check(future.join())));
            var console = gocd.console("unit");
            assertTrue(console.contains("Ebbtide can't be reached at " + service.url()), console);
            Wait.until("the error in server health", () -> gocd.health().contains("Ebbtide can't be reached"));
            assertFalse((console + gocd.health()).contains(Samples.SECRET));
        }
    }

    private static void check(Timed each) throws Json.Malformed {
        var name = each.message.name();
        assertTrue(each.took.compareTo(each.message.limit.plus(SLACK)) < 0, name + " took " + each.took);
        assertFalse(each.answer.body().contains(Samples.SECRET), name);
        assertEquals(each.message == Message.CREATE_AGENT ? 500 : 200, each.answer.code(), name);
        switch (each.message) {
            case SHOULD_ASSIGN_WORK -> assertEquals("false", each.answer.body());
            case CREATE_AGENT -> assertTrue(each.answer.body().contains("can't be reached"), each.answer.body());
            case VALIDATE_CLUSTER_PROFILE -> checkFieldError(each.answer.body(), "go_server_url");
            case VALIDATE_ELASTIC_AGENT_PROFILE -> checkFieldError(each.answer.body(), "Image");
            case CLUSTER_STATUS_REPORT, AGENT_STATUS_REPORT, PLUGIN_STATUS_REPORT ->
                assertTrue(Json.text(Json.parse(each.answer.body()), "view").contains("be reached at"), name);
            case JOB_COMPLETION -> assertTrue(each.took.compareTo(SLACK) < 0, "it never waits: " + each.took);
            case SERVER_PING, CLUSTER_PROFILE_CHANGED -> assertEquals("", each.answer.body(), name);
        }
    }

    private static void checkFieldError(String body, String key) throws Json.Malformed {
        var errors = (List<?>) Json.parse(body);
        assertEquals(1, errors.size());
        assertEquals(key, Json.text(errors.get(0), "key"));
        assertTrue(Json.text(errors.get(0), "message").contains("can't be checked"), body);
    }
}
