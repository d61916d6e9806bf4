package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CompletionQueueTest {
    @TempDir
    Path folder;

    private final FakeGocd gocd = new FakeGocd();
    private final Health health = new Health(new Gocd(gocd));
    private final List<String> delivered = new ArrayList<>();
    private Path file;
    private ServiceException failure; // of every delivery; null: none

    @BeforeEach
    void setUp() {
        file = folder.resolve("completions");
    }

    private CompletionQueue queue(int bound) {
        var queue = new CompletionQueue(this::send, health, bound);
        queue.keepIn(file);
        return queue;
    }

    private void send(String body) throws ServiceException {
        if (failure != null) {
            throw failure;
        }
        delivered.add(body);
    }

    private static String completion(String agent) {
        return Samples.body(Message.JOB_COMPLETION).replace("ea-1", agent);
    }

    private List<String> deliveredAgents() {
        return delivered.stream().map(body -> {
            try {
                return Json.text(Json.parse(body), "elastic_agent_id");
            } catch (Json.Malformed bad) {
                throw new AssertionError(bad);
            }
        }).toList();
    }

    @Test
    void deliversInOrderAndEmptiesTheFile() throws IOException {
        var queue = queue(10);
        queue.add(completion("ea-1"));
        queue.add(completion("ea-2"));
        assertEquals(2, Files.readAllLines(file).size());
        queue.deliver();
        assertEquals(List.of("ea-1", "ea-2"), deliveredAgents());
        assertEquals(0, Files.size(file));
        assertTrue(delivered.get(0).contains(Samples.JOB), "the job passes unchanged: " + delivered.get(0));
    }

    @Test
    void survivesARestartOfGocd() {
        failure = ServiceException.unreachable("away");
        var before = queue(10);
        before.add(completion("ea-1"));
        before.deliver();
        before.add(completion("ea-2"));
        failure = null;
        queue(10).deliver();
        assertEquals(List.of("ea-1", "ea-2"), deliveredAgents());
    }

    @Test
    void keepsNoSecretAndShowsTheFileToNobody() throws IOException {
        queue(10).add(completion("ea-1"));
        assertFalse(Files.readString(file).contains(Samples.SECRET));
        assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    }

    @Test
    void pausesAfterAFailureUntilTheServiceIsHeardOf() {
        var queue = queue(10);
        failure = ServiceException.unreachable("away");
        queue.add(completion("ea-1"));
        queue.deliver();
        failure = null;
        queue.deliver();
        assertEquals(1, queue.size());
        queue.hurry();
        queue.deliver();
        assertEquals(List.of("ea-1"), deliveredAgents());
    }

    @Test
    void aRefusedOneDoesNotHoldUpTheOthers() {
        var queue = queue(10);
        failure = ServiceException.refusal("it can't be read");
        queue.add(completion("ea-1"));
        queue.deliver();
        failure = null;
        queue.add(completion("ea-2"));
        queue.deliver();
        assertEquals(List.of("ea-2"), deliveredAgents());
    }

    @Test
    void isBoundedInMemoryAndOnDisk() throws IOException {
        var queue = queue(3);
        for (int i = 1; i <= 100; i++) {
            queue.add(completion("ea-" + i));
        }
        assertEquals(3, queue.size());
        assertTrue(Files.readAllLines(file).size() <= 6);
        queue.deliver();
        assertEquals(List.of("ea-98", "ea-99", "ea-100"), deliveredAgents());
        assertEquals(0, Files.size(file));
    }

    @Test
    void aLineThatACrashCutIsPassedOver() throws IOException {
        queue(10).add(completion("ea-1"));
        Files.writeString(file, Files.readString(file) + "{\"elastic_agent_id\":\"ea-2\",\"jo");
        var after = queue(10);
        after.add(completion("ea-3"));
        after.deliver();
        assertEquals(List.of("ea-1", "ea-3"), deliveredAgents());
    }

    @Test
    void aLineThatWasCutWithinACharacterCostsNoOther() throws IOException {
        queue(10).add(completion("ea-1"));
        Files.write(file, new byte[] {'{', '"', (byte) 0xc3}, StandardOpenOption.APPEND); // half an umlaut
        queue(10).deliver();
        assertEquals(List.of("ea-1"), deliveredAgents());
    }

    @Test
    void whatCannotBeReadIsDropped() {
        var queue = queue(10);
        queue.add(null);
        queue.add("no JSON");
        queue.add("[]");
        assertEquals(0, queue.size());
    }

    @Test
    void aFileThatCannotBeWrittenIsSaidAndNothingIsLostMeanwhile() throws IOException {
        file = folder.resolve("absent/completions");
        var queue = queue(10);
        queue.add(completion("ea-1"));
        health.publish();
        assertTrue(gocd.health().contains("queue_file"), gocd.health());
        Files.createDirectory(file.getParent());
        queue.add(completion("ea-2"));
        health.publish();
        assertEquals("[]", gocd.health());
        assertEquals(2, Files.readAllLines(file).size());
        queue.deliver();
        assertEquals(List.of("ea-1", "ea-2"), deliveredAgents());
    }

    @Test
    void whatCameBeforeTheFileWasKnownFollowsWhatItHolds() {
        queue(10).add(completion("ea-1"));
        var after = new CompletionQueue(this::send, health, 10);
        after.add(completion("ea-2"));
        after.keepIn(file);
        after.deliver();
        assertEquals(List.of("ea-1", "ea-2"), deliveredAgents());
    }
}
