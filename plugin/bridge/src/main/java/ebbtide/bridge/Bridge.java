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
 * All parts, put together and kept running. Its threads are daemons: the processor channel, housekeeping (settings and
 * server health), deliveries (completions, of which a slow service may make a long affair), and those of the HTTP client.
 */
final class Bridge implements AutoCloseable {
    private static final Logger LOG = Logger.getLoggerFor(Bridge.class);
    private static final int COMPLETIONS = 10_000;
    private static final int TICKS_BETWEEN_READINGS = 5;

    private final ExecutorService http = Executors.newCachedThreadPool(daemons("ebbtide-http"));
    private final ScheduledThreadPoolExecutor housekeeping = scheduler("ebbtide-housekeeping");
    private final ScheduledThreadPoolExecutor deliveries = scheduler("ebbtide-deliveries");
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
        housekeeping.scheduleWithFixedDelay(() -> guarded(this::housekeep), 0, 1, TimeUnit.SECONDS);
        deliveries.scheduleWithFixedDelay(() -> guarded(completions::deliver), 1, 1, TimeUnit.SECONDS);
        channel.start();
    }

    @Override
    public void close() {
        channel.stop();
        housekeeping.shutdownNow();
        deliveries.shutdownNow();
        http.shutdownNow();
    }

    Forwarder.Answer handle(Message message, String version, String body) {
        if (message == Message.JOB_COMPLETION) {
            completions.add(body);
            deliveries.execute(completions::deliver);
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
        deliveries.execute(completions::deliver);
    }

    private void housekeep() {
        if (tick++ % TICKS_BETWEEN_READINGS == 0) {
            link.refresh();
            completions.keepIn(link.queueFile());
        }
        health.publish();
    }

    // What throws is never run again.
    private static void guarded(Runnable task) {
        try {
            task.run();
        } catch (RuntimeException | Error fault) {
            LOG.error("A task of the bridge failed; it is run again", fault);
        }
    }

    // What comes after close() is dropped: a completion is in its file by then.
    private static ScheduledThreadPoolExecutor scheduler(String name) {
        return new ScheduledThreadPoolExecutor(1, daemons(name), new ThreadPoolExecutor.DiscardPolicy());
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
