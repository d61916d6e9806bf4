"""The Debian package, installed in a Debian 12 of its own; and what the image of deploy/Dockerfile is made of, run on a real
engine as deploy/compose.yaml runs it: not root, and one folder at the same path on both sides."""
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
import uuid

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import harness  # noqa: E402
from harness import AGENT_IMAGE, ENGINE, docker, free_port, gocd, until  # noqa: E402

BUILD = pathlib.Path(harness.BINARY).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "ebbtide-tests"


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout


def debian(folder):
    """A minimal Debian 12 in folder; made once for a machine."""
    archive = CACHE / "bookworm.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    if archive.exists():
        run("tar", "-xpf", archive, "-C", folder)
        return
    run("debootstrap", "--variant=minbase", "bookworm", folder)
    run("tar", "-cpf", f"{archive}.new", "-C", folder, ".")
    os.rename(f"{archive}.new", archive)


def final_stage():
    """The RUN lines of the Dockerfile's last stage, which make the image from the package."""
    text = (ROOT / "deploy/Dockerfile").read_text().split("FROM debian:12-slim")[1]
    return text.replace("\\\n", " "), [line[4:] for line in text.replace("\\\n", " ").splitlines()
                                       if line.startswith("RUN ")]


class Kubernetes(http.server.HTTPServer):
    """The two calls that drain.sh makes of it; replicas: what it tells, one call after the other."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self, body):
            if self.headers["Authorization"] != "Bearer the pod's token":
                return self.send_error(401)
            asked = self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.server.asked.append((self.command, self.path, json.loads(asked) if asked else None))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def do_PATCH(self):
            self.answer({})

        def do_GET(self):
            self.answer({"status": {"replicas": self.server.replicas.pop(0)}})

        def log_message(self, *_):
            pass

    def __init__(self, replicas):
        super().__init__(("127.0.0.1", 0), self.Handler)
        self.replicas, self.asked = replicas, []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="ebbtide-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        run("cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", cls.folder / "out")
        cls.deb = next((cls.folder / "out").glob("*.deb"))
        cls.root = cls.folder / "root"
        cls.root.mkdir()
        debian(cls.root)
        (cls.root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")  # it lives for minutes
        shutil.copy("/etc/resolv.conf", cls.root / "etc/resolv.conf")
        shutil.copy(cls.deb, cls.root / "tmp")
        # As the Dockerfile does it; the first command finds the package in /tmp.
        for line in final_stage()[1]:
            cls.inside(line.replace("/tmp/*.deb", f"/tmp/{cls.deb.name}", 1).replace("rm -rf /tmp/*.deb", "true"))

    @classmethod
    def inside(cls, script):
        return run("chroot", cls.root, "sh", "-ec", script, env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"})

    def test_the_program_runs_with_the_libraries_that_the_package_names(self):
        version = (ROOT / "CMakeLists.txt").read_text().split("project(ebbtide VERSION ")[1].split()[0]
        self.assertEqual(self.inside("ebbtide version").strip(), "ebbtide " + version)
        self.assertIn("listen", self.inside("ebbtide check-config"))

    def test_it_has_what_an_admin_looks_for(self):
        listed = self.inside("dpkg -L ebbtide")
        for path in ("/usr/bin/ebbtide", "/usr/lib/systemd/system/ebbtide.service", "/etc/ebbtide/ebbtide.toml",
                     "/usr/lib/ebbtide/drain.sh", "/usr/share/doc/ebbtide/copyright",
                     "/usr/share/doc/ebbtide/changelog.gz", "/usr/share/doc/ebbtide/docs/getting-started.md"):
            self.assertIn(path + "\n", listed)
        self.assertIn("/etc/ebbtide/ebbtide.toml", self.inside("dpkg-query -W -f='${Conffiles}' ebbtide"))
        self.assertIn("docker", self.inside("id -Gn ebbtide"))
        self.assertEqual(self.inside("stat -c '%a %G' /etc/ebbtide/ebbtide.toml").strip(), "640 ebbtide")
        self.assertEqual(self.inside("find / -xdev -nouser -o -xdev -nogroup").strip(), "")

    def test_the_unit_is_sound_and_hardened(self):
        unit = self.folder / "ebbtide.service"
        text = (ROOT / "deploy/ebbtide.service").read_text()
        unit.write_text(text.replace("/usr/bin/ebbtide", harness.BINARY))
        run("systemd-analyze", "verify", "--man=no", unit)
        run("systemd-analyze", "security", "--offline=yes", "--threshold=20", unit)

    def test_draining_scales_its_deployment_down_and_waits(self):
        account = self.root / "run/secrets/kubernetes.io/serviceaccount"
        account.mkdir(parents=True, exist_ok=True)
        (account / "token").write_text("the pod's token")
        api = Kubernetes(replicas=[1, 1, 0])
        try:
            self.inside(f"drain.sh scale-down http://127.0.0.1:{api.server_port} ci ebbtide")
        finally:
            api.shutdown()
            api.server_close()
        path = "/apis/apps/v1/namespaces/ci/deployments/ebbtide"
        self.assertEqual(api.asked[0], ("PATCH", path + "/scale", {"spec": {"replicas": 0}}))
        self.assertEqual(api.asked[1:], [("GET", path, None)] * 3)

    def test_an_image_of_it_serves_agents_as_another_user(self):
        stage = final_stage()[0]
        image = "ebbtide-test/server:" + uuid.uuid4().hex[:8]
        run("sh", "-ec", f"tar -C {self.root} -c . | docker import -c 'USER 8160:8160' "
            f"""-c 'ENTRYPOINT ["tini", "--", "ebbtide"]' -c 'CMD ["serve"]' - {image}""",
            env={**os.environ, "DOCKER_HOST": ENGINE})
        self.assertIn('ENTRYPOINT ["tini", "--", "ebbtide"]', stage)
        shared = pathlib.Path(tempfile.mkdtemp(prefix="ebbtide-shared-"))
        os.chown(shared, 8160, 8160)
        socket = ENGINE.removeprefix("unix://")
        server = "image-" + uuid.uuid4().hex[:8]
        port = free_port()
        try:
            docker("run", "-d", "--name", server, "--network", "host", "--read-only", "--cap-drop", "ALL",
                   "--security-opt", "no-new-privileges", "--group-add", str(os.stat(socket).st_gid),
                   "-v", f"{socket}:{socket}", "-v", f"{shared}:{shared}",
                   "-e", f"EBBTIDE_LISTEN=127.0.0.1:{port}", "-e", f"EBBTIDE_STATE_DIR={shared}/state",
                   "-e", f"EBBTIDE_RUN_DIR={shared}/run", "-e", f"EBBTIDE_SERVER_ID={server}", image)
            self.play_a_job(f"http://127.0.0.1:{port}", server)
        except Exception:
            print(docker("logs", server, check=False).stderr[-3000:], file=sys.stderr)
            raise
        finally:
            docker("rm", "-f", server)
            docker("rmi", image)
            shutil.rmtree(shared, ignore_errors=True)

    def play_a_job(self, url, server):
        """The job's docker goes through a socket that the server made in its container and the engine mounted."""
        goes = gocd.Gocd(url)
        until("the server", lambda: docker("exec", server, "curl", "-fsS", url + "/healthz", check=False).returncode == 0)
        self.assertEqual(docker("exec", server, "id", "-u"), "8160")
        goes.connect()
        cluster = {"go_server_url": "https://gocd.example.com/go", "docker_uri": ENGINE, "max_docker_containers": "5",
                   "auto_register_timeout": "10"}
        script = f"docker run -d {harness.BUSYBOX} sleep 1000; echo job done; sleep 1000"
        job, profile = gocd.job(5), {"Image": AGENT_IMAGE, "Command": "sh\n-c\n" + script}
        goes.create_agent(job, profile, cluster)
        agent = until("the agent", lambda: next(
            (a["id"] for a in goes.get("/api/v1/agents") if a["state"] == "registering"), None))
        until("the job's work", lambda: "job done" in docker("logs", agent))
        label = "label=ebbtide.server=" + server
        self.assertEqual(len(docker("ps", "-q", "--filter", label).split()), 2)
        # As before the release or the package is removed.
        docker("exec", server, "drain.sh", "agents", url)
        until("an empty engine", lambda: not docker("ps", "-aq", "--filter", label))
        self.assertIn(agent, goes.deleted)
        goes.create_agent(gocd.job(6), profile, cluster)
        until("another agent", lambda: any(a["state"] == "registering" for a in goes.get("/api/v1/agents")))
        refused = docker("exec", server, "ebbtide", "reap", "--all", "--engine", ENGINE, check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("stop it first", refused.stderr)
        goes.close()
        docker("kill", server)
        left = docker("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp:uid=8160", "--group-add",
                      str(os.stat(ENGINE.removeprefix("unix://")).st_gid),
                      "-v", f"{ENGINE.removeprefix('unix://')}:{ENGINE.removeprefix('unix://')}",
                      "-e", "EBBTIDE_STATE_DIR=/tmp/state", "-e", "EBBTIDE_RUN_DIR=/tmp/run",
                      "-e", f"EBBTIDE_SERVER_ID={server}", "--entrypoint", "drain.sh",
                      docker("inspect", "-f", "{{.Config.Image}}", server), "engine", ENGINE)
        self.assertIn("removed: 2 containers", left)
        self.assertEqual(docker("ps", "-aq", "--filter", label), "")


class Compose(unittest.TestCase):
    def config(self, *files, **more):
        named = [word for name in files or ["compose.yaml"] for word in ("-f", str(ROOT / "deploy" / name))]
        return subprocess.run(["docker-compose", *named, "config"], capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], **more})

    def test_it_is_valid_and_shares_one_folder_at_the_same_path(self):
        done = self.config(EBBTIDE_TOKEN="t", DOCKER_GID="999", EBBTIDE_DIR="/srv/ebbtide")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("- /srv/ebbtide:/srv/ebbtide:rw"), 2)
        self.assertIn("EBBTIDE_RUN_DIR: /srv/ebbtide/run", done.stdout)

    def test_with_its_override_engine_and_server_share_mounts_and_processes(self):
        done = self.config("compose.yaml", "compose.paths.yaml", EBBTIDE_TOKEN="t", DOCKER_GID="999", EBBTIDE_DIR="/srv/e")
        self.assertEqual(done.returncode, 0, done.stderr)
        server = yaml.safe_load(done.stdout)["services"]["ebbtide"]
        self.assertEqual((server["user"], server["pid"], server["cap_drop"]), ("0:0", "host", ["ALL"]))
        shared = {v["target"]: v["bind"]["propagation"] for v in server["volumes"] if isinstance(v, dict)}
        self.assertEqual(shared, {"/srv/e": "rshared", "/var/lib/docker": "rslave"})

    def test_it_asks_for_the_token_and_the_group(self):
        for given, missing in (({"EBBTIDE_TOKEN": "t"}, "DOCKER_GID"), ({"DOCKER_GID": "1"}, "EBBTIDE_TOKEN")):
            done = self.config(**given)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("see the head of deploy/compose.yaml", done.stderr, missing)


if __name__ == "__main__":
    harness.main()
