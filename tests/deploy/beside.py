"""The server in a container beside the engine, with the options of docs/operations.md: jobs' own paths and limits of an agent
as a whole work there, and nothing is left; without one of the options a job's path is refused and the text says what to do."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

import harness  # noqa: E402
from harness import AGENT_IMAGE, BUSYBOX, ENGINE, docker, free_port, gocd, until  # noqa: E402

SOCKET = ENGINE.removeprefix("unix://")
CAPABILITIES = "SYS_ADMIN SYS_PTRACE DAC_OVERRIDE DAC_READ_SEARCH CHOWN FOWNER KILL".split()
MOUNT_AND_READ = f"mkdir -p /work && cd /work && echo mine >file && docker run --rm -v $PWD:/src {BUSYBOX} cat /src/file"


def server_image():
    """Nothing but where the machine's own /usr is mounted: no build, and the program finds the libraries it was linked with."""
    name = "ebbtide-test/beside:" + uuid.uuid4().hex[:8]
    script = """cd $1; mkdir dev etc proc root run sys tmp usr var
        for name in bin lib lib64 sbin; do ln -s usr/$name $name; done
        tar -c . | docker import - $2"""
    with tempfile.TemporaryDirectory() as folder:
        harness.run("sh", "-ec", script, "sh", folder, name)
    return name


class Beside(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.image = server_image()
        cls.addClassCleanup(docker, "rmi", cls.image)
        # As GoCD's images: the working directory is a volume.
        cls.agent_image = cls.image + "-agent"
        docker("build", "-q", "-t", cls.agent_image, "-", input=f"FROM {AGENT_IMAGE}\nVOLUME /go-working-dir\n")
        cls.addClassCleanup(docker, "rmi", cls.agent_image)
        cls.data = docker("info", "--format", "{{.DockerRootDir}}")

    def setUp(self):
        self.id = "beside-" + uuid.uuid4().hex[:8]
        self.port = free_port()
        self.gocd = gocd.Gocd(f"http://127.0.0.1:{self.port}")
        self.job = gocd.job(1)
        self.profile = {"Image": self.agent_image, "Command": "sh\n-c\nsleep 3000", "MaxMemory": "96M"}
        self.cluster = {"go_server_url": "https://gocd.example.com/go", "docker_uri": ENGINE,
                        "max_docker_containers": "5", "auto_register_timeout": "10"}
        # Under systemd all mounts are shared; where they are not, the folder must be made so.
        self.shared = tempfile.mkdtemp(prefix="ebbtide-beside-")
        self.addCleanup(self.remove_shared)
        for options in (["--bind", self.shared], ["--make-private"], ["--make-shared"]):
            subprocess.run(["mount", *options, self.shared], check=True)

    def remove_shared(self):
        harness.unmount_below(self.shared)
        subprocess.run(["umount", self.shared], check=True)
        shutil.rmtree(self.shared)

    def start(self, without=None):
        """With what docs/operations.md lists; without: the name of what is left out."""
        options = {
            "pid": ["--pid", "host"],
            "cgroup": ["--cgroupns", "host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup"],
            "capabilities": ["--cap-add=" + name for name in CAPABILITIES],
            "data": ["-v", f"{self.data}:{self.data}:rslave"],
            "run": ["-v", f"{self.shared}:{self.shared}:rshared"],
        }
        if without:
            options[without] = {"run": ["-v", f"{self.shared}:{self.shared}"],
                                "capabilities": ["--cap-add=SYS_PTRACE", "--cap-add=DAC_OVERRIDE"],
                                "ptrace": []}.get(without, [])
        if without == "ptrace":
            options["capabilities"].remove("--cap-add=SYS_PTRACE")
        docker("run", "-d", "--name", self.id, "--network", "host", "--user", "0:0", "--read-only", "--cap-drop", "ALL",
               "--security-opt", "no-new-privileges", "--security-opt", "apparmor=unconfined",
               *[word for option in options.values() for word in option],
               "-v", "/usr:/usr:ro", "-v", f"{harness.BINARY}:/ebbtide:ro", "-v", f"{SOCKET}:{SOCKET}", self.image,
               "/ebbtide", "serve", "--listen", f"127.0.0.1:{self.port}", "--state-dir", f"{self.shared}/state",
               "--run-dir", f"{self.shared}/run", "--server-id", self.id)
        self.addCleanup(self.stop)
        until("the server", self.answers)
        self.gocd.connect()
        self.gocd.create_agent(self.job, self.profile, self.cluster)
        self.agent = until("the agent", lambda: next(
            (a["id"] for a in self.gocd.get("/api/v1/agents") if a["state"] == "registering"), None))

    def stop(self):
        self.gocd.close()
        docker("rm", "-f", self.id)
        left = docker("ps", "-aq", "--filter", "label=ebbtide.server=" + self.id).split()
        if left:
            docker("rm", "-fv", *left)

    def answers(self):
        try:
            self.gocd.call("GET", "/healthz")
            return True
        except OSError:
            return False

    def inside(self, script):
        return harness.run("docker", "exec", self.agent, "sh", "-c", "exec 2>&1; " + script, check=False).stdout.strip()

    def staged(self):
        return harness.mounts_below(self.shared + "/run/mounts")

    def groups(self):
        name = "ebbtide-" + self.id
        return [*pathlib.Path("/sys/fs/cgroup").glob(name), *pathlib.Path("/sys/fs/cgroup").glob("*/" + name)]

    def finish(self):
        self.gocd.register(self.agent)
        self.gocd.complete(self.agent, self.job, self.profile, self.cluster)
        until("GoCD to hear of the end", lambda: self.agent in self.gocd.deleted)
        for kind in (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
            self.assertEqual(docker(*kind, "--filter", "label=ebbtide.server=" + self.id), "")
        self.assertEqual(self.staged(), [])
        self.assertEqual(self.groups(), [])

    def test_a_job_mounts_its_own_files_and_volumes_and_all_of_it_goes(self):
        self.start()
        self.assertEqual(self.inside(MOUNT_AND_READ), "mine")
        self.assertEqual(self.inside(f"docker run --rm -v cache:/d {BUSYBOX} sh -c 'echo kept >/d/f'; "
                                     f"docker run --rm -v cache:/d {BUSYBOX} cat /d/f"), "kept")
        self.assertEqual(self.inside(f"docker run --rm -v /work/new:/src {BUSYBOX} sh -c 'echo out >/src/f'; cat /work/new/f"),
                         "out")
        self.assertEqual(self.inside(f"cd /go-working-dir && echo kept >in && docker run --rm -v $PWD:/src {BUSYBOX} cat /src/in"),
                         "kept")
        self.assertTrue(self.staged())
        self.finish()

    def test_a_link_leads_nowhere_on_the_machine(self):
        self.start()
        secret = pathlib.Path(self.shared, "secret")
        secret.write_text("the machine's")
        for source in (f"/link{self.shared}", "/up" + "/.." * 9 + self.shared):
            said = self.inside(f"ln -sfn / /link; docker run --rm -v {source}:/src {BUSYBOX} cat /src/secret")
            self.assertIn("No such file", said)
            self.assertNotIn("the machine's", said)
        self.finish()

    def test_the_memory_is_for_the_agent_and_its_containers_together(self):
        self.start()
        self.assertTrue(self.groups())
        said = self.inside(f"docker run --rm {BUSYBOX} dd if=/dev/zero of=/dev/null bs=400M count=1; echo code $?")
        self.assertIn("code 137", said)
        self.assertEqual(self.inside(f"docker run --rm {BUSYBOX} echo lives"), "lives")
        self.finish()

    def test_a_killed_server_takes_its_mounts_up_again(self):
        self.start()
        self.assertEqual(self.inside(MOUNT_AND_READ), "mine")
        docker("kill", self.id)
        docker("start", self.id)
        until("the agent's gateway", lambda: self.inside(MOUNT_AND_READ) == "mine")
        self.finish()

    def assert_refused(self, without, words):
        self.start(without)
        said = self.inside(MOUNT_AND_READ)
        self.assertIn(words, said)
        # All else goes on.
        self.assertEqual(self.inside(f"docker run --rm {BUSYBOX} echo lives"), "lives")
        self.finish()

    def test_without_the_engines_processes_a_path_is_refused(self):
        self.assert_refused("pid", "it must share the engine's PID namespace")

    def test_without_the_right_to_look_at_processes_a_path_is_refused(self):
        self.assert_refused("ptrace", "with the capability CAP_SYS_PTRACE")

    def test_without_the_engines_data_a_path_is_refused(self):
        self.assert_refused("data", "have the engine's data directory at the same path")

    def test_without_a_shared_run_dir_a_path_is_refused(self):
        self.assert_refused("run", "run_dir must be a shared mount")

    def test_without_the_right_to_mount_a_path_is_refused(self):
        self.assert_refused("capabilities", "needs the capability CAP_SYS_ADMIN")


if __name__ == "__main__":
    harness.main()
