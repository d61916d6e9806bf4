package ebbtide.bridge;

import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;

/**
 * What GoCD sends and the bridge forwards, and how long GoCD may be kept waiting. GoCD itself never gives up waiting:
 * should-assign-work is asked inside its one lock over all assignments, the others hold one of a few threads.
 */
enum Message {
    CREATE_AGENT("create-agent", Duration.ofSeconds(5)),
    SHOULD_ASSIGN_WORK("should-assign-work", Duration.ofMillis(500)),
    JOB_COMPLETION("job-completion", Duration.ofSeconds(2)),
    SERVER_PING("server-ping", Duration.ofSeconds(10)),
    CLUSTER_PROFILE_CHANGED("cluster-profile-changed", Duration.ofSeconds(2)),
    VALIDATE_CLUSTER_PROFILE("validate-cluster-profile", Duration.ofSeconds(5)),
    VALIDATE_ELASTIC_AGENT_PROFILE("validate-elastic-agent-profile", Duration.ofSeconds(5)),
    CLUSTER_STATUS_REPORT("cluster-status-report", Duration.ofSeconds(10)),
    AGENT_STATUS_REPORT("agent-status-report", Duration.ofSeconds(10)),
    PLUGIN_STATUS_REPORT("plugin-status-report", Duration.ofSeconds(10));

    static final String PREFIX = "cd.go.elastic-agent.";

    final String requestName;
    final Duration limit;

    Message(String name, Duration limit) {
        this.requestName = PREFIX + name;
        this.limit = limit;
    }

    static Optional<Message> of(String requestName) {
        return Arrays.stream(values()).filter(each -> each.requestName.equals(requestName)).findFirst();
    }
}
