package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ebbtide.bridge.BadService.Manner;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;

/** What the bridge does to the process that it runs in, and what it costs; nothing else runs meanwhile. */
@Isolated
class BridgeInItsProcessTest {
    @TempDir
    Path folder;

    private final FakeGocd gocd = new FakeGocd();
    private Bridge bridge;

    @AfterEach
    void tearDown() {
        bridge.close();
    }

    private static long millisSince(long nanoTime) {
        return (System.nanoTime() - nanoTime) / 1_000_000;
    }

    private void start(String url) throws InterruptedException {
        bridge = new Bridge(gocd, Samples.settings(folder, Map.of("url", url, "token", "t0ken")));
        bridge.start();
        Wait.until("the settings", () -> gocd.calls(Gocd.ADD_MESSAGES) > 0);
    }

    private Forwarder.Answer send(Message message) {
        return bridge.handle(message, "5.0", Samples.body(message));
    }

    @Test
    void itsThreadsEndWithIt() throws Exception {
        try (var service = new ScriptedService()) {
            start(service.url());
            Wait.until("the processor channel", () -> service.attachments.get() == 1);
            bridge.close();
        }
        Wait.until("the end of its threads", () -> Thread.getAllStackTraces().keySet().stream()
                .noneMatch(thread -> thread.isAlive() && thread.getName().startsWith("ebbtide-")));
        assertEquals("false", send(Message.SHOULD_ASSIGN_WORK).body());
        assertEquals(200, send(Message.JOB_COMPLETION).code());
    }

    @Test
    void nothingOfABodyIsLogged() throws Exception {
        var log = new ByteArrayOutputStream();
        var out = System.out;
        var err = System.err;
        var captured = new PrintStream(log, true);
        System.setOut(captured);
        System.setErr(captured);
        try (var bad = new BadService(Manner.STATUS_500)) {
            start(bad.url());
            for (var message : Message.values()) {
                send(message);
            }
            Wait.until("the error", () -> gocd.health().contains("can't be reached"));
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        assertTrue(log.toString().contains("can't be reached"), log.toString());
        assertFalse(log.toString().contains(Samples.SECRET) || log.toString().contains("t0ken"), log.toString());
    }

    @Test
    void withTheBreakerOpenAThousandQuestionsCostNextToNothing() throws Exception {
        try (var service = new BadService(Manner.HANGS)) {
            start(service.url());
            send(Message.SHOULD_ASSIGN_WORK);
            send(Message.SHOULD_ASSIGN_WORK);
            long began = System.nanoTime();
            for (int i = 0; i < 1000; i++) {
                assertEquals("false", send(Message.SHOULD_ASSIGN_WORK).body());
            }
            long took = millisSince(began);
            System.out.println("1000 should-assign-work with the breaker open: " + took + " ms");
            assertTrue(took < 500, "half a millisecond each at the most; all took " + took + " ms");
        }
    }

    @Test
    void aProbeThatGetsNoAnswerLeavesNoConnection() throws Exception {
        var name = Message.SHOULD_ASSIGN_WORK.requestName;
        try (var service = new BadService(Manner.HANGS)) {
            start(service.url());
            send(Message.SHOULD_ASSIGN_WORK);
            send(Message.SHOULD_ASSIGN_WORK);
            Wait.until("the end of both", () -> service.waiting(name) == 0);
            Wait.until("a probe", () -> send(Message.SHOULD_ASSIGN_WORK).code() == 200 && service.waiting(name) == 1);
            Wait.until("the end of the probe", () -> service.waiting(name) == 0);
        }
    }

    @Test
    void theFirstQuestionsToAServiceThatHangsCostHalfASecondEachAndNoMore() throws Exception {
        try (var service = new BadService(Manner.HANGS)) {
            start(service.url());
            long began = System.nanoTime();
            send(Message.SHOULD_ASSIGN_WORK);
            assertTrue(millisSince(began) >= 400, "it is waited for");
            send(Message.SHOULD_ASSIGN_WORK);
            began = System.nanoTime();
            send(Message.SHOULD_ASSIGN_WORK);
            assertTrue(millisSince(began) < 250, "it is not");
        }
    }
}
