package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.GoApplicationAccessor;
import com.thoughtworks.go.plugin.api.logging.Logger;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * All parts, put together and kept running. Its threads are daemons: the processor channel, housekeeping (settings,
 * server health, completions), and those of the HTTP client.
 */
final class Bridge implements AutoCloseable {
    private static final Logger LOG = Logger.getLoggerFor(Bridge.class);
    private static final int COMPLETIONS = 10_000;
    private static final int TICKS_BETWEEN_READINGS = 5;

    private final ExecutorService http = Executors.newCachedThreadPool(daemons("ebbtide-http"));
    // What comes after close() is dropped: a completion is in its file by then.
    private final ScheduledThreadPoolExecutor housekeeping = new ScheduledThreadPoolExecutor(
            1, daemons("ebbtide-housekeeping"), new ThreadPoolExecutor.DiscardPolicy());
    private final Health health;
    private final Link link;
    private final ProcessorChannel channel;
    private final Forwarder forwarder;
    private final CompletionQueue completions;
    private int tick;

    Bridge(GoApplicationAccessor accessor, SettingsSource settings) {
        var gocd = new Gocd(accessor);
        health = new Health(gocd);
        link = new Link(settings, http, health, this::settingsChanged);
        channel = new ProcessorChannel(gocd, link, health, this::connected);
        forwarder = new Forwarder(link, gocd, health, channel.serverId(), new Breaker(System::nanoTime));
        completions = new CompletionQueue(forwarder::complete, health, COMPLETIONS);
    }

    void start() {
        housekeeping.scheduleWithFixedDelay(this::housekeep, 0, 1, TimeUnit.SECONDS);
        channel.start();
    }

    @Override
    public void close() {
        channel.stop();
        housekeeping.shutdownNow();
        http.shutdownNow();
    }

    Forwarder.Answer handle(Message message, String version, String body) {
        if (message == Message.JOB_COMPLETION) {
            completions.add(body);
            housekeeping.execute(completions::deliver);
            return Forwarder.Answer.ok("");
        }
        return forwarder.forward(message, version, body);
    }

    private void settingsChanged() {
        channel.hurry();
    }

    private void connected() {
        forwarder.serviceIsBack();
        completions.hurry();
        housekeeping.execute(completions::deliver);
    }

    private void housekeep() {
        try {
            if (tick++ % TICKS_BETWEEN_READINGS == 0) {
                link.refresh();
                completions.keepIn(link.queueFile());
            }
            completions.deliver();
            health.publish();
        } catch (RuntimeException fault) {
            LOG.error("Housekeeping failed; it goes on", fault); // or it would never run again
        }
    }

    private static ThreadFactory daemons(String name) {
        var number = new AtomicInteger();
        return task -> {
            var thread = new Thread(task, name + "-" + number.incrementAndGet());
            thread.setDaemon(true);
            return thread;
        };
    }
}
