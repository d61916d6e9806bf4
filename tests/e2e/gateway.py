"""The docker client's commands give through the gateway what they give on the bare engine: each script runs in an agent
and in a container that holds the raw socket, and what both print is compared, but for ids, times and addresses."""
import os
import pty
import re
import select
import subprocess
import time
import unittest

import harness
from harness import AGENT_IMAGE, BUSYBOX, ENGINE, ServerTest, docker, gocd, left_by_prune, until

# $P is a prefix of object names of the script's own. Every script removes what it made.
SCRIPTS = {
    "run": """
        docker run --rm $B echo hello
        docker run --rm $B sh -c 'echo out; exit 3'; echo code $?
        docker run --rm -e A=b -w /tmp -u 1000:0 --hostname h --label x=y $B sh -c 'echo $A $PWD $(id -u) $(hostname)'
        docker run --name $P-d -d $B sleep 100 >/dev/null; docker ps --filter name=$P-d --format '{{.Names}} {{.Image}} {{.State}}'
        docker stop -t 0 $P-d; docker wait $P-d; docker rm $P-d""",
    "run that fails": """
        docker run --rm $B no-such-program; echo code $?
        docker run --rm $P-no-such-image:1 2>&1 | head -1
        docker run --name $P-a $B true; docker run --name $P-a $B true 2>&1 | grep -o 'Conflict[^"]*'; docker rm $P-a""",
    "run -i": """
        echo typed | docker run -i --rm $B cat
        seq 1 20000 | docker run -i --rm $B md5sum
        docker run -i --rm $B sh -c 'cat; echo end' </dev/null
        docker run -i --rm $B wc -c </bin/busybox""",
    "exec": """
        docker run --name $P-e -d $B sleep 100 >/dev/null
        docker exec $P-e echo inside
        docker exec $P-e sh -c 'echo err >&2; exit 5' 2>&1; echo code $?
        echo typed | docker exec -i $P-e cat
        docker exec -e A=b -w /etc $P-e sh -c 'echo $A $PWD'
        docker exec -d $P-e touch /tmp/done; docker exec $P-e sh -c 'until [ -e /tmp/done ]; do sleep 0.1; done; echo there'
        docker exec $P-no true; echo code $?
        docker rm -f $P-e""",
    "logs": """
        docker run --name $P-l -d $B sh -c 'for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done' >/dev/null
        docker logs -f $P-l
        docker logs --tail 2 $P-l
        docker logs -t $P-l | wc -l
        docker rm $P-l
        docker run --name $P-l $B sh -c 'echo out; echo err >&2' >/dev/null 2>&1
        docker logs $P-l 2>/dev/null; docker logs $P-l 2>&1 >/dev/null; docker rm $P-l""",
    "cp": """
        mkdir -p /tmp/$P/d; echo one >/tmp/$P/d/one; ln -s one /tmp/$P/d/link; dd if=/dev/zero of=/tmp/$P/d/big bs=1M count=8 2>/dev/null
        docker create --name $P-c $B sleep 100 >/dev/null
        docker cp /tmp/$P/d $P-c:/tmp/ 2>/dev/null; docker cp $P-c:/tmp/d /tmp/$P/back 2>/dev/null
        ls /tmp/$P/back; cat /tmp/$P/back/one; readlink /tmp/$P/back/link; cmp /tmp/$P/d/big /tmp/$P/back/big && echo same
        docker cp $P-c:/tmp/d/one - | tar -t
        tar -C /tmp/$P/d -c one | docker cp - $P-c:/etc; docker cp $P-c:/etc/one - | tar -xO
        docker cp $P-c:/nowhere /tmp/$P/x 2>&1; echo code $?
        docker diff $P-c | sort; docker rm $P-c; rm -r /tmp/$P""",
    "build": """
        mkdir /tmp/$P; cd /tmp/$P; echo content >file
        printf 'FROM %s\nARG WHO=nobody\nLABEL a=b\nRUN echo for $WHO >/built\nCOPY file /copied\nVOLUME /data\nCMD cat /built /copied\n' $B >Dockerfile
        docker build -q --no-cache --build-arg WHO=me -t $P-b:1 . >/dev/null; docker run --rm $P-b:1
        docker build -t $P-b:2 . | grep -v 'Running in'
        docker image inspect --format '{{.Config.Labels}} {{.Config.Volumes}} {{.RepoTags}}' $P-b:1
        printf 'FROM %s\nRUN exit 7\n' $B | docker build - 2>&1 | tail -1; echo code $?
        printf 'FROM %s AS one\nRUN echo staged >/s\nFROM %s\nCOPY --from=one /s /s\n' $B $B | docker build -q -t $P-b:3 - >/dev/null
        docker run --rm $P-b:3 cat /s
        docker history --format '{{.CreatedBy}}' $P-b:1 | head -3
        docker rmi $P-b:1 $P-b:2 $P-b:3 | grep -v sha256; docker image inspect $P-b:1 2>&1 | tail -1; rm -r /tmp/$P""",
    "save and load": """
        printf 'FROM %s\nRUN echo saved >/s\n' $B | docker build -q -t $P-s:1 - >/dev/null
        docker save $P-s:1 >/tmp/$P.tar; docker rmi -f $P-s:1 | head -1; docker load -q </tmp/$P.tar
        docker run --rm $P-s:1 cat /s; docker save $P-s:1 | docker load; docker rmi $P-s:1 | head -1; rm /tmp/$P.tar""",
    "commit, tag, import, export": """
        docker run --name $P-m $B sh -c 'echo kept >/kept'; docker commit -q -m message -c 'CMD cat /kept' $P-m $P-m:1 >/dev/null
        docker run --rm $P-m:1; docker tag $P-m:1 $P-m:2; docker images --format '{{.Repository}}:{{.Tag}}' $P-m
        docker export $P-m | docker import - $P-m:3 >/dev/null; docker run --rm $P-m:3 cat /kept
        docker rmi $P-m:1 $P-m:2 $P-m:3 | grep Untagged; docker rm $P-m""",
    "events": """
        S=$(date +%s); docker run --name $P-v -d $B sleep 100 >/dev/null; docker exec $P-v true; docker kill $P-v >/dev/null; docker wait $P-v >/dev/null; docker rm $P-v >/dev/null
        docker volume create $P-v >/dev/null; docker volume rm $P-v >/dev/null
        docker events --since $S --until $(($(date +%s) + 1)) --filter container=$P-v --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'
        docker events --since $S --until $(($(date +%s) + 1)) --filter volume=$P-v --format '{{.Type}} {{.Action}}'""",
    "networks": """
        docker network create --label x=y $P-n >/dev/null
        docker run -d --name $P-db --network $P-n --network-alias db $B sleep 100 >/dev/null
        docker run --rm --network $P-n $B sh -c "nslookup $P-db >/dev/null && ping -c1 -q db | grep -c '1 packets received'"
        docker network inspect --format '{{.Name}} {{.Driver}} {{.Labels}} {{len .Containers}}' $P-n
        docker run -d --name $P-o $B sleep 100 >/dev/null; docker network connect --alias other $P-n $P-o
        docker exec $P-db ping -c1 -q other | grep -c '1 packets received'
        docker network rm $P-n 2>&1 | grep -o 'has active endpoints'
        docker network disconnect $P-n $P-o; docker rm -f $P-db $P-o
        docker network ls --filter name=$P-n --format '{{.Name}} {{.Driver}} {{.Scope}}'
        docker network rm $P-n; docker network rm $P-n; echo code $?""",
    "volumes": """
        docker volume create --label x=y $P-v; docker run --rm -v $P-v:/d $B sh -c 'echo kept >/d/f'; docker run --rm -v $P-v:/d:ro $B cat /d/f
        docker run --rm -v $P-v:/d:ro $B touch /d/g; echo code $?
        docker run --name $P-u -v $P-v:/d -v /anonymous --tmpfs /t $B true
        docker inspect --format '{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}};{{end}}' $P-u | tr ';' '\n' | sort
        docker volume rm $P-v 2>&1 | grep -o 'volume is in use'; docker rm -v $P-u
        docker volume ls --filter name=$P-v --format '{{.Name}} {{.Driver}}'; docker volume inspect --format '{{.Name}} {{.Labels}}' $P-v
        docker volume rm $P-v; docker volume inspect $P-v; echo code $?""",
    "a container's life": """
        docker create --name $P-x $B sleep 100 >/dev/null; docker start $P-x; docker pause $P-x; docker inspect --format '{{.State.Status}}' $P-x
        docker unpause $P-x; docker rename $P-x $P-y; docker restart -t 0 $P-y; docker top $P-y -o pid,args | tail -1 | grep -o sleep
        docker update --memory 64m --memory-swap 64m $P-y; docker inspect --format '{{.Name}} {{.HostConfig.Memory}}' $P-y
        docker stats --no-stream --format '{{.Name}}' $P-y; docker kill -s TERM $P-y >/dev/null; docker rm -f $P-y; docker inspect $P-y; echo code $?
        docker run --name $P-z $B sh -c 'exit 4'; docker start -a $P-z; echo code $?; docker ps -a --filter name=$P-z --format '{{.Status}}' | cut -d' ' -f1,2
        docker rm $P-z; docker run --rm -p 127.0.0.1::80 $B true; echo code $?""",
    "references between containers": """
        docker run -d --name $P-one -v /shared $B sh -c 'echo there >/shared/f; sleep 100' >/dev/null
        until docker exec $P-one test -s /shared/f; do sleep 0.1; done
        docker run --rm --volumes-from $P-one $B cat /shared/f
        docker run --rm --network container:$P-one $B hostname; docker run --rm --pid container:$P-one $B ps | grep -c 'sleep 100'
        docker run --rm --link $P-one:linked $B ping -c1 -q linked | grep -c '1 packets received'
        docker run --rm --volumes-from $P-no $B true 2>&1 | grep -io 'no such container'; docker rm -fv $P-one""",
}

COMPOSE = """
version: "3"
services:
  db:
    image: %(image)s
    command: sleep 1000
    volumes: ["data:/data", "/scratch"]
  web:
    image: %(image)s
    command: sh -c 'until ping -c1 -q db; do sleep 0.2; done; echo found the database; sleep 1000'
    depends_on: [db]
    environment: {WHO: web}
  built:
    build: .
    command: cat /built
volumes:
  data: {}
"""


def normal(text, prefix):
    text = text.replace(prefix, "P")
    for pattern, word in ((r"\b[0-9a-f]{64}\b", "ID64"), (r"\b[0-9a-f]{12}\b", "ID12"),
                          (r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS"), (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME")):
        text = re.sub(pattern, word, text)
    return text


class Gateway(ServerTest):
    """One agent and one container with the raw socket, for all tests."""

    def setUp(self):
        super().setUp()
        self.job = gocd.job(1)
        # Compose is a Python program of this machine.
        self.agent_profile = self.profile("sleep 3000", Mounts="/usr:/machine/usr:ro\n/usr/lib:/lib:ro\n/usr/lib64:/lib64:ro")
        self.agent = self.bring_up(self.job, self.agent_profile)
        socket = ENGINE.removeprefix("unix://")
        self.bare = docker("run", "-d", "-v", f"{socket}:/var/run/docker.sock", "-e", "DOCKER_HOST=", AGENT_IMAGE,
                           "sleep", "3000")

    def tearDown(self):
        docker("rm", "-f", self.bare)
        self.gocd.complete(self.agent, self.job, self.agent_profile, self.cluster)
        self.until_gone(self.agent)
        super().tearDown()

    def shell(self, container, script, prefix, user="root"):
        script = f"exec 2>&1; export DOCKER_BUILDKIT=0 B={BUSYBOX} A={AGENT_IMAGE} P={prefix}\n{script}"
        return harness.run("docker", "exec", "-u", user, container, "sh", "-c", script, check=False).stdout

    def test_commands_give_what_the_engine_gives(self):
        for number, (name, script) in enumerate(SCRIPTS.items()):
            with self.subTest(name):
                began = time.monotonic()
                prefix = f"e2e{os.getpid()}-{number}"
                expected = normal(self.shell(self.bare, script, prefix + "e"), prefix + "e")
                given = normal(self.shell(self.agent, script, prefix + "a"), prefix + "a")
                self.assertEqual(given, expected)
                self.assertGreater(len(expected.splitlines()), 2, expected)
                print(f"  {name}: {len(expected.splitlines())} lines alike, {time.monotonic() - began:.1f} s", flush=True)

    def test_a_child_with_the_socket_sees_what_the_agent_sees(self):
        out = self.shell(self.agent, """
            docker run -d --name mine $B sleep 100 >/dev/null
            docker run --rm -v /var/run/docker.sock:/var/run/docker.sock $A docker ps --format '{{.Names}}'
            docker run --rm -v /var/run/docker.sock:/var/run/docker.sock $A docker run --rm \
              -v /var/run/docker.sock:/var/run/docker.sock $A docker ps --format '{{.Names}} from the second' """, "x", "go")
        self.assertIn("mine\n", out)
        self.assertIn("mine from the second\n", out)
        self.assertNotIn(self.agent, out)

    def test_a_container_tells_which_other_asked_for_it(self):
        self.shell(self.agent, """
            docker run -d --name tool -v /var/run/docker.sock:/var/run/docker.sock $A sh -c \
              "docker network create below; docker run -d --name below $B sleep 100; sleep 100" """, "x", "go")

        def known():
            return {(b["kind"], b["name"]): b for b in self.gocd.get(f"/api/v1/agents/{self.agent}")["belongings"]}

        until("both", lambda: ("container", "below") in known(), 20)
        tool = known()[("container", "tool")]
        self.assertNotIn("parent", tool)
        for kind in ("container", "network"):
            self.assertEqual(known()[(kind, "below")]["parent"], tool["id"])
        page = self.gocd.call("GET", f"/agents/{self.agent}")
        self.assertRegex(page, r"(?s)>tool<.*?<ul class=.belongings.><li>.*?>below<")
        labels = self.shell(self.agent, "docker inspect --format '{{.Config.Labels}}' below", "x", "go")
        self.assertNotIn("ebbtide", labels)

    def test_a_terminal_works(self):
        with Terminal("docker", "exec", "-it", self.agent, "docker", "run", "-it", "--rm", BUSYBOX, "sh") as terminal:
            terminal.expect("# ")
            terminal.type("stty size; tty; echo typed $((20 + 3))\n")
            terminal.expect("typed 23")
            terminal.type("exit 6\n")
            self.assertEqual(terminal.code(), 6)
        self.assertIn("/dev/pts/", terminal.seen)

    def test_detaching_leaves_the_container(self):
        with Terminal("docker", "exec", "-it", self.agent, "docker", "run", "-it", "--name", "stays", BUSYBOX,
                      "sh") as terminal:
            terminal.expect("# ")
            terminal.type("\x10\x11")  # ctrl-p ctrl-q
            terminal.code()
        self.assertEqual(docker("exec", self.agent, "docker", "ps", "--format", "{{.Names}}"), "stays")

    def test_compose_up_and_down(self):
        shell = f"""
            mkdir -p /home/go/project && cd /home/go/project
            cat >docker-compose.yml <<'END'
{COMPOSE % {"image": BUSYBOX}}
END
            printf 'FROM %s\\nRUN echo built here >/built\\n' $B >Dockerfile
            export COMPOSE_DOCKER_CLI_BUILD=0 PYTHONHOME=/machine/usr PATH=$PATH:/machine/usr/bin HOME=/home/go
            compose() {{ /machine/usr/bin/python3 /machine/usr/bin/docker-compose --no-ansi "$@"; }}
            compose up -d --build; compose ps
            for i in $(seq 100); do docker logs project_web_1 | grep found && break; sleep 0.2; done
            compose logs built; compose exec -T db sh -c 'echo exec works' </dev/null; compose run --rm -T web sh -c 'echo run as $WHO' </dev/null
            docker volume ls --format '{{{{.Name}}}}' --filter name=project; docker network ls --format '{{{{.Name}}}}' --filter name=project
            compose down -v --rmi local; echo down $?
            docker ps -aq | wc -l; docker volume ls -q | wc -l; docker network ls --filter name=project -q | wc -l"""
        out = self.shell(self.agent, shell, "x", "go")
        for line in ("found the database", "built here", "exec works", "run as web", "project_data", "project_default",
                     "down 0\n0\n0\n0\n"):
            self.assertIn(line, out)

    def test_prune_takes_only_ones_own(self):
        foreign = docker("run", "-d", BUSYBOX, "true")
        volume, network = f"foreign-{os.getpid()}", f"foreign-{os.getpid()}"
        docker("volume", "create", volume)
        docker("network", "create", network)
        try:
            out = self.shell(self.agent, """
                docker run --name dead -v /anonymous $B true; docker volume create unused; docker network create unused
                docker system prune -af --volumes; docker system df""", "x", "go")
            self.assertIn("unused", out)
            self.assertEqual(self.shell(self.agent, "docker ps -aq; docker volume ls -q", "x"), left_by_prune("unused"))
            self.assertIn(foreign, docker("ps", "-aq", "--no-trunc"))
            self.assertIn(volume, docker("volume", "ls", "-q"))
            self.assertIn(network, docker("network", "ls", "--format", "{{.Name}}"))
            self.assertIn(BUSYBOX, docker("images", "--format", "{{.Repository}}:{{.Tag}}"))
        finally:
            docker("rm", foreign)
            docker("volume", "rm", volume)
            docker("network", "rm", network)

    def test_a_client_that_goes_ends_what_the_engine_does_for_it(self):
        docker("exec", self.agent, "docker", "run", "-d", "--name", "quiet", BUSYBOX, "sleep", "3000")
        before = self.streams()
        logs = subprocess.Popen(["docker", "-H", f"unix://{self.socket()}", "logs", "-f", "quiet"])
        events = subprocess.Popen(["docker", "-H", f"unix://{self.socket()}", "events"], stdout=subprocess.DEVNULL)
        until("both streams", lambda: self.streams() == before + 2, 10)
        logs.kill(), events.kill()
        logs.wait(), events.wait()
        until("their end", lambda: self.streams() == before, 10)

    def socket(self):
        return self.server.folder / "run/agents" / self.agent / "docker.sock"

    def streams(self):
        return int(float(re.search(r"^ebbtide_gateway_streams\S* (\S+)", self.gocd.call("GET", "/metrics"), re.M)[1]))


class Terminal:
    """A command on a terminal of its own, as a person would use it."""

    def __init__(self, *command):
        self.command = command
        self.seen = ""

    def __enter__(self):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(self.command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        env={**os.environ, "DOCKER_HOST": ENGINE})
        os.close(slave)
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)

    def read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.master, 4096).decode(errors="replace")
        except OSError:  # the other side has closed
            return False
        self.seen += piece
        return bool(piece)

    def expect(self, text):
        end = time.monotonic() + 30
        while text not in self.seen:
            if time.monotonic() > end or (not self.read(5) and self.process.poll() is not None):
                raise AssertionError(f"waited for {text!r}; seen: {self.seen!r}")

    def type(self, text):
        os.write(self.master, text.encode())

    def code(self):
        while self.process.poll() is None:
            self.read(0.2)
        while self.read(0):
            pass
        return self.process.returncode


if __name__ == "__main__":
    harness.main()
