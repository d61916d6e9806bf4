"""A stand-in for a GoCD server with the bridge in it: sends messages to Ebbtide, holds the processor channel open and
answers what Ebbtide asks, from a small model of agents. Standard library only."""
import json
import threading
import urllib.error
import urllib.request

PREFIX = "cd.go.elastic-agent."


class Gocd:
    def __init__(self, url, token=None, server_id="gocd-1"):
        self.url = url.rstrip("/")
        self.headers = {"X-GoCD-Server-Id": server_id, "X-Extension-Version": "5.0", "Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = "Bearer " + token
        self.lock = threading.Lock()  # guards what follows
        self.agents = {}  # id -> {"agent_state", "build_state", "config_state"}
        self.disabled = []
        self.deleted = []
        self.console = {}  # job name -> text
        self.health = []
        self.stopping = False
        self.thread = None

    # --- messages to Ebbtide ---

    def call(self, method, path, body=None, headers=None):
        request = urllib.request.Request(self.url + path, method=method, headers={**self.headers, **(headers or {})},
                                         data=None if body is None else body.encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read().decode()

    def get(self, path):
        return json.loads(self.call("GET", path))

    def message(self, name, body):
        return self.call("POST", f"/plugin/v1/requests/{PREFIX}{name}", json.dumps(body))

    def create_agent(self, job, profile, cluster, key="key"):
        self.message("create-agent", {"auto_register_key": key, "elastic_agent_profile_properties": profile,
                                      "cluster_profile_properties": cluster, "job_identifier": job})

    def should_assign(self, agent_id, job, profile, cluster):
        return self.message("should-assign-work", {
            "elastic_agent_profile_properties": profile, "cluster_profile_properties": cluster, "job_identifier": job,
            "agent": {"agent_id": agent_id, "agent_state": "Idle", "build_state": "Idle",
                      "config_state": "Enabled"}}) == "true"

    def complete(self, agent_id, job, profile, cluster):
        self.set_state(agent_id, "Idle")
        self.message("job-completion", {"elastic_agent_id": agent_id, "job_identifier": job,
                                        "elastic_agent_profile_properties": profile,
                                        "cluster_profile_properties": cluster})

    def ping(self, clusters):
        self.message("server-ping", {"all_cluster_profile_properties": clusters})

    def end_agent(self, agent_id):
        self.call("POST", f"/api/v1/agents/{agent_id}/end", "", {"X-Ebbtide-Action": "end"})

    # --- the model ---

    def register(self, agent_id, state="Idle"):
        with self.lock:
            self.agents[agent_id] = {"agent_state": state, "build_state": state, "config_state": "Enabled"}

    def set_state(self, agent_id, state):
        with self.lock:
            if agent_id in self.agents:
                self.agents[agent_id].update(agent_state=state, build_state=state)

    def forget(self, agent_id):
        with self.lock:
            self.agents.pop(agent_id, None)

    def answer(self, api, body):
        name = api.rsplit(".", 1)[-1]
        with self.lock:
            if name == "list-agents":
                return json.dumps([{"agent_id": id, **state} for id, state in self.agents.items()])
            if name == "disable-agents":
                for agent in json.loads(body):
                    self.disabled.append(agent["agent_id"])
                    if agent["agent_id"] in self.agents:
                        self.agents[agent["agent_id"]]["config_state"] = "Disabled"
            elif name == "delete-agents":
                for agent in json.loads(body):
                    self.deleted.append(agent["agent_id"])
                    self.agents.pop(agent["agent_id"], None)
            elif name == "append":
                line = json.loads(body)
                self.console[line["job_name"]] = self.console.get(line["job_name"], "") + line["text"]
            elif name == "add-messages":
                self.health = json.loads(body)
            elif name == "get":
                return json.dumps({"server_id": self.headers["X-GoCD-Server-Id"], "site_url": "http://gocd.invalid/go"})
        return ""

    # --- the processor channel, as the bridge holds it ---

    def connect(self):
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self):
        pause = threading.Event()
        while not self.stopping:
            try:
                request = urllib.request.Request(self.url + "/plugin/v1/processor-requests", headers=self.headers)
                with urllib.request.urlopen(request, timeout=30) as stream:
                    for line in stream:
                        self._serve(json.loads(line))
                        if self.stopping:
                            return
            except (OSError, ValueError, urllib.error.URLError):
                pause.wait(0.1)  # Ebbtide is away: again

    def _serve(self, request):
        if "id" not in request:
            return  # a heartbeat
        body = self.answer(request["api"], request["body"])
        self.call("POST", "/plugin/v1/processor-responses/" + request["id"], json.dumps({"code": 200, "body": body}))

    def close(self):
        self.stopping = True


def job(number, name="unit", pipeline="build"):
    return {"pipeline_name": pipeline, "pipeline_label": str(number), "pipeline_counter": number, "stage_name": "test",
            "stage_counter": "1", "job_name": name, "job_id": 1000 + number}
