package ebbtide.bridge;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/** Pauses between tries: doubled each time, and shortened at random so that many bridges don't come at once. */
final class Backoff {
    private final Duration first;
    private final Duration last;
    private Duration next;

    Backoff(Duration first, Duration last) {
        this.first = first;
        this.last = last;
        this.next = first;
    }

    Duration pause() {
        var whole = next;
        var doubled = next.multipliedBy(2);
        next = doubled.compareTo(last) < 0 ? doubled : last;
        return whole.dividedBy(2).plusNanos(ThreadLocalRandom.current().nextLong(whole.toNanos() / 2 + 1));
    }

    void reset() {
        next = first;
    }
}
