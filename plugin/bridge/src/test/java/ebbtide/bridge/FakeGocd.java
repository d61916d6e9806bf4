package ebbtide.bridge;

import com.thoughtworks.go.plugin.api.GoApplicationAccessor;
import com.thoughtworks.go.plugin.api.request.GoApiRequest;
import com.thoughtworks.go.plugin.api.response.DefaultGoApiResponse;
import com.thoughtworks.go.plugin.api.response.GoApiResponse;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** GoCD as processor requests see it: a small model of agents, consoles and server health. */
final class FakeGocd extends GoApplicationAccessor {
    static final String ID = "0f9a-gocd";

    private final Map<String, Map<String, Object>> agents = new LinkedHashMap<>();
    private final Map<String, String> consoles = new LinkedHashMap<>();
    private final List<String> calls = new ArrayList<>();
    private String health = "none told";
    private Throwable broken;

    @Override
    public synchronized GoApiResponse submit(GoApiRequest request) {
        var api = request.api();
        calls.add(api);
        if (!api.endsWith("server-info.get")) {
            failIfBroken();
        }
        try {
            return answered(api, request.requestBody());
        } catch (Json.Malformed bad) {
            throw new IllegalArgumentException(bad);
        }
    }

    private void failIfBroken() {
        if (broken instanceof Error error) {
            throw error;
        }
        if (broken instanceof RuntimeException exception) {
            throw exception;
        }
    }

    private GoApiResponse answered(String api, String body) throws Json.Malformed {
        String answer = null;
        switch (api.substring(api.lastIndexOf('.') + 1)) {
            case "get" -> answer = "{\"server_id\":\"" + ID + "\",\"site_url\":\"http://gocd.invalid/go\"}";
            case "list-agents" -> answer = Json.write(new ArrayList<>(agents.values()));
            case "disable-agents" -> ids(body).forEach(id -> set(id, "config_state", "Disabled"));
            case "delete-agents" -> ids(body).forEach(agents::remove);
            case "add-messages" -> health = body;
            case "append" -> {
                var line = (Map<?, ?>) Json.parse(body);
                consoles.merge((String) line.get("job_name"), (String) line.get("text"), String::concat);
            }
            default -> throw new IllegalArgumentException("no such api: " + api);
        }
        return DefaultGoApiResponse.success(answer);
    }

    private static List<String> ids(String body) throws Json.Malformed {
        return ((List<?>) Json.parse(body)).stream().map(agent -> Json.text(agent, "agent_id")).toList();
    }

    synchronized void register(String id) {
        var agent = new LinkedHashMap<String, Object>();
        agent.put("agent_id", id);
        agent.put("config_state", "Enabled");
        agents.put(id, agent);
        setState(id, "Idle");
    }

    synchronized void setState(String id, String state) {
        set(id, "agent_state", state);
        set(id, "build_state", state);
    }

    private void set(String id, String key, String value) {
        if (agents.containsKey(id)) {
            agents.get(id).put(key, value);
        }
    }

    /** From now on every request fails so, with what need not be declared; null: none. */
    synchronized void breakWith(Throwable failure) {
        broken = failure;
    }

    synchronized boolean knows(String agent) {
        return agents.containsKey(agent);
    }

    synchronized String console(String job) {
        return consoles.getOrDefault(job, "");
    }

    synchronized String health() {
        return health;
    }

    synchronized long calls(String api) {
        return calls.stream().filter(api::equals).count();
    }
}
