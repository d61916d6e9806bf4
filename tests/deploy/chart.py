"""The Helm chart: helm lint and helm template in each mode, and what must hold in what comes out. helm is built by go from
the Go module proxy, once for a machine; without go these tests are skipped."""
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))
os.environ.setdefault("DOCKER_HOST", "unix:///nowhere/docker.sock")  # the harness starts an engine where none is named

import harness  # noqa: E402

HELM = "helm.sh/helm/v3/cmd/helm@v3.14.4"
CHART = ROOT / "deploy/helm/ebbtide"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "ebbtide-tests"
MODES = {"sidecar": [], "node": ["nodeSelector.name=n1"],
         "remote": ["engine.remote.reap={tcp://a:2375,tcp://b:2375}"]}


def go():
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin:/usr/lib/go/bin")


def helm_program():
    program = CACHE / HELM.rsplit("/", 1)[1]
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "helm.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            folder = CACHE / "gobin"
            subprocess.run([go(), "install", "-ldflags=-s -w", HELM], check=True,
                           env={**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0"})
            os.rename(folder / "helm", program)
    return str(program)


@unittest.skipUnless(go(), "no go on this machine to build helm with: the chart is not checked")
class Chart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.helm = helm_program()
        cls.out = {mode: cls.render([f"engine.mode={mode}", *more]) for mode, more in MODES.items()}

    @classmethod
    def run_helm(cls, *args):
        return subprocess.run([cls.helm, *args], capture_output=True, text=True)

    @classmethod
    def render(cls, settings):
        flags = [flag for setting in settings for flag in ("--set", setting)]
        done = cls.run_helm("template", "ci", str(CHART), "--namespace", "builds", "--kube-version", "1.29.0", *flags)
        assert done.returncode == 0, done.stderr
        return [d for d in yaml.safe_load_all(done.stdout) if d]

    def one(self, mode, kind):
        found = [d for d in self.out[mode] if d["kind"] == kind]
        self.assertEqual(len(found), 1, kind)
        return found[0]

    def pod(self, mode, kind="Deployment"):
        return self.one(mode, kind)["spec"]["template"]["spec"]

    def container(self, pod, name):
        return next(c for c in pod["containers"] + pod.get("initContainers", []) if c["name"] == name)

    def env(self, container):
        return {e["name"]: e["value"] for e in container["env"]}

    def test_lint_finds_nothing(self):
        for mode, more in MODES.items():
            flags = [flag for setting in (f"engine.mode={mode}", *more) for flag in ("--set", setting)]
            done = self.run_helm("lint", "--strict", str(CHART), *flags)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_its_version_is_the_programs(self):
        version = (ROOT / "CMakeLists.txt").read_text().split("project(ebbtide VERSION ")[1].split()[0]
        self.assertEqual(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"], version)

    def test_engine_and_server_see_agents_sockets_at_the_same_path(self):
        pod = self.pod("sidecar")
        mounts = {name: {m["name"]: m["mountPath"] for m in self.container(pod, name)["volumeMounts"]}
                  for name in ("ebbtide", "engine")}
        self.assertEqual(mounts["ebbtide"]["run"], mounts["engine"]["run"])
        self.assertTrue(self.env(self.container(pod, "ebbtide"))["EBBTIDE_RUN_DIR"].startswith(mounts["engine"]["run"]))
        node = self.pod("node")
        mount = next(m for m in self.container(node, "ebbtide")["volumeMounts"] if m["name"] == "run")
        volume = next(v for v in node["volumes"] if v["name"] == "run")
        self.assertEqual(volume["hostPath"]["path"], mount["mountPath"])

    def test_the_server_is_not_root_and_may_little(self):
        for mode in MODES:
            security = self.container(self.pod(mode), "ebbtide")["securityContext"]
            self.assertTrue(security["runAsNonRoot"] and security["readOnlyRootFilesystem"])
            self.assertEqual(security["capabilities"], {"drop": ["ALL"]})
            self.assertFalse(self.pod(mode)["automountServiceAccountToken"])

    def test_uninstalling_drains_stops_and_reaps(self):
        for mode, reaped in (("sidecar", []), ("node", ["unix:///var/run/docker.sock"]),
                             ("remote", ["tcp://a:2375", "tcp://b:2375"])):
            job = self.one(mode, "Job")
            self.assertEqual(job["metadata"]["annotations"]["helm.sh/hook"], "pre-delete")
            pod = job["spec"]["template"]["spec"]
            self.assertIn("drain.sh agents", pod["initContainers"][0]["command"][-1])
            steps = self.container(pod, "stop-and-reap")
            lines = steps["command"][-1].strip().splitlines()
            self.assertEqual(lines[0], "drain.sh scale-down https://kubernetes.default.svc builds ci-ebbtide")
            self.assertEqual([line.split()[-1].strip('"') for line in lines[1:]], reaped)
            # Or it would reap a stranger's.
            self.assertEqual(self.env(steps)["EBBTIDE_SERVER_ID"],
                             self.env(self.container(self.pod(mode), "ebbtide"))["EBBTIDE_SERVER_ID"])

    def test_the_token_comes_from_a_secret_only(self):
        for document in self.render(["token.value=hunter2"]):
            if document["kind"] != "Secret":
                self.assertNotIn("hunter2", yaml.safe_dump(document))
        kinds = [d["kind"] for d in self.render(["token.existingSecret=mine"])]
        self.assertNotIn("Secret", kinds)

    def test_settings_become_variables_that_the_server_knows(self):
        documents = self.render(["settings.idle_limit=90"])
        pod = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]
        env = self.env(self.container(pod, "ebbtide"))
        self.assertEqual(env["EBBTIDE_IDLE_LIMIT"], "90")
        flags = subprocess.run([harness.BINARY, "serve", "--help"], check=True, capture_output=True, text=True).stdout
        for name in env:
            self.assertIn("--" + name.removeprefix("EBBTIDE_").lower().replace("_", "-"), flags)

    def test_wrong_values_are_refused_with_their_name(self):
        for setting, word in (("engine.mode=swarm", "engine.mode"), ("engine.mode=node", "nodeSelector"),
                              ("settings.run_dir=/x", "settings"), ("engine.node.runDir=relative", "runDir")):
            done = self.run_helm("template", "ci", str(CHART), "--kube-version", "1.29.0", "--set", setting)
            self.assertNotEqual(done.returncode, 0, setting)
            self.assertIn(word, done.stderr)

    def test_every_value_is_explained(self):
        lines = (CHART / "values.yaml").read_text().splitlines()
        for number, line in enumerate(lines):
            if line and line[0].isalpha():
                self.assertTrue(lines[number - 1].startswith("#"), line)


if __name__ == "__main__":
    harness.main()
