package ebbtide.bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.thoughtworks.go.plugin.api.GoApplicationAccessor;
import com.thoughtworks.go.plugin.api.request.GoApiRequest;
import com.thoughtworks.go.plugin.api.response.DefaultGoApiResponse;
import com.thoughtworks.go.plugin.api.response.GoApiResponse;
import ebbtide.bridge.Health.Trouble;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class HealthTest {
    private static final String OF_SERVICE = "[{\"type\":\"warning\",\"message\":\"The engine is at its limit.\"}]";

    private final FakeGocd gocd = new FakeGocd();
    private final Health health = new Health(new Gocd(gocd));

    @Test
    void theServicesListIsPassedOnAsItIs() {
        assertEquals(200, health.tell(OF_SERVICE).code());
        assertEquals(OF_SERVICE, gocd.health());
        assertEquals(200, health.tell("[]").code());
        assertEquals("[]", gocd.health());
    }

    @Test
    void ourTroubleIsPutBeforeItAndTakenAwayAgain() {
        health.tell(OF_SERVICE);
        health.raise(Trouble.SETTINGS, "url is wrong");
        health.publish();
        assertEquals("[{\"type\":\"error\",\"message\":\"url is wrong\"}," + OF_SERVICE.substring(1), gocd.health());
        health.clear(Trouble.SETTINGS);
        health.publish();
        assertEquals(OF_SERVICE, gocd.health());
    }

    @Test
    void theServicesNewListKeepsOurTrouble() {
        health.raise(Trouble.COMPLETIONS, "the disk is full");
        health.tell(OF_SERVICE);
        assertTrue(gocd.health().contains("disk is full") && gocd.health().contains("at its limit"), gocd.health());
    }

    @Test
    void aServiceThatIsAwayForAMomentIsNoNews() {
        health.raise(Trouble.CHANNEL, "away");
        health.publish();
        assertEquals("[]", gocd.health());
    }

    @Test
    void aTroubleThatExplainsTheOthersStandsAlone() {
        health.raise(Trouble.SETTINGS, "url is wrong");
        health.raise(Trouble.MESSAGES, "no answer");
        health.raise(Trouble.COMPLETIONS, "the disk is full");
        health.publish();
        assertFalse(gocd.health().contains("no answer"));
        assertTrue(gocd.health().contains("the disk is full"));
    }

    @Test
    void gocdIsToldOnlyWhatIsNewAndAgainWhatItRefused() {
        health.publish();
        health.publish();
        assertEquals(1, gocd.calls(Gocd.ADD_MESSAGES));
        gocd.breakWith(new IllegalStateException("GoCD is starting"));
        health.raise(Trouble.SETTINGS, "url is wrong");
        health.publish();
        gocd.breakWith(null);
        health.publish();
        assertTrue(gocd.health().contains("url is wrong"));
    }

    @Test
    void aGocdThatIsSlowHoldsUpNobodyWhoRaisesATrouble() throws Exception {
        var asked = new CountDownLatch(1);
        var released = new CountDownLatch(1);
        var slow = new Health(new Gocd(new GoApplicationAccessor() {
            @Override
            public GoApiResponse submit(GoApiRequest request) {
                asked.countDown();
                try {
                    released.await();
                } catch (InterruptedException stopped) {
                    Thread.currentThread().interrupt();
                }
                return DefaultGoApiResponse.success("");
            }
        }));
        var publisher = new Thread(slow::publish);
        publisher.start();
        asked.await();
        try {
            assertTimeoutPreemptively(Duration.ofSeconds(10), () -> slow.raise(Trouble.SETTINGS, "url is wrong"));
        } finally {
            released.countDown();
            publisher.join();
        }
    }

    @Test
    void whatIsNoListIsRefusedAndChangesNothing() {
        health.tell(OF_SERVICE);
        assertEquals(400, health.tell("{}").code());
        assertEquals(400, health.tell(null).code());
        assertEquals(OF_SERVICE, gocd.health());
    }
}
