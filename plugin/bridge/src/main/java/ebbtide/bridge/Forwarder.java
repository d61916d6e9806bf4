package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.logging.Logger;
import ebbtide.bridge.Health.Trouble;
import java.time.Duration;
import java.time.LocalTime;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;

/**
 * Carries GoCD's messages to the service. Each returns within its limit, with an answer that does no harm when the
 * service is slow, away or wrong. Any thread.
 */
final class Forwarder {
    record Answer(int code, String body) {
        static Answer ok(String body) {
            return new Answer(200, body);
        }
    }

    private static final Logger LOG = Logger.getLoggerFor(Forwarder.class);
    private static final DateTimeFormatter CLOCK = DateTimeFormatter.ofPattern("HH:mm:ss.SSS");

    private final Link link;
    private final Gocd gocd;
    private final Health health;
    private final CompletableFuture<String> serverId;
    private final Breaker breaker;

    Forwarder(Link link, Gocd gocd, Health health, CompletableFuture<String> serverId, Breaker breaker) {
        this.link = link;
        this.gocd = gocd;
        this.health = health;
        this.serverId = serverId;
        this.breaker = breaker;
    }

    Answer forward(Message message, String version, String body) {
        return switch (message) {
            case SHOULD_ASSIGN_WORK -> Answer.ok(Boolean.toString(shouldAssignWork(version, body)));
            case CREATE_AGENT -> createAgent(version, body);
            case VALIDATE_CLUSTER_PROFILE -> validate(message, version, body, "go_server_url");
            case VALIDATE_ELASTIC_AGENT_PROFILE -> validate(message, version, body, "Image");
            case CLUSTER_STATUS_REPORT, AGENT_STATUS_REPORT, PLUGIN_STATUS_REPORT -> report(message, version, body);
            case SERVER_PING, CLUSTER_PROFILE_CHANGED, JOB_COMPLETION -> tell(message, version, body);
        };
    }

    /** For the queue of completions, whose messages wait until they are delivered. */
    void complete(String body) throws ServiceException {
        ask(Message.JOB_COMPLETION, Gocd.IDENTIFIER.getSupportedExtensionVersions().get(0), body, String::isBlank);
    }

    /** The service was heard of elsewhere. */
    void serviceIsBack() {
        breaker.success();
        health.clear(Trouble.MESSAGES);
    }

    private boolean shouldAssignWork(String version, String body) {
        switch (breaker.way()) {
            case PROBE -> probe(version, body);
            case ASK -> {
                try {
                    var answer = ask(Message.SHOULD_ASSIGN_WORK, version, body, Forwarder::isBoolean);
                    breaker.success();
                    return answer.strip().equals("true");
                } catch (ServiceException failed) {
                    if (failed.isRefusal) {
                        breaker.success();
                    } else {
                        breaker.failure();
                    }
                }
            }
            case NONE -> LOG.debug("should-assign-work is answered with false: the service gave no answers");
        }
        return false;
    }

    private void probe(String version, String body) {
        var id = serverId.getNow(null);
        try {
            if (id != null) {
                link.service().begin(Message.SHOULD_ASSIGN_WORK, id, version, body)
                        .thenApply(Forwarder::isBoolean)
                        .thenAccept(this::probed);
            }
        } catch (ServiceException none) {
            LOG.debug("There is nothing to probe: " + none.getMessage());
        }
    }

    private void probed(boolean isSound) {
        if (isSound) {
            serviceIsBack();
        }
    }

    private Answer createAgent(String version, String body) {
        try {
            return Answer.ok(ask(Message.CREATE_AGENT, version, body, String::isBlank));
        } catch (ServiceException failed) {
            var text = told(failed) + " GoCD asks for the agent again in some minutes.";
            console(body, text);
            return new Answer(500, text);
        }
    }

    private Answer validate(Message message, String version, String body, String field) {
        try {
            return Answer.ok(ask(message, version, body, Answers::isList));
        } catch (ServiceException failed) {
            return Answer.ok(Answers.fieldError(field,
                    "This profile can't be checked. " + told(failed) + " Mend that, and save again."));
        }
    }

    private Answer report(Message message, String version, String body) {
        try {
            return Answer.ok(ask(message, version, body, Answers::isView));
        } catch (ServiceException failed) {
            return Answer.ok(Answers.errorView(told(failed)));
        }
    }

    private Answer tell(Message message, String version, String body) {
        try {
            return Answer.ok(ask(message, version, body, String::isBlank));
        } catch (ServiceException failed) {
            // Said in server health; the next ping brings all of it again.
            LOG.debug(message.requestName + " did not reach Ebbtide: " + failed.getMessage());
            return Answer.ok("");
        }
    }

    private String ask(Message message, String version, String body, Predicate<String> isSound)
            throws ServiceException {
        long deadline = System.nanoTime() + message.limit.toNanos();
        try {
            var id = awaitServerId(deadline);
            var service = link.service(deadline);
            var answer = service.ask(message, id, version, body, Duration.ofNanos(deadline - System.nanoTime()));
            if (!isSound.test(answer)) {
                throw ServiceException.unreachable("its answer makes no sense: check that the URL leads to Ebbtide");
            }
            health.clear(Trouble.MESSAGES);
            return answer;
        } catch (ServiceException failed) {
            if (!failed.isRefusal) {
                health.raise(Trouble.MESSAGES, "Ebbtide does not answer GoCD at " + link.address() + " since {since}: "
                        + failed.getMessage() + ".");
            }
            throw failed;
        } catch (RuntimeException fault) {
            LOG.error("The bridge failed with " + message.requestName, fault);
            throw ServiceException.unreachable("the bridge itself failed; see its log");
        }
    }

    // Without it the service would take us for another GoCD server. It is there soon after GoCD's start.
    private String awaitServerId(long deadline) throws ServiceException {
        try {
            return serverId.get(deadline - System.nanoTime(), TimeUnit.NANOSECONDS);
        } catch (TimeoutException | ExecutionException none) {
            throw ServiceException.unreachable("GoCD has not told its server id yet");
        } catch (InterruptedException stopped) {
            Thread.currentThread().interrupt();
            throw ServiceException.unreachable("the wait was interrupted");
        }
    }

    private String told(ServiceException failed) {
        return failed.isRefusal
                ? "Ebbtide did not accept it: " + failed.getMessage() + "."
                : "Ebbtide can't be reached at " + link.address() + ": " + failed.getMessage() + ".";
    }

    /** Says it on the console of the job that a create-agent message is about. */
    private void console(String body, String text) {
        try {
            if (!(Json.parse(body) instanceof Map<?, ?> message)
                    || !(message.get("job_identifier") instanceof Map<?, ?> job)) {
                return;
            }
            var line = new LinkedHashMap<String, Object>();
            for (var name : new String[] {"pipeline_name", "pipeline_counter", "stage_name", "stage_counter",
                "job_name"}) {
                line.put(name, String.valueOf(job.get(name)));
            }
            line.put("text", "##|" + LocalTime.now().format(CLOCK) + " [go] " + text + "\n");
            gocd.submit(Gocd.CONSOLE, "2.0", Json.write(line));
        } catch (Json.Malformed bad) {
            LOG.debug("A create-agent message can't be read");
        }
    }

    private static boolean isBoolean(String answer) {
        var text = answer.strip();
        return text.equals("true") || text.equals("false");
    }
}
