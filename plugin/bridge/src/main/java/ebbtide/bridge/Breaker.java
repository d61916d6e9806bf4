package ebbtide.bridge;

import java.util.function.LongSupplier;

/**
 * Says whether the service may be waited for. After failures in a row it opens; then nobody waits, and from time to time
 * one caller is told to send a probe that nobody waits for either. Any thread.
 */
final class Breaker {
    private static final int FAILURES = 2;
    private static final long FIRST_PAUSE = 1_000_000_000L;
    private static final long LAST_PAUSE = 30 * FIRST_PAUSE;

    enum Way {
        /** Ask, and wait for the answer. */
        ASK,
        /** Don't wait; send one probe, and report how it went. */
        PROBE,
        /** Don't ask. */
        NONE
    }

    private final LongSupplier nanoTime;
    private int failures;
    private long pause = FIRST_PAUSE;
    private long probeAt;

    Breaker(LongSupplier nanoTime) {
        this.nanoTime = nanoTime;
    }

    synchronized Way way() {
        if (failures < FAILURES) {
            return Way.ASK;
        }
        if (nanoTime.getAsLong() - probeAt < 0) {
            return Way.NONE;
        }
        // If the probe is never reported on, the next one goes after a pause all the same.
        delayProbe();
        return Way.PROBE;
    }

    synchronized void success() {
        failures = 0;
        pause = FIRST_PAUSE;
    }

    synchronized void failure() {
        if (++failures == FAILURES) {
            delayProbe();
        }
    }

    private void delayProbe() {
        probeAt = nanoTime.getAsLong() + pause;
        pause = Math.min(2 * pause, LAST_PAUSE);
    }
}
