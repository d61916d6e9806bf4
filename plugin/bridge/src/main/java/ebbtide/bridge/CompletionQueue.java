package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.logging.Logger;
import ebbtide.bridge.Health.Trouble;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Finished jobs that the service hasn't heard of. GoCD tells each once and is never kept waiting, so they are kept here:
 * in order, bounded, and in a file that outlives GoCD. Only agent and job are kept; the properties, which hold secrets,
 * are not, since the service goes by its own record of the agent.
 *
 * <p>The file is only added to, and emptied when the queue is: what it holds too much after a crash is told twice, which
 * does no harm. Any thread; {@link #deliver} on one.
 */
final class CompletionQueue {
    interface Sender {
        void send(String body) throws ServiceException;
    }

    private static final Logger LOG = Logger.getLoggerFor(CompletionQueue.class);

    private final Sender sender;
    private final Health health;
    private final int bound;
    private final Backoff backoff = new Backoff(Duration.ofSeconds(1), Duration.ofMinutes(1));
    private final Deque<String> waiting = new ArrayDeque<>();
    private Path file;
    private int linesInFile;
    private boolean isGivingUp;
    private long notBefore = System.nanoTime();

    CompletionQueue(Sender sender, Health health, int bound) {
        this.sender = sender;
        this.health = health;
        this.bound = bound;
    }

    /** Keeps the queue in this file from now on, and takes up what is there. */
    synchronized void keepIn(Path given) {
        if (given == null || given.equals(file)) {
            return;
        }
        var since = List.copyOf(waiting);
        file = given;
        waiting.clear();
        waiting.addAll(readFile());
        waiting.addAll(since);
        shorten();
        if (!waiting.isEmpty()) {
            writeFile();
        }
    }

    synchronized void add(String body) {
        var line = reduced(body);
        if (line == null) {
            LOG.warn("GoCD sent a job-completion that can't be read; it is dropped");
            return;
        }
        waiting.add(line);
        shorten();
        append(line);
    }

    synchronized int size() {
        return waiting.size();
    }

    /** Something says that the service is there again: no more pause. */
    synchronized void hurry() {
        notBefore = System.nanoTime();
    }

    /** Sends what waits, oldest first, until one can't be delivered. */
    void deliver() {
        for (var next = due(); next != null; next = due()) {
            try {
                sender.send(next);
            } catch (ServiceException failed) {
                if (!failed.isRefusal) {
                    pause();
                    return;
                }
                LOG.warn("Ebbtide refuses a job-completion; it is dropped: " + failed.getMessage());
            }
            delivered(next);
        }
    }

    private synchronized String due() {
        return System.nanoTime() - notBefore >= 0 ? waiting.peek() : null;
    }

    private synchronized void pause() {
        notBefore = System.nanoTime() + backoff.pause().toNanos();
    }

    private synchronized void delivered(String line) {
        backoff.reset();
        isGivingUp = false;
        waiting.remove(line); // the first, unless it was given up meanwhile
        if (waiting.isEmpty() && linesInFile > 0) {
            writeFile();
        }
    }

    private void shorten() {
        if (waiting.size() > bound && !isGivingUp) {
            isGivingUp = true;
            LOG.warn("More than " + bound + " finished jobs wait for Ebbtide; the oldest are given up");
        }
        while (waiting.size() > bound) {
            waiting.remove();
        }
    }

    private static String reduced(String body) {
        try {
            if (Json.parse(body) instanceof Map<?, ?> message) {
                var kept = new LinkedHashMap<String, Object>();
                kept.put("elastic_agent_id", message.get("elastic_agent_id"));
                kept.put("job_identifier", message.get("job_identifier"));
                kept.put("elastic_agent_profile_properties", Map.of());
                kept.put("cluster_profile_properties", Map.of());
                return Json.write(kept);
            }
        } catch (Json.Malformed bad) {
            // told by the caller
        }
        return null;
    }

    private List<String> readFile() {
        var read = new ArrayList<String>();
        try {
            // A crash may have cut the last line, in the middle of a character too.
            for (var line : new String(Files.readAllBytes(file), StandardCharsets.UTF_8).split("\n")) {
                var whole = reduced(line);
                if (whole != null) {
                    read.add(whole);
                }
            }
            linesInFile = read.size();
        } catch (NoSuchFileException none) {
            linesInFile = 0;
        } catch (IOException unreadable) {
            failed(unreadable);
        }
        return read;
    }

    private void append(String line) {
        if (file == null || linesInFile == 0 || linesInFile >= 2 * bound) {
            writeFile();
            return;
        }
        try {
            Files.writeString(file, line + "\n", StandardOpenOption.APPEND);
            linesInFile++;
        } catch (IOException gone) {
            writeFile();
        }
    }

    private void writeFile() {
        if (file == null) {
            return;
        }
        var aside = file.resolveSibling(file.getFileName() + ".new");
        try {
            Files.deleteIfExists(aside);
            create(aside);
            Files.write(aside, waiting);
            Files.move(aside, file, StandardCopyOption.REPLACE_EXISTING, StandardCopyOption.ATOMIC_MOVE);
            linesInFile = waiting.size();
            health.clear(Trouble.COMPLETIONS);
        } catch (IOException unwritable) {
            failed(unwritable);
        }
    }

    // Names of jobs are nobody else's business.
    private static void create(Path path) throws IOException {
        if (path.getFileSystem().supportedFileAttributeViews().contains("posix")) {
            var ours = PosixFilePermissions.fromString("rw-------");
            Files.createFile(path, PosixFilePermissions.asFileAttribute(ours));
        } else {
            Files.createFile(path);
        }
    }

    private void failed(IOException why) {
        linesInFile = 0; // so that the next one writes them all
        health.raise(Trouble.COMPLETIONS, "The Ebbtide plugin can't keep finished jobs in " + file + " (" + why
                + "): those that Ebbtide hasn't heard of would be forgotten when GoCD restarts. Make the folder"
                + " writable, or set queue_file.");
    }
}
