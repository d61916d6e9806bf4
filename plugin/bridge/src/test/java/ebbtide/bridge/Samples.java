package ebbtide.bridge;

import java.util.Map;
import java.util.function.UnaryOperator;
import java.nio.file.Path;

/** Messages as GoCD writes them, and settings for a test. */
final class Samples {
    static final String SECRET = "s3cr3t-in-a-property";
    static final String JOB = """
            {"pipeline_name":"build","pipeline_label":"17","pipeline_counter":17,"stage_name":"test",\
            "stage_counter":"1","job_name":"unit","job_id":4321}""";
    static final String CLUSTER = """
            {"go_server_url":"https://gocd.example.com/go","docker_uri":"unix:///nowhere/docker.sock",\
            "max_docker_containers":"5","auto_register_timeout":"10","docker_client_key":"%s"}""".formatted(SECRET);
    static final String PROFILE = "{\"Image\":\"ebbtide-test/agent:1\",\"Environment\":\"PASSWORD=" + SECRET + "\"}";

    private Samples() {}

    /** The body of one message, about the agent ea-1 and the job above. */
    static String body(Message message) {
        var both = "\"elastic_agent_profile_properties\":" + PROFILE + ",\"cluster_profile_properties\":" + CLUSTER
                + ",\"job_identifier\":" + JOB;
        return switch (message) {
            case CREATE_AGENT -> "{\"auto_register_key\":\"" + SECRET + "\"," + both + "}";
            case SHOULD_ASSIGN_WORK -> "{\"agent\":{\"agent_id\":\"ea-1\",\"agent_state\":\"Idle\","
                    + "\"build_state\":\"Idle\",\"config_state\":\"Enabled\"}," + both + "}";
            case JOB_COMPLETION -> "{\"elastic_agent_id\":\"ea-1\"," + both + "}";
            case SERVER_PING -> "{\"all_cluster_profile_properties\":[]}";
            case CLUSTER_PROFILE_CHANGED -> "{\"status\":\"created\",\"cluster_profiles_properties\":" + CLUSTER + "}";
            case VALIDATE_CLUSTER_PROFILE -> CLUSTER;
            case VALIDATE_ELASTIC_AGENT_PROFILE -> PROFILE;
            case CLUSTER_STATUS_REPORT -> "{\"cluster_profile_properties\":" + CLUSTER + "}";
            case AGENT_STATUS_REPORT -> "{\"elastic_agent_id\":\"ea-1\",\"job_identifier\":" + JOB
                    + ",\"cluster_profile_properties\":" + CLUSTER + "}";
            case PLUGIN_STATUS_REPORT -> "{\"all_cluster_profiles_properties\":[" + CLUSTER + "]}";
        };
    }

    /** Settings from these keys alone. */
    static SettingsSource settings(Path folder, Map<String, String> keys) {
        UnaryOperator<String> properties = name ->
                name.startsWith("ebbtide.") ? keys.get(name.substring("ebbtide.".length())) : null;
        return new SettingsSource(properties, name -> null, folder);
    }
}
