"""The API against its description, metrics against dashboard and alerts, tokens, and HTTPS: the real server, a real
engine."""
import json
import re
import ssl
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

import harness
import jsonschema
import yaml
from harness import docker, gocd, until

DEPLOY = harness.ROOT / "deploy"


class Description(harness.ServerTest):
    """Each answer is as openapi.json says; nothing is in it that is not served."""

    def test_every_answer_is_as_described(self):
        job, profile = gocd.job(1), self.profile("""
            docker network create net
            docker run -d --name db -p 8080 ebbtide-test/busybox:1 sleep 1000
            docker exec db true
            docker run --privileged ebbtide-test/busybox:1 true || true
            echo ready; sleep 1000""")
        agent = self.bring_up(job, profile)
        until("the job", lambda: "ready" in docker("logs", agent))
        self.api = self.gocd.get("/api/v1/openapi.json")
        until("its usage", lambda: "usage" in self.answer("/api/v1/agents/{id}", agent))
        self.assertEqual(self.answer("/api/v1/clusters")[0]["refusals"], {"privileged": 1})
        self.assertTrue(self.answer("/api/v1/agents")[0]["belongings"])
        self.assertEqual(self.answer("/api/v1/visitor")["role"], "admin")
        self.assertTrue(self.answer("/api/v1/changes", query="?since=0")["whole"])
        self.answer("/api/v1/troubles")
        self.answer("/api/v1/history")
        self.refusal("/api/v1/agents/nobody", 404)
        self.refusal("/api/v1/history/nobody", 404)
        key = self.answer("/api/v1/clusters")[0]["key"]
        rules = [record["rule"] for record in self.answer("/api/v1/audit", query="?refused=1")]
        self.assertEqual(rules, ["privileged"])
        self.assertIn("container", str(self.answer("/api/v1/agents/{id}/audit", agent, "?limit=5")))
        at = f"key={urllib.parse.quote(key)}"
        self.assertEqual(self.answer("/api/v1/clusters/caches", query=f"?{at}"), [])
        self.act(f"/api/v1/clusters/prune-caches?{at}", "prune-caches", {"message": "0 caches are removed."})
        for action in ("drain", "resume"):
            self.act(f"/api/v1/clusters/{action}?key={urllib.parse.quote(key)}", action)
        self.act(f"/api/v1/agents/{agent}/keep?minutes=30", "keep")
        self.refusal(f"/api/v1/agents/{agent}/reap", 409, "reap")
        self.refusal(f"/api/v1/agents/{agent}/end", 400, "")
        self.act(f"/api/v1/agents/{agent}/end", "end")
        until("the agent to be kept", lambda: self.answer("/api/v1/agents/{id}", agent)["kept"])
        self.act(f"/api/v1/agents/{agent}/reap", "reap")
        self.until_gone(agent)
        self.assertTrue(self.answer("/api/v1/history/{id}", agent)["steps"])
        self.assertEqual(self.answer("/api/v1/history")[0]["id"], agent)

    def test_it_has_every_route(self):
        described = self.gocd.get("/api/v1/openapi.json")["paths"]
        routes = re.findall(r'\{"(GET|POST)", "(/api/[^"]+)"', (harness.ROOT / "api/site.cpp").read_text())
        self.assertGreater(len(routes), 10)
        for method, path in routes:
            fits = [known for known in described if known == path or (path.endswith("/") and known.startswith(path))]
            self.assertTrue(any(method.lower() in described[known] for known in fits), f"{method} {path}")

    def check(self, answer, schema):
        jsonschema.Draft202012Validator({**schema, "components": self.api["components"]}).validate(answer)

    def answer(self, path, agent="", query=""):
        answer = self.gocd.get(path.replace("{id}", agent) + query)
        described = self.api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        self.check(answer, described)
        return answer

    def act(self, target, action, answered=None):
        request = urllib.request.Request(self.server.url + target, method="POST", headers={"X-Ebbtide-Action": action})
        with urllib.request.urlopen(request) as answer:
            self.assertEqual(json.load(answer), answered or {})

    def refusal(self, target, status, action=None):
        request = urllib.request.Request(self.server.url + target, method="GET" if action is None else "POST",
                                         headers={"X-Ebbtide-Action": action} if action else {})
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        self.assertEqual(refused.exception.code, status)
        self.check(json.load(refused.exception), {"$ref": "#/components/schemas/Error"})


class Metrics(harness.ServerTest):
    def test_dashboard_and_alerts_name_metrics_that_there_are(self):
        self.gocd.create_agent(gocd.job(1), self.profile("sleep 1000"), self.cluster)
        until("an agent", self.agents)
        with urllib.request.urlopen(self.server.url + "/metrics") as answer:
            text = answer.read().decode()
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        self.assertEqual(set(kinds), set(re.findall(r"^# HELP (\S+) \S", text, re.M)), "each has its help")
        alerts = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text())
        used = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
        dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
        used += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
        names = {name for expression in used for name in re.findall(r"\bebbtide_\w+", expression)}
        self.assertGreater(len(names), 20)
        for name in names:
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            self.assertTrue(name in kinds or kinds.get(family) == "histogram", name)
        causes = (harness.ROOT / "plugin/agent.cpp").read_text()
        for cause in re.findall(r'cause="([^"]+)"', " ".join(used)):
            self.assertIn(f'"{cause}"', causes)
        for agent in self.agents():
            self.gocd.call("POST", f"/api/v1/agents/{agent['id']}/end", headers={"X-Ebbtide-Action": "end"})
        until("no agents", lambda: not self.agents())


class HttpsServer(harness.Server):
    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def answers(self, path="/healthz"):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5, context=ssl._create_unverified_context()):
                return True
        except OSError:
            assert self.process.poll() is None, self.log()
            return False


class Https(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.cert, self.key = self.folder.name + "/cert.pem", self.folder.name + "/key.pem"
        self.make_certificate("first")
        self.server = HttpsServer("--tls-cert", self.cert, "--tls-key", self.key)

    def tearDown(self):
        self.server.remove()
        self.folder.cleanup()

    def make_certificate(self, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", self.key, "-out", self.cert, "-days", "2", "-subj", "/CN=" + name, "-addext",
                        "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)

    def served(self):
        pem = ssl.get_server_certificate(("127.0.0.1", self.server.port))
        shown = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, text=True, check=True,
                               capture_output=True)
        return shown.stdout.strip().rsplit(" ", 1)[-1]

    def test_a_renewed_certificate_is_served_without_a_restart(self):
        self.server.start()
        context = ssl.create_default_context(cafile=self.cert)
        with urllib.request.urlopen(self.server.url + "/healthz", context=context) as answer:
            self.assertEqual(answer.read(), b"ok\n")
        self.assertEqual(self.served(), "first")
        self.make_certificate("second")
        until("the new certificate", lambda: self.served() == "second", 30)
        with open(self.cert, "w") as file:
            file.write("broken")
        until("the fault in the log", lambda: (self.served(), "the old one stays" in self.server.log())[1], 30)
        self.assertEqual(self.served(), "second")
        self.server.stop()

    def test_a_pair_that_does_not_fit_is_told_at_the_start(self):
        other = self.folder.name + "/other.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", other], check=True, capture_output=True)
        for key, words in ((other, "not the key of the certificate"), ("/nowhere", "can't be read"), ("", "go together")):
            done = subprocess.run([harness.BINARY, "serve", "--tls-cert", self.cert, "--tls-key", key, "--listen",
                                   "127.0.0.1:0", "--state-dir", self.folder.name + "/state", "--run-dir",
                                   self.folder.name + "/run"], text=True, capture_output=True)
            self.assertEqual(done.returncode, 2, key)
            self.assertIn(words, done.stderr)


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def ebbtide(self, *words, input=""):
        return subprocess.run([harness.BINARY, *words, "--state-dir", self.folder.name], text=True, input=input,
                              capture_output=True)

    def test_accounts_are_made_listed_and_removed(self):
        self.assertEqual(self.ebbtide("user", "add", "anna", "--role", "admin", input="short\n").returncode, 2)
        self.assertEqual(self.ebbtide("user", "add", "anna", input="").returncode, 2)
        made = self.ebbtide("user", "add", "anna", "--role", "admin", input="a long password\n")
        self.assertEqual((made.returncode, made.stdout), (0, "anna may sign in as admin\n"))
        self.assertEqual(self.ebbtide("user", "add", "anna", input="a long password\n").returncode, 1)
        self.assertEqual(self.ebbtide("user", "add", "ben", "--role", "king", input="a long password\n").returncode, 2)
        self.assertIn("anna", self.ebbtide("user", "list").stdout)
        self.assertEqual(self.ebbtide("user", "passwd", "anna", input="another password\n").returncode, 0)
        self.assertEqual(self.ebbtide("user", "sign-out", "anna").returncode, 0)
        self.assertEqual(self.ebbtide("user", "remove", "anna").returncode, 0)
        self.assertEqual(self.ebbtide("user", "remove", "anna").returncode, 1)
        self.assertEqual(self.ebbtide("user", "list").stdout, "")

    def test_tokens_are_made_listed_and_removed(self):
        made = self.ebbtide("token", "add", "prometheus", "--days", "30")
        self.assertEqual(made.returncode, 0)
        self.assertRegex(made.stdout, r"^ebt_[0-9a-f]{64}\n$")
        listed = self.ebbtide("token", "list").stdout
        self.assertRegex(listed, r"^prometheus +read +until .*, used never\n$")
        self.assertNotIn(made.stdout.strip(), listed)
        self.assertEqual(self.ebbtide("token", "add", "x", "--scope", "all").returncode, 2)
        self.assertEqual(self.ebbtide("token", "remove", "prometheus").returncode, 0)
        self.assertEqual(self.ebbtide("token", "remove", "prometheus").returncode, 1)


if __name__ == "__main__":
    harness.main()
