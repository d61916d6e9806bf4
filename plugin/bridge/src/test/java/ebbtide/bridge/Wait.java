package ebbtide.bridge;

import java.time.Duration;
import java.util.function.BooleanSupplier;

/** Waiting for what another thread or process does. */
final class Wait {
    private Wait() {}

    static void until(String what, Duration limit, BooleanSupplier condition) throws InterruptedException {
        long deadline = System.nanoTime() + limit.toNanos();
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() - deadline > 0) {
                throw new AssertionError("waited " + limit.toSeconds() + " s for " + what);
            }
            Thread.sleep(5); // between looks; the deadline above ends them
        }
    }

    static void until(String what, BooleanSupplier condition) throws InterruptedException {
        until(what, Duration.ofSeconds(30), condition);
    }
}
