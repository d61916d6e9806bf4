package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;

import ebbtide.bridge.Breaker.Way;
import org.junit.jupiter.api.Test;

class BreakerTest {
    private static final long SECOND = 1_000_000_000L;

    private long now = Long.MAX_VALUE - SECOND; // wraps soon: System.nanoTime may
    private final Breaker breaker = new Breaker(() -> now);

    private void open() {
        breaker.failure();
        breaker.failure();
    }

    @Test
    void oneFailureIsForgiven() {
        breaker.failure();
        assertEquals(Way.ASK, breaker.way());
        breaker.success();
        breaker.failure();
        assertEquals(Way.ASK, breaker.way());
    }

    @Test
    void failuresInARowOpenItAndOneProbeGoesAfterAPause() {
        open();
        assertEquals(Way.NONE, breaker.way());
        now += SECOND;
        assertEquals(Way.PROBE, breaker.way());
        assertEquals(Way.NONE, breaker.way());
    }

    @Test
    void pausesGrowUpToHalfAMinute() {
        open();
        now += SECOND;
        breaker.way();
        now += SECOND;
        assertEquals(Way.NONE, breaker.way());
        now += SECOND;
        assertEquals(Way.PROBE, breaker.way());
        for (int i = 0; i < 10; i++) {
            now += 30 * SECOND;
            assertEquals(Way.PROBE, breaker.way());
        }
    }

    @Test
    void aSuccessClosesItAndPausesBeginAnew() {
        open();
        now += SECOND;
        breaker.way();
        breaker.success();
        assertEquals(Way.ASK, breaker.way());
        open();
        now += SECOND;
        assertEquals(Way.PROBE, breaker.way());
    }
}
