package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.logging.Logger;
import ebbtide.bridge.Health.Trouble;
import java.nio.file.Path;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/**
 * The service as the settings of this moment name it. Settings are read again by and by, so that a mended one needs no
 * restart of GoCD; while they are wrong, the last good ones stay in force.
 */
final class Link {
    private static final Logger LOG = Logger.getLoggerFor(Link.class);

    private final SettingsSource source;
    private final Executor executor;
    private final Health health;
    private final Runnable onChange;
    private final CountDownLatch firstReading = new CountDownLatch(1);
    private volatile Service service;
    private volatile String wrong = "the settings were not read yet";

    /** @param onChange called when there is another service, from {@link #refresh} */
    Link(SettingsSource source, Executor executor, Health health, Runnable onChange) {
        this.source = source;
        this.executor = executor;
        this.health = health;
        this.onChange = onChange;
    }

    Service service() throws ServiceException {
        var current = service;
        if (current == null) {
            throw ServiceException.unreachable(wrong);
        }
        return current;
    }

    /** The same, but waits for the first reading: GoCD's first messages may come sooner. */
    Service service(long deadline) throws ServiceException {
        try {
            firstReading.await(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw ServiceException.unreachable("the wait was interrupted");
        }
        return service();
    }

    /** Where the service should be, for people. */
    String address() {
        var current = service;
        return current == null ? "(no address)" : current.settings().url().toString();
    }

    /** Where completions wait, also while other settings are wrong; null if it can't be said. */
    Path queueFile() {
        var current = service;
        return current == null ? source.queueFile() : current.settings().queueFile();
    }

    boolean isCurrent(Service other) {
        return service == other;
    }

    synchronized void refresh() {
        try {
            var settings = source.read();
            if (service == null || !settings.equals(service.settings())) {
                service = new Service(settings, executor);
                LOG.info("Ebbtide is at " + settings);
                if (settings.exposesToken()) {
                    LOG.warn("The token and GoCD's secrets cross the network unencrypted: use https");
                }
                onChange.run();
            }
            health.clear(Trouble.SETTINGS);
        } catch (Settings.Wrong found) {
            wrong = "a setting of the bridge is wrong: " + found.getMessage();
            health.raise(Trouble.SETTINGS, "The Ebbtide plugin has a wrong setting: " + found.getMessage()
                    + (service == null ? ". Until it is mended there are no agents." : ". The former ones stay in force."));
        } finally {
            firstReading.countDown();
        }
    }
}
