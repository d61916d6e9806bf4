"""What the end-to-end tests share: the real binary, a real engine (DOCKER_HOST), and results as GoogleTest writes them."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.request
import uuid
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/tools"))

import gocd  # noqa: E402
import own_engine  # noqa: E402
from own_engine import free_port  # noqa: E402

BINARY = os.environ.get("EBBTIDE_BINARY", str(ROOT / "build/dev/ebbtide"))


def an_engine():
    """For this program alone, where DOCKER_HOST names none."""
    host = own_engine.start()
    own_engine.add_images(host, "dind")
    return host


ENGINE = os.environ.get("DOCKER_HOST") or an_engine()
AGENT_IMAGE = "ebbtide-test/agent:1"
BUSYBOX = "ebbtide-test/busybox:1"
BUILDX = os.environ.get("EBBTIDE_TEST_BUILDX", "")  # its version, where it is to be another than on Debian's engine
CLIENTS = ROOT / ("build/clients-" + BUILDX if BUILDX else "build/clients")


def run(*command, host=None, check=True, input=None, timeout=120):
    """Runs a command; its stdout. host: the docker endpoint."""
    env = {**os.environ, "DOCKER_HOST": host or ENGINE, "DOCKER_BUILDKIT": "0"}
    done = subprocess.run(command, env=env, input=input, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout if check else done


def docker(*args, **options):
    out = run("docker", *args, **options)
    return out.strip() if isinstance(out, str) else out


def make_buildx():
    subprocess.run([str(ROOT / "tests/support/clients.sh"), str(CLIENTS), *([BUILDX] if BUILDX else [])], check=True)


def api_version():
    """The minor one that docker and the engine have agreed upon: 41 with Debian's engine."""
    return int(docker("version", "--format", "{{.Client.APIVersion}}").removeprefix("1."))


def left_by_prune(volume):
    """What docker volume ls -q then prints of a volume with a name: from API 1.42 on, a prune leaves those."""
    return "" if api_version() < 42 else volume + "\n"


def until(what, condition, seconds=60):
    tick = threading.Event()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        tick.wait(0.1)
    raise AssertionError(f"waited {seconds} s for {what}")


def mounts_below(folder):
    with open("/proc/self/mountinfo") as table:
        points = [line.split()[4].encode().decode("unicode_escape") for line in table]
    return sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True)


def unmount_below(folder):
    """What a killed server had staged: a folder with mounts must never be removed, since that would empty them."""
    for point in mounts_below(folder):
        subprocess.run(["umount", "-l", point], check=False)
    left = mounts_below(folder)
    if left:
        raise AssertionError(f"still mounted, so {folder} stays: {left}")


class Server:
    """ebbtide serve with a state of its own. Restarting keeps the state and the port."""

    def __init__(self, *flags):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ebbtide-e2e-"))
        self.id = "e2e-" + uuid.uuid4().hex[:12]
        self.port = free_port()
        self.flags = flags
        self.process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen(
            [BINARY, "serve", "--listen", f"127.0.0.1:{self.port}", "--state-dir", str(self.folder / "state"),
             "--run-dir", str(self.folder / "run"), "--server-id", self.id, *self.flags],
            stdout=log, stderr=log, env={k: v for k, v in os.environ.items() if not k.startswith("EBBTIDE_")})
        log.close()
        until("the server", self.answers, 30)
        return self

    def ready(self):
        """After the first listing of its engines: it knows its agents."""
        return self.answers("/readyz")

    def answers(self, path="/healthz"):
        try:
            with urllib.request.urlopen(self.url + path, timeout=5):
                return True
        except OSError:
            if self.process.poll() is not None:
                raise AssertionError("the server ended: " + (self.folder / "log").read_text()[-3000:])
            return False

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=60)
        assert code == 0, f"the server ended with {code}"

    def remove(self):
        if self.process and self.process.poll() is None:
            self.kill()
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)

    def left(self):
        """All that bears this server's id."""
        label = "label=ebbtide.server=" + self.id
        found = docker("ps", "-aq", "--filter", label).split()
        found += docker("network", "ls", "-q", "--filter", label).split()
        found += docker("volume", "ls", "-q", "--filter", label).split()
        images = docker("images", "-q", "--filter", "label=ebbtide.image-agent", "--format",
                        "{{.ID}}").split()
        return found + [i for i in images if self.id in docker("inspect", "--format", "{{.Config.Labels}}", i)]

    def log(self):
        return (self.folder / "log").read_text()


class ServerTest(unittest.TestCase):
    flags = ()

    def setUp(self):
        self.server = Server(*self.flags)
        self.addCleanup(self.server.remove)  # also where the rest of a set-up fails
        self.server.start()
        self.gocd = gocd.Gocd(self.server.url)
        self.gocd.connect()
        self.cluster = {"go_server_url": "https://gocd.example.com/go", "docker_uri": ENGINE,
                        "max_docker_containers": "100", "auto_register_timeout": "10"}

    def tearDown(self):
        self.gocd.close()
        left = self.server.left()
        log = self.server.log()
        self.server.remove()
        for kind in (("rm", "-fv"), ("network", "rm"), ("volume", "rm")):  # so that one failure causes no more
            for each in left:
                docker(*kind, each, check=False)
        if left:
            print(log[-6000:], file=sys.stderr)
        self.assertEqual(left, [], "left on the engine")

    def profile(self, script, **more):
        lines = "; ".join(line for line in script.strip().splitlines())
        return {"Image": AGENT_IMAGE, "Command": "sh\n-c\n" + lines, **more}

    def agents(self):
        return self.gocd.get("/api/v1/agents")

    def agent_of(self, job):
        return next((a for a in self.agents() if a["job"]["id"] == job["job_id"]), None)

    def bring_up(self, job, profile):
        """An agent that is building its job; its id."""
        self.gocd.create_agent(job, profile, self.cluster)
        agent = until("the agent of " + job["job_name"],
                      lambda: (a := self.agent_of(job)) and a["state"] == "registering" and a)["id"]
        self.gocd.register(agent)
        self.assertTrue(self.gocd.should_assign(agent, job, profile, self.cluster))
        self.gocd.set_state(agent, "Building")
        return agent

    def until_gone(self, agent, seconds=60):
        until(f"the end of {agent}", lambda: agent in self.gocd.deleted, seconds)
        until("the history of " + agent,
              lambda: any(e["id"] == agent for e in self.gocd.get("/api/v1/history")), seconds)


class Results(unittest.TextTestResult):
    """Text for people, and the results as XML for the count."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cases = []

    def startTest(self, test):
        super().startTest(test)
        self.bad = self.skipped_one = False

    def addSkip(self, test, reason):
        self.skipped_one = True
        super().addSkip(test, reason)

    def addFailure(self, test, error):
        self.bad = True
        super().addFailure(test, error)

    def addError(self, test, error):
        self.bad = True
        super().addError(test, error)

    def addSubTest(self, test, subtest, error):
        self.bad = self.bad or error is not None
        super().addSubTest(test, subtest, error)

    def stopTest(self, test):
        self.cases.append((type(test).__name__, test._testMethodName, self.bad, self.skipped_one))
        super().stopTest(test)


def main():
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(verbosity=2, resultclass=Results).run(suite)
    folder = os.environ.get("EBBTIDE_RESULTS")
    if folder:
        top = xml.Element("testsuites")
        for group, name, bad, skipped in result.cases:
            case = xml.SubElement(top, "testcase", classname=group, name=name, status="run")
            if bad:
                xml.SubElement(case, "failure")
            if skipped:
                xml.SubElement(case, "skipped")
        xml.ElementTree(top).write(os.path.join(folder, pathlib.Path(sys.argv[0]).stem + ".xml"))
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
