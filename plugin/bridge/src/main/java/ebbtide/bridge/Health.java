package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.logging.Logger;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The plugin's messages in GoCD's server health. GoCD replaces the whole list each time, so this is its one owner: the
 * service's messages, and ours before them. Any thread. GoCD is told on the threads of {@link #tell} and
 * {@link #publish} only, and one at a time; {@link #raise} and {@link #clear}, which GoCD waits for, never wait for that.
 */
final class Health {
    /** What can be wrong with us. Of the first three only the first is shown: it explains the others. */
    enum Trouble {
        SETTINGS("error", Duration.ZERO),
        // A service that restarts is no news.
        CHANNEL("error", Duration.ofSeconds(5)),
        MESSAGES("error", Duration.ofSeconds(5)),
        COMPLETIONS("warning", Duration.ZERO);

        private final String type;
        private final Duration grace;

        Trouble(String type, Duration grace) {
            this.type = type;
            this.grace = grace;
        }
    }

    private record Raised(String text, Instant since) {
        boolean isDue(Trouble trouble) {
            return !Instant.now().isBefore(since.plus(trouble.grace));
        }
    }

    private static final Logger LOG = Logger.getLoggerFor(Health.class);

    private final Gocd gocd;
    private final Map<Trouble, Raised> troubles = new EnumMap<>(Trouble.class);
    private Trouble logged;
    private final Object telling = new Object(); // taken before this; guards the next two
    private List<?> ofService = List.of();
    private String published; // what GoCD has; null: unknown

    Health(Gocd gocd) {
        this.gocd = gocd;
    }

    /** {since} in the text becomes the time since when this trouble lasts. */
    synchronized void raise(Trouble trouble, String text) {
        var before = troubles.get(trouble);
        troubles.put(trouble, new Raised(text, before == null ? Instant.now() : before.since));
    }

    synchronized void clear(Trouble trouble) {
        troubles.remove(trouble);
    }

    /** The service's list, as it asks for; GoCD's answer. */
    Gocd.Reply tell(String body) {
        try {
            if (Json.parse(body) instanceof List<?> messages) {
                synchronized (telling) {
                    ofService = messages;
                    return publish(list());
                }
            }
        } catch (Json.Malformed bad) {
            // told below
        }
        return new Gocd.Reply(400, "health messages must be a JSON list");
    }

    /** Tells GoCD, if there is news. */
    void publish() {
        synchronized (telling) {
            var list = list();
            if (!list.equals(published)) {
                publish(list);
            }
        }
    }

    private Gocd.Reply publish(String list) {
        var reply = gocd.submit(Gocd.ADD_MESSAGES, "1.0", list);
        published = reply.code() == 200 ? list : null;
        return reply;
    }

    private synchronized String list() {
        var all = new ArrayList<Object>();
        Trouble first = null;
        for (var entry : troubles.entrySet()) {
            var trouble = entry.getKey();
            boolean explained = first != null && trouble != Trouble.COMPLETIONS;
            if (!explained && entry.getValue().isDue(trouble)) {
                first = first == null ? trouble : first;
                all.add(message(trouble, entry.getValue()));
            }
        }
        log(first);
        all.addAll(ofService);
        return Json.write(all);
    }

    private static Map<String, Object> message(Trouble trouble, Raised raised) {
        var message = new LinkedHashMap<String, Object>();
        message.put("type", trouble.type);
        message.put("message", raised.text.replace("{since}", raised.since.truncatedTo(ChronoUnit.SECONDS).toString()));
        return message;
    }

    // One line when it begins to be shown, and one when all is well again.
    private void log(Trouble shown) {
        if (shown == logged) {
            return;
        }
        logged = shown;
        if (shown == null) {
            LOG.info("All is well again");
        } else {
            LOG.warn(troubles.get(shown).text.replace("{since}", troubles.get(shown).since.toString()));
        }
    }
}
