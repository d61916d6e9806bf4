"""Real clients give through the gateway, where the profile trusts the job, what they give on the bare engine: the Python
SDK, docker compose and Testcontainers, but for ids, times and addresses. They come from their languages' registries into
build/clients."""
import base64
import concurrent.futures
import difflib
import os
import re
import shutil
import subprocess
import sys

import harness
from gateway import normal
from harness import AGENT_IMAGE, BUSYBOX, ENGINE, ROOT, ServerTest, docker, gocd, until

TOOLS = ROOT / "build/clients"
SCRIPTS = ROOT / "tests/e2e/clients"
PACKAGES = ["docker==7.2.0", "testcontainers==4.15.0"]
COMPOSE = "github.com/docker/compose/v2/cmd@v2.28.1"

# Ryuk, Testcontainers' reaper, is an image that tests can't pull: EBBTIDE_RYUK_IMAGE names one that the engine has. Else
# this speaks its protocol: a line of filters is acknowledged; when the connection has ended and nobody came back in time,
# all that they match is removed.
REAPER = r"""
set -u
serve() {
  touch /run/on-$$
  while read -r line; do
    printf '%s\n' "$line" | tr -d '\r' >>/run/filters
    echo ACK
  done
  rm /run/on-$$
  sleep "${RYUK_RECONNECTION_TIMEOUT%s}"
  ls /run/on-* >/dev/null 2>&1 || touch /run/reap
}
reap() {
  while read -r filters; do
    set -- $(printf '%s' "$filters" | tr '&' '\n' | sed 's/^/--filter=/')
    docker ps -aq "$@" | xargs -r docker rm -fv
    docker network ls -q "$@" | xargs -r docker network rm
    docker volume ls -q "$@" | xargs -r docker volume rm
  done </run/filters
}
if [ "${1:-}" = serve ]; then serve; exit; fi
nc -ll -p 8080 -e sh /reaper serve &
echo Started!
until [ -e /run/reap ]; do sleep 0.1; done
reap
"""
RYUK = os.environ.get("EBBTIDE_RYUK_IMAGE")
REAPER_IMAGE = RYUK or "ebbtide-test/reaper:1"

DOCKERFILE = (f"FROM {AGENT_IMAGE}\nRUN echo {base64.b64encode(REAPER.encode()).decode()} | base64 -d >/reaper\n"
              'CMD ["sh", "/reaper"]\n')

PROJECT = f"""
services:
  db:
    image: {BUSYBOX}
    container_name: thedb
    command: sleep 1000
    init: true
    volumes: ["data:/data", "./here:/here", "/scratch"]
    networks: {{back: {{aliases: [database]}}}}
    healthcheck: {{test: "cat /here/file", interval: 1s, timeout: 30s, retries: 30}}
    labels: {{com.example: label}}
  web:
    image: {BUSYBOX}
    command: sh -c 'ping -c1 -q database >/dev/null && echo found the database; sleep 1000'
    depends_on: {{db: {{condition: service_healthy}}}}
    environment: {{WHO: web}}
    networks: [back, default]
    ports: ["127.0.0.1::80"]
    configs: [words]
    deploy: {{resources: {{limits: {{memory: 64m}}}}}}
  built:
    build: {{context: ., args: {{WHO: me}}}}
    command: cat /built
configs: {{words: {{file: ./here/file}}}}
volumes: {{data: {{}}}}
networks: {{back: {{internal: true}}}}
"""

# $P is the project's name and its folder's. Compose sorts little, since it does things at once: sorted here.
COMPOSE_SCRIPT = f"""
compose() {{ /clients/docker-compose --ansi never --progress quiet "$@" </dev/null; echo "$1: $?"; }}
mkdir -p /tmp/$P/here; cd /tmp/$P; echo a word >here/file
cat >compose.yaml <<'END'
{PROJECT}
END
printf 'FROM %s\\nARG WHO\\nRUN echo built for $WHO >/built\\nCOPY here/file /copied\\n' {BUSYBOX} >Dockerfile
compose build; compose up -d
compose ps -a --format '{{{{.Name}}}} {{{{.Service}}}} {{{{.State}}}} {{{{.Health}}}} {{{{.ExitCode}}}}' | sort
compose ls; compose images | awk '{{print $1, $2}}' | sort
until docker logs $P-web-1 2>&1 | grep -q found; do sleep 0.1; done; compose logs --no-color --no-log-prefix | sort
compose exec -T web sh -c 'cat /words; echo $WHO'; compose exec -T db sh -c 'cat /here/file; echo back >/here/back'; cat here/back
compose run --rm -T web sh -c 'echo run as $WHO'; compose port web 80; compose top db | grep -c 'sleep 1000'
compose cp here/file web:/copy; compose exec -T web cat /copy
compose up -d --scale web=2; compose ps -q web | wc -l
sed -i 's/WHO: web/WHO: changed/' compose.yaml; compose up -d; compose exec -T web sh -c 'echo $WHO'
compose pause web; compose unpause web; compose restart -t 0 db; compose kill web; compose start web
docker inspect --format '{{{{.Name}}}} {{{{.HostConfig.NetworkMode}}}} {{{{.HostConfig.Binds}}}} {{{{len .Mounts}}}} {{{{.Config.Labels}}}}' thedb
docker network ls --filter label=com.docker.compose.project=$P --format '{{{{.Name}}}}' | sort
docker volume ls --filter label=com.docker.compose.project=$P --format '{{{{.Name}}}}' | wc -l
compose stop -t 0 web; compose rm -f web; compose down -v -t 0 --rmi local; docker images -q $P-built | wc -l; docker ps -aq --filter label=com.docker.compose.project=$P | wc -l
docker volume ls -q --filter label=com.docker.compose.project=$P; docker network ls -q --filter label=com.docker.compose.project=$P
docker run --rm -v /tmp/$P:/p {BUSYBOX} rm -r /p/here
"""

# $P is in the names of images. Steps go by their numbers, which come in any order; times are cut off, and what two stages
# have in common bears the name of either.
BUILDX_SCRIPT = f"""
build() {{ docker buildx build "$@" </dev/null; echo "build: $?"; }}
plain() {{ build --progress plain "$@" 2>&1 | sed -E 's/^#[0-9]+ //; s/( [0-9.]+s)?( done)?$//; s/^[0-9.]+ //' | grep -vE '^(sha256|transferring|DONE)|^$| FROM docker.io' | sort -u; }}
mkdir -p /tmp/$P/context /tmp/$P/more; cd /tmp/$P/context; echo content >file; echo hush >secret; echo more >../more/file
cat >Dockerfile <<'END'
FROM {BUSYBOX} AS one
ARG WHO=nobody
RUN --mount=type=cache,target=/cache,id=own echo $WHO >/who
RUN --mount=type=secret,id=s tr a-z A-Z </run/secrets/s >/shout
FROM {BUSYBOX} AS two
LABEL a=b
COPY --from=one /who /shout /
COPY file /file
CMD cat /who /shout /file
END
docker buildx version | cut -d' ' -f1; docker buildx ls | awk '{{print $1, $2, $3}}'; docker buildx inspect | grep -E 'Driver|Name|Status'
build -q --secret id=s,src=secret --build-arg WHO=me -t $P:1 -t $P:2 .; docker run --rm $P:1; docker run --rm $P:2
docker image inspect --format '{{{{.RepoTags}}}} {{{{.Config.Labels}}}} {{{{.Config.Cmd}}}} {{{{len .RootFS.Layers}}}}' $P:1
plain --no-cache --secret id=s,src=secret .
build -q --target one --secret id=s,src=secret -t $P:one .; docker run --rm $P:one cat /who
build -q --secret id=s,src=secret -o type=local,dest=../out .; cat ../out/who ../out/shout; ls ../out | head -3
build -q --secret id=s,src=secret -o type=tar,dest=../out.tar .; tar -xOf ../out.tar who
build -q --secret id=s,src=secret --iidfile ../id --metadata-file ../meta -t $P:3 .; test "$(cat ../id)" = "$(docker image inspect --format '{{{{.Id}}}}' $P:3)" && echo the same id
printf 'FROM {BUSYBOX}\nRUN exit 7\n' | docker buildx build --progress plain - 2>&1 | grep -E '^ERROR'
printf 'FROM %s:1\nRUN cat /who >/again\n' $P | docker buildx build -q -t $P:4 - ; docker run --rm $P:4 cat /again
tar -c . | docker buildx build -q --secret id=s,src=secret -t $P:5 -; docker run --rm $P:5
printf 'target "default" {{\n tags = ["%s:6"]\n secret = ["id=s,src=secret"]\n args = {{ WHO = "bake" }}\n}}\n' $P >bake.hcl; docker buildx bake --progress quiet -f bake.hcl; docker run --rm $P:6
plain --secret id=missing,src=nowhere . | grep -E '^(ERROR|build)'; plain -f No.Dockerfile . | grep -E '^(ERROR|build)'
docker rmi $P:1 $P:2 $P:3 $P:4 $P:5 $P:6 $P:one | grep Untagged; docker images -q $P | wc -l; rm -r /tmp/$P
"""


def python():
    """The interpreter of an environment that has the packages."""
    folder = TOOLS / "python"
    marker = folder / "packages"
    if not marker.exists() or marker.read_text().split() != PACKAGES:
        shutil.rmtree(folder, ignore_errors=True)
        harness.run(sys.executable, "-m", "venv", str(folder))
        harness.run(str(folder / "bin/pip"), "install", "-q", *PACKAGES, timeout=600)
        marker.write_text("\n".join(PACKAGES))
    return str(folder / "bin/python")


def compose():
    """The folder of compose v2; None where no Go can build it."""
    binary = TOOLS / "bin/docker-compose"
    if not binary.exists():
        if not shutil.which("go"):
            return None
        version = re.search(r"go1\.(\d+)", harness.run("go", "version"))
        if not version or int(version[1]) < 21:
            return None
        environment = {**os.environ, "GOBIN": str(TOOLS / "go"), "CGO_ENABLED": "0"}
        subprocess.run(["go", "install", COMPOSE], check=True, env=environment)
        binary.parent.mkdir(parents=True, exist_ok=True)
        (TOOLS / "go/cmd").rename(binary)
    return binary.parent


def alike(text, prefix):
    text = normal(text, prefix)
    for pattern, word in ((r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "MAC"), (r'"Pid": [1-9]\d*', '"Pid": PID'),
                          (r'"HostPort": "[1-9]\d*"', '"HostPort": PORT'), (r'"PublicPort": \d+', '"PublicPort": PORT'),
                          (r"ADDRESS:\d+", "ADDRESS:PORT"), (r'"Created": \d+', '"Created": TIME'),
                          (r"Up \d+ seconds?|Up Less than a second", "Up"), (r"sha256:[0-9a-f]{12,}", "DIGEST"),
                          (r"buildkit-mount\d+", "MOUNT")):
        text = re.sub(pattern, word, text)
    # In no order.
    return re.sub(r"(has active endpoints \()(.*)\)", lambda m: m[1] + ", ".join(sorted(m[2].split(", "))) + ")", text)


class TrustedAgents(ServerTest):
    def setUp(self):
        super().setUp()
        self.cluster["docker_policy"] = "trusted"
        self.ended = []

    def agent(self, number, **profile):
        job, profile = gocd.job(number, name=f"job{number}"), self.profile("sleep 3000", **profile)
        agent = self.bring_up(job, profile)
        self.ended.append((agent, job, profile))
        return agent

    def tearDown(self):
        for agent, job, profile in self.ended:
            self.gocd.complete(agent, job, profile, self.cluster)
        for agent, *_ in self.ended:
            self.until_gone(agent)
        super().tearDown()

    def socket(self, agent):
        return f"unix://{self.server.folder}/run/agents/{agent}/docker.sock"

    def assert_alike(self, given, expected, least):
        given, expected = given.splitlines(), expected.splitlines()
        difference = "\n".join(difflib.unified_diff(expected, given, "the engine", "the gateway", n=2, lineterm=""))
        self.assertFalse(difference, difference)
        self.assertGreater(len(expected), least, expected)


class Clients(TrustedAgents):
    def test_the_python_sdk(self):
        agent = self.agent(1)
        prefix = f"sdk{os.getpid()}"

        def play(host, name):
            command = [python(), str(SCRIPTS / "sdk.py"), name, BUSYBOX, *(["bare"] if host == ENGINE else [])]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "DOCKER_HOST": host})
            self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
            return alike(done.stdout, name)

        python()  # makes it, for both
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            expected, given = pool.map(play, (ENGINE, self.socket(agent)), (prefix + "e", prefix + "a"))
        self.assert_alike(given, expected, 70)

    def test_compose_v2(self):
        tools = compose()
        if not tools:
            print("  SKIPPED: compose v2 is built with Go 1.21 or later, which is not here", flush=True)
            self.skipTest("no Go")
        # The bare engine knows no paths of a container: there the project's folder is one of the machine as well.
        name = f"compose{os.getpid()}"
        agent = self.agent(1, Mounts=f"{tools}:/clients:ro")
        bare = docker("run", "-d", "-v", f"{ENGINE.removeprefix('unix://')}:/var/run/docker.sock", "-v", f"{tools}:/clients:ro",
                      "-v", f"/tmp/{name}:/tmp/{name}", AGENT_IMAGE, "sleep", "3000")
        try:
            expected, given = (self.in_container(container, COMPOSE_SCRIPT, name) for container in (bare, agent))
        finally:
            docker("rm", "-f", bare)
            shutil.rmtree(f"/tmp/{name}", ignore_errors=True)
        self.assert_alike(given, expected, 40)

    def test_buildx(self):
        plugins = f"{TOOLS}:/usr/lib/docker/cli-plugins:ro"
        harness.run(str(ROOT / "tests/support/clients.sh"), str(TOOLS), timeout=900)
        agent = self.agent(1, Mounts=plugins)
        bare = docker("run", "-d", "-v", f"{ENGINE.removeprefix('unix://')}:/var/run/docker.sock", "-v", plugins, AGENT_IMAGE,
                      "sleep", "3000")
        name = f"buildx{os.getpid()}"
        try:
            expected, given = (self.in_container(each, BUILDX_SCRIPT, name + end) for each, end in ((bare, "e"), (agent, "a")))
        finally:
            docker("rm", "-f", bare)
        self.assert_alike(given, expected, 60)

    def in_container(self, container, script, name):
        script = f"exec 2>&1; export P={name} HOME=/root\n{script}"
        return alike(harness.run("docker", "exec", container, "sh", "-c", script, check=False, timeout=300).stdout, name)


class Testcontainers(TrustedAgents):
    def setUp(self):
        super().setUp()
        if not RYUK:
            docker("build", "-q", "-t", REAPER_IMAGE, "-", input=DOCKERFILE)

    def environment(self, host):
        # What the reaper mounts: in a job it is where the socket always is.
        socket = ENGINE.removeprefix("unix://") if host == ENGINE else "/var/run/docker.sock"
        return {**os.environ, "DOCKER_HOST": host, "RYUK_CONTAINER_IMAGE": REAPER_IMAGE, "RYUK_RECONNECTION_TIMEOUT": "1s",
                "TC_POOLING_INTERVAL": "0.1", "TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE": socket}

    def start(self, host, *more):
        return subprocess.Popen([python(), str(SCRIPTS / "containers.py"), BUSYBOX, *more], text=True,
                                env=self.environment(host), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def output(self, host):
        out, errors = self.start(host).communicate(timeout=120)
        self.assertIn("ready", out, errors[-3000:])
        return alike(out, "no prefix")

    def test_what_it_sees_and_its_end(self):
        agent = self.agent(1)
        self.assert_alike(self.output(self.socket(agent)), self.output(ENGINE), 4)
        self.assertEqual(self.left_in(agent), "")

    def test_the_reapers_of_two_jobs_that_are_killed_each_remove_their_own(self):
        agents = [self.agent(number) for number in (1, 2)]
        jobs = [self.start(self.socket(agent), "hang") for agent in agents]
        try:
            for agent, job in zip(agents, jobs):
                seen = []
                while "ready\n" not in seen and (line := job.stdout.readline()):
                    seen.append(line)
                self.assertIn("ready\n", seen, job.poll() is not None and job.stderr.read()[-3000:])
                self.assertEqual(len(self.left_in(agent).split()), 4)  # two containers, their network, the reaper
            jobs[0].kill()
            until("the first reaper's work", lambda: self.left_in(agents[0]) == "", 30)
            self.assertEqual(len(self.left_in(agents[1]).split()), 4)
            jobs[1].kill()
            until("the second reaper's work", lambda: self.left_in(agents[1]) == "", 30)
        finally:
            for job in jobs:
                job.kill()
                job.communicate()

    def left_in(self, agent):
        return docker("exec", agent, "sh", "-c", "docker ps -aq; docker volume ls -q; docker network ls -q --filter type=custom")


if __name__ == "__main__":
    harness.main()
