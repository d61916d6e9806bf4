package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.logging.Logger;
import ebbtide.bridge.Health.Trouble;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * The way back: holds the service's stream of processor requests open, submits each to GoCD and returns the answer. One
 * daemon thread, for the life of the plugin. It also learns the GoCD server's id, which every message bears.
 */
final class ProcessorChannel implements Runnable {
    private static final Logger LOG = Logger.getLoggerFor(ProcessorChannel.class);
    private static final Duration OPENING = Duration.ofSeconds(10);
    private static final Duration ANSWERING = Duration.ofSeconds(10);
    // The service sends something every 15 s.
    private static final Duration SILENCE = Duration.ofSeconds(45);
    private static final Duration STEADY = Duration.ofSeconds(10);
    private static final Duration GLANCE = Duration.ofSeconds(1);

    private final Gocd gocd;
    private final Link link;
    private final Health health;
    private final Runnable onConnected;
    private final CompletableFuture<String> serverId = new CompletableFuture<>();
    private final Backoff backoff = new Backoff(Duration.ofMillis(200), Duration.ofSeconds(15));
    private final Semaphore hurry = new Semaphore(0);
    private final Thread thread = new Thread(this, "ebbtide-processor-channel");

    ProcessorChannel(Gocd gocd, Link link, Health health, Runnable onConnected) {
        this.gocd = gocd;
        this.link = link;
        this.health = health;
        this.onConnected = onConnected;
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    void stop() {
        thread.interrupt();
        try {
            thread.join(2_000);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
        }
    }

    /** Completed as soon as GoCD has said it. */
    CompletableFuture<String> serverId() {
        return serverId;
    }

    @Override
    public void run() {
        try {
            while (!learnServerId()) {
                pause();
            }
            backoff.reset();
            while (true) {
                hold();
                pause();
            }
        } catch (InterruptedException stopped) {
            LOG.debug("The processor channel is stopped");
        }
    }

    /** There are other settings: what failed with the former ones may work now. */
    void hurry() {
        hurry.release();
    }

    private void pause() throws InterruptedException {
        if (hurry.tryAcquire(backoff.pause().toMillis(), TimeUnit.MILLISECONDS)) {
            hurry.drainPermits();
            backoff.reset();
        }
    }

    private boolean learnServerId() {
        gocd.serverId().ifPresent(serverId::complete);
        return serverId.isDone();
    }

    /** One connection, from its opening to its end; returns to be called again. */
    private void hold() throws InterruptedException {
        try {
            var service = link.service();
            long began = System.nanoTime();
            try (var lines = service.listen(serverId.join(), OPENING)) {
                serve(service, lines);
            } finally {
                // One that ends at once is no success: another bridge may bear the same server id and push us out.
                if (System.nanoTime() - began > STEADY.toNanos()) {
                    backoff.reset();
                }
            }
        } catch (ServiceException | IOException | Json.Malformed failed) {
            if (Thread.interrupted()) {
                throw new InterruptedException();
            }
            LOG.debug("The processor channel ended: " + failed.getMessage());
            health.raise(Trouble.CHANNEL, "Ebbtide can't be reached at " + link.address() + " since {since}: "
                    + failed.getMessage() + ". Until it can, jobs get no new agents.");
        } catch (RuntimeException | Error fault) {
            LOG.error("The processor channel failed; it is opened again", fault);
        }
    }

    private void serve(Service service, Lines lines)
            throws IOException, InterruptedException, ServiceException, Json.Malformed {
        var first = lines.next(OPENING);
        if (first == null) {
            throw new IOException("the stream of requests is open and stays empty; does a proxy buffer it?");
        }
        take(service, first);
        health.clear(Trouble.CHANNEL);
        onConnected.run();
        long heard = System.nanoTime();
        while (link.isCurrent(service)) {
            var line = lines.next(GLANCE);
            if (line != null) {
                take(service, line);
                heard = System.nanoTime();
            } else if (System.nanoTime() - heard > SILENCE.toNanos()) {
                throw new IOException("the stream of requests has fallen silent");
            }
        }
    }

    private void take(Service service, String line) throws Json.Malformed, ServiceException {
        if (!(Json.parse(line) instanceof Map<?, ?> request)) {
            throw new Json.Malformed("a request is no object");
        }
        var id = Json.text(request, "id");
        if (id == null) {
            return; // a heartbeat
        }
        if (!id.matches("[A-Za-z0-9._-]{1,100}")) {
            throw new Json.Malformed("a request has a strange id");
        }
        var reply = submit(Json.text(request, "api"), Json.text(request, "api_version"), Json.text(request, "body"));
        if (!service.answer(serverId.join(), id, reply, ANSWERING)) {
            LOG.debug("Ebbtide no longer waits for an answer to request " + id);
        }
    }

    private Gocd.Reply submit(String api, String version, String body) {
        if (api == null || version == null) {
            return new Gocd.Reply(400, "the request lacks api or api_version");
        }
        return api.equals(Gocd.ADD_MESSAGES) ? health.tell(body) : gocd.submit(api, version, body);
    }
}
