"""Known ways out of a gateway, tried by an agent on a real engine: none shows it the host's secret or another's
container, and the audit has each."""
import pathlib
import shutil
import socket
import tempfile
import uuid

import harness
from harness import BUSYBOX, ServerTest, docker, gocd, until

# $S: a file of the host that holds the secret, $D: its folder; $T: a stranger's container, $A: the agent.
# What each must print, if it is to be refused; the others must only be harmless.
COMMANDS = {
    "privileged": ("docker run --rm --privileged $B cat $S", "rule: privileged"),
    "privileged exec": ("docker exec --privileged own cat $S", "rule: privileged"),
    "the root": ("docker run --rm -v /:/h $B cat /h$S", None),
    "a folder": ("docker run --rm -v $D:/h $B cat /h/secret", None),
    "a folder by a longer way": ("docker run --rm -v /proc/../$D/./:/h $B cat /h/secret", None),
    "a file": ("docker run --rm --mount type=bind,source=$S,target=/h $B cat /h", None),
    "the parent of the socket": ("docker run --rm -v /run:/h $B ls /h/docker.pid /h/containerd", "."),
    "another process's root": ("docker run --rm -v /proc/1/root:/h $B cat /h$S", None),
    "a link in the agent": ("ln -s / /tmp/out; docker run --rm -v /tmp/out:/h $B cat /h$S", None),
    "a link in a volume": ("docker run --rm -v links:/l $B ln -s / /l/out; docker run --rm -v links:/l $B cat /l/out$S", None),
    "a volume of the host": (
        "docker volume create -o type=none -o o=bind -o device=/ root; docker run --rm -v root:/h $B cat /h$S", None),
    "a mount of the host": (
        "docker run --rm --mount type=volume,source=v,target=/h,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/ "
        "$B cat /h$S", "rule: volume-options"),
    "an overlay of the host": ("docker volume create -o type=overlay -o o=lowerdir=/ -o device=x v", "rule: volume-options"),
    "a volume driver": ("docker run --rm --volume-driver other -v v:/h $B true", "rule: volume-driver"),
    "the host's processes": ("docker run --rm --pid host $B ls /proc", "rule: host-namespace"),
    "the host's memory": ("docker run --rm --ipc host $B true", "rule: host-namespace"),
    "the host's name": ("docker run --rm --uts host $B true", "rule: host-namespace"),
    "the host's users": ("docker run --rm --userns host $B true", "rule: host-namespace"),
    "the host's cgroups": ("docker run --rm --cgroupns host $B true", "rule: host-namespace"),
    "the host's network": ("docker run --rm --network host $B true", "rule: host-network"),
    "the host's network in a build": ("echo FROM $B | docker build --network host -", "rule: host-network"),
    "capabilities": ("docker run --rm --cap-add sys_admin $B true", "rule: capability"),
    "all capabilities": ("docker run --rm --cap-add ALL $B true", "rule: capability"),
    "a device": ("docker run --rm --device /dev/mem $B true", "rule: device"),
    "a device rule": ("docker run --rm --device-cgroup-rule 'b *:* rwm' $B true", "rule: device"),
    "no seccomp": ("docker run --rm --security-opt seccomp=unconfined $B true", "rule: security-option"),
    "no masks": ("docker run --rm --security-opt systempaths=unconfined $B true", "rule: masked-paths"),
    "another control group": ("docker run --rm --cgroup-parent / $B true", "rule: cgroup-parent"),
    "another runtime": ("docker run --rm --runtime other $B true", "rule: runtime"),
    "logs elsewhere": ("docker run --rm --log-driver syslog $B true", "rule: log-driver"),
    "a build of the host's": ("docker build http://127.0.0.1/context.tar", "."),
    "an import of the host's": ("docker import http://127.0.0.1/x.tar", "rule: remote-import"),
    "the host's interface": ("docker network create -d macvlan -o parent=eth0 n", "rule: network-driver"),
    "a route of others": ("docker network create --subnet 8.8.8.0/24 n", "rule: subnet"),
    "swarm": ("docker swarm init", "rule: endpoint"),
    "plugins": ("docker plugin install --grant-all-permissions x", "rule: endpoint"),
    "a stranger's processes": ("docker run --rm --pid container:$T $B cat /proc/1/root/stranger", "(?i)no such container"),
    "a stranger's network": ("docker run --rm --network container:$T $B true", "(?i)no such container"),
    "a stranger's volumes": ("docker run --rm --volumes-from $T $B true", "(?i)no such container"),
    "the agent's processes": ("docker run --rm --pid container:$A $B ps", "rule: own-agent"),
    "the agent itself": ("docker exec $A true", "rule: own-agent"),
    "a stranger's end": ("docker rm -f $T", "(?i)no such container"),
    "a stranger's inside": ("docker exec $T cat /stranger", "(?i)no such container"),
    "a stranger's files": ("docker cp $T:/stranger -", "(?i)no such container"),
    "a stranger's image": ("docker commit $T x", "(?i)no such container"),
    "a stranger's image by a prefix": ("docker commit $(echo $T | cut -c1-4) x", "(?i)no such container"),
    "a stranger's file system": ("docker export $T", "(?i)no such container"),
    "a stranger's log": ("docker logs $T", "(?i)no such container"),
    "a stranger's terminal": ("docker attach --no-stdin $T", "(?i)no such container"),
    "a stranger's table of processes": ("docker top $T", "(?i)no such container"),
    "a stranger's use": ("docker stats --no-stream $T", "(?i)no such container"),
    "a stranger's limits": ("docker update --cpus 1 $T", "(?i)no such container"),
    "a stranger in a network": ("docker network create mine; docker network connect mine $T", "(?i)no such container"),
}

# What only looks, and so is in no audit: the stranger's container, its name, labels and log hold the secret.
LOOKS = {
    "events": "timeout 20 docker events --since 1 --until $(date +%s) --format '{{json .}}'",
    "events of a stranger": "timeout 20 docker events --since 1 --until $(date +%s) --filter container=$T --format '{{json .}}'",
    "disk usage": "docker system df -v; docker system df --format '{{json .}}'",
    "containers": "docker ps -a --no-trunc --format '{{json .}}'; docker ps -a --filter id=$T --filter label=of",
    "networks": "docker network inspect bridge none host",
    "volumes": "docker volume ls --format '{{json .}}'",
    "the engine": "docker info --format '{{json .}}'; docker version --format '{{json .}}'",
    "statistics": "docker stats --no-stream --all --format '{{json .}}'",
}

# In a job whose images are isolated; $I: another job's image, which holds the secret.
IMAGES = {
    "run": "docker run --rm --pull never $I cat /s",
    "saved": "docker save $I | tar -tv; docker save $I busybox",
    "copied": "docker create --name c --pull never $I; docker cp c:/s -",
    "looked at": "docker image inspect $I; docker history --no-trunc $I; docker images -a --format '{{json .}}'",
    "tagged": "docker tag $I mine:1; docker run --rm --pull never mine:1 cat /s",
    "pushed": "docker push $I",
    "removed": "docker rmi -f $I",
    "by its id": "docker run --rm --pull never $ID cat /s; docker save $ID | tar -tv",
    "pulled in vain": "docker pull $I >/dev/null 2>&1; docker run --rm --pull never $I cat /s",
    "in events": "timeout 20 docker events --since 1 --until $(date +%s) --filter type=image --format '{{json .}}'",
    "in the disk's usage": "docker system df -v; docker system df -v --format '{{json .}}'",
    "by a prefix of its id": "docker run --rm --pull never $(echo $ID | cut -c8-20) cat /s",
}

JSON = "Content-Type: application/json\r\n"
# Requests as bytes; how the answer begins.
REQUESTS = {
    "keys in lower case": ("POST /v1.41/containers/create", JSON, '{"image":"%B","hostconfig":{"privileged":true}}', "403"),
    "keys twice": ("POST /v1.41/containers/create", JSON,
                   '{"Image":"%B","HostConfig":{},"HOSTCONFIG":{"Privileged":true}}', "40[03]"),
    "a long s": ("POST /v1.41/containers/create", JSON, '{"Image":"%B","Ho\u017ftConfig":{"Privileged":true}}', "40[03]"),
    "the old place": ("POST /v1.41/containers/create", JSON, '{"Image":"%B","Privileged":true}', "40[03]"),
    "a setting of the kernel": ("POST /v1.41/containers/create", JSON,
                                '{"Image":"%B","HostConfig":{"Sysctls":{"kernel.core_pattern":"|/x"}}}', "403"),
    "two documents": ("POST /v1.41/containers/create", JSON, '{"Image":"%B"}{"HostConfig":{"Privileged":true}}', "400"),
    "a form": ("POST /v1.41/containers/prune", "Content-Type: application/x-www-form-urlencoded\r\n", "filters={}", "400"),
    "a full target": ("GET http://d/v1.41/containers/%T/json", "", "", "400"),
    "dots": ("GET /v1.41/containers/own/../%T/json", "", "", "4"),
    "a coded slash": ("GET /v1.41/containers%2F%T%2Fjson", "", "", "4"),
    "a stranger by its link": ("GET /v1.41/containers/own/alias/%T/json", "", "", "404"),
    "a way out of a volume": ("POST /v1.45/containers/create", JSON,
                              '{"Image":"%B","HostConfig":{"Mounts":[{"Type":"volume","Source":"v","Target":"/v",'
                              '"VolumeOptions":{"Subpath":"../../.."}}]}}', "40[03]"),
    "a start with a body": ("POST /v1.23/containers/own/start", JSON, '{"Privileged":true,"Binds":["/:/h"]}', "(304|204|400)"),
    "a checkpoint": ("POST /v1.41/containers/own/start?checkpoint=c&checkpoint-dir=/", "", "", "403"),
    "an exec of nobody": ("POST /v1.41/exec/" + "a" * 64 + "/start", JSON, "{}", "404"),
}


class Bypasses(ServerTest):
    def setUp(self):
        super().setUp()
        self.secret = uuid.uuid4().hex
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ebbtide-secret-"))
        (self.folder / "secret").write_text(self.secret)
        self.stranger = docker("run", "-d", "--name", f"s-{self.secret}", "--label", f"of={self.secret}", "-v",
                               f"v-{self.secret}:/v", BUSYBOX, "sh", "-c",
                               f"echo {self.secret} | tee /stranger; sleep 3000")
        self.job = gocd.job(1)
        self.agent_profile = self.profile("sleep 3000")
        self.agent = self.bring_up(self.job, self.agent_profile)
        self.shell("docker run -d --name own --network none $B sleep 3000")

    def tearDown(self):
        if self.agent:
            self.end()
        docker("rm", "-f", self.stranger)
        docker("volume", "rm", f"v-{self.secret}")
        shutil.rmtree(self.folder)
        super().tearDown()

    def end(self):
        self.gocd.complete(self.agent, self.job, self.agent_profile, self.cluster)
        self.until_gone(self.agent)
        self.agent = None

    def shell(self, script):
        names = (f"B={BUSYBOX} S={self.folder}/secret D={self.folder} T={self.stranger[:12]} A={self.agent} "
                 "DOCKER_BUILDKIT=0")
        return harness.run("docker", "exec", self.agent, "sh", "-c", f"exec 2>&1; export {names}; {script}",
                           check=False).stdout

    def audit(self):
        return self.gocd.get(f"/api/v1/agents/{self.agent}/audit?limit=1000")

    def raw(self, line, headers, body):
        body = body.replace("%B", BUSYBOX).encode()
        head = f"{line} HTTP/1.1\r\nHost: d\r\n{headers}".replace("%T", self.stranger[:12])
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(60)
            wire.connect(str(self.server.folder / "run/agents" / self.agent / "docker.sock"))
            wire.sendall(head.encode() + f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
            answer = b""
            while piece := wire.recv(65536):
                answer += piece
        return answer.decode()

    def test_none_leads_to_the_host_or_a_stranger_and_each_is_audited(self):
        for name, (command, expected) in COMMANDS.items():
            with self.subTest(name):
                known = len(self.audit())
                out = self.shell(command)
                self.assertNotIn(self.secret, out)
                if expected:
                    self.assertRegex(out, expected)
                if expected != ".":
                    until("the audit", lambda: len(self.audit()) > known, 10)
                if expected and expected.startswith("rule: "):
                    self.assertIn(expected.removeprefix("rule: "), [each["rule"] for each in self.audit()])
        self.assertEqual(docker("inspect", "--format", "{{.State.Running}}", self.stranger), "true")

    def test_no_look_shows_a_stranger(self):
        for name, command in LOOKS.items():
            with self.subTest(name):
                out = self.shell(command)
                self.assertNotIn(self.secret, out)
                # But for the commands of this test, which are execs in the agent.
                seen = [line for line in out.splitlines() if self.stranger[:12] in line and '"exec_' not in line]
                self.assertEqual(seen, [])

    def test_an_isolated_job_reaches_no_others_image(self):
        self.shell(f"printf 'FROM {BUSYBOX}\\nRUN echo {self.secret} | tee /s\\n' | docker build -q -t theirs-{self.agent}:1 -")
        image = docker("images", "-q", "--no-trunc", f"theirs-{self.agent}")
        self.assertTrue(image)
        job, profile = gocd.job(2, name="alone"), {**self.profile("sleep 3000"), "Images": "isolated"}
        alone = self.bring_up(job, profile)
        for name, command in IMAGES.items():
            with self.subTest(name):
                out = harness.run("docker", "exec", alone, "sh", "-c", f"exec 2>&1; I=theirs-{self.agent}:1 ID={image}; {command}",
                                  check=False).stdout
                self.assertNotIn(self.secret, out)
                self.assertNotIn(f"{self.agent}:1\"", out)
                if name in ("in events", "in the disk's usage"):
                    self.assertNotIn(f"theirs-{self.agent}", out)
        self.assertEqual(docker("images", "-q", "--no-trunc", f"theirs-{self.agent}"), image)
        self.gocd.complete(alone, job, profile, self.cluster)
        self.until_gone(alone)

    def test_requests_are_read_as_the_engine_would(self):
        for name, (line, headers, body, expected) in REQUESTS.items():
            with self.subTest(name):
                known = len(self.audit())
                answer = self.raw(line, headers, body)
                self.assertRegex(answer, "^HTTP/1.1 " + expected)
                self.assertNotIn(self.secret, answer)
                until("the audit", lambda: len(self.audit()) > known, 10)
        answer = self.raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /", "", "")
        self.assertTrue(answer.startswith("HTTP/1.1 400"))

    def test_the_audit_holds_no_secrets(self):
        self.shell(f"docker run --rm -e TOKEN={self.secret} $B true")
        self.shell(f"echo FROM $B | docker build --build-arg TOKEN={self.secret} -")
        self.shell(f"docker login -u x -p {self.secret} 127.0.0.1:1")
        self.shell("docker swarm init")
        until("the audit", lambda: any(each["path"] == "/swarm/init" for each in self.audit()), 10)
        self.assertNotIn(self.secret, str(self.audit()))
        self.assertIn("container " + docker("inspect", "--format", "{{.Id}}", self.agent),
                      [each["caller"] for each in self.audit()])

    def test_labels_of_an_image_make_nobody_an_owner(self):
        forged = "".join(f"LABEL ebbtide.{key}={value}\\n" for key, value in
                         (("agent", self.agent), ("server", self.server.id), ("role", "belonging"), ("check", "0")))
        self.shell(f"printf 'FROM {BUSYBOX}\\n{forged}' | docker build -t forged:1 -")
        operators = docker("run", "-d", "--network", "none", "forged:1", "sleep", "3000")
        try:
            self.assertNotIn(operators[:12], self.shell("docker ps -a"))
            self.end()
            self.assertEqual(docker("inspect", "--format", "{{.State.Running}}", operators), "true")
        finally:
            docker("rm", "-f", operators)
            docker("rmi", "forged:1", check=False)


if __name__ == "__main__":
    harness.main()
