"""Builds with BuildKit through the gateway, by the clients that people have: buildx (POST /grpc), and the docker client of
before (POST /build, version 2). Both open a session for the engine to call back."""
import os
import pathlib
import threading

import harness
from harness import AGENT_IMAGE, BUSYBOX, CLIENTS, ServerTest, docker, gocd, until

# How each is called inside of an agent.
BUILDS = {"buildx": "docker buildx build --progress plain",
          "docker": "DOCKER_BUILDKIT=1 BUILDKIT_PROGRESS=plain /machine/usr/bin/docker build"}
DOCKERFILE = f"""
FROM {BUSYBOX} AS one
ARG WHO=nobody
RUN --mount=type=cache,target=/cache echo $WHO >>/cache/who && tail -n 1 /cache/who >/who
RUN --mount=type=secret,id=s tr a-z A-Z </run/secrets/s >/shout
FROM {BUSYBOX}
LABEL a=b
COPY --from=one /who /shout /
COPY file /file
CMD cat /who /shout /file
"""


def running(word):
    """Whether a process of this machine has the word among its arguments."""
    for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word in process.read_text(errors="replace").split("\0"):
                return True
        except OSError:  # it has ended
            pass
    return False


class BuildKit(ServerTest):

    @classmethod
    def setUpClass(cls):
        harness.make_buildx()

    def setUp(self):
        super().setUp()
        self.agent_profile = self.profile(
            "sleep 3000", Mounts=f"{CLIENTS}:/usr/lib/docker/cli-plugins:ro\n/usr:/machine/usr:ro\n/usr/lib:/lib:ro\n"
                                 "/usr/lib64:/lib64:ro")
        self.alive = {}  # agents, and the job of each
        self.agent = self.start(gocd.job(1))
        self.tag = f"e2e{os.getpid()}"

    def tearDown(self):
        for agent in list(self.alive):
            self.end(agent)
        super().tearDown()

    def start(self, job):
        agent = self.bring_up(job, self.agent_profile)
        self.alive[agent] = job
        return agent

    def end(self, agent):
        self.gocd.complete(agent, self.alive.pop(agent), self.agent_profile, self.cluster)
        self.until_gone(agent)

    def shell(self, agent, script, check=True):
        done = harness.run("docker", "exec", "-u", "go", agent, "sh", "-c", f"""
            exec 2>&1; export HOME=/home/go; mkdir -p ~/context; cd ~/context; echo content >file; echo hush >secret
            cat >Dockerfile <<'END'
{DOCKERFILE}
END
            {script}""", check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"exit {done.returncode}: {done.stdout[-3000:]}")
        return done.stdout

    def image(self, reference):
        """The id of an image on the engine, or nothing."""
        return docker("image", "inspect", "-f", "{{.Id}}", reference, check=False).stdout.strip()

    def owner_of(self, reference):
        return docker("image", "inspect", "-f", '{{index .Config.Labels "ebbtide.image-agent"}}', reference)

    def test_every_client_builds(self):
        for client, build in BUILDS.items():
            with self.subTest(client):
                tag = f"{self.tag}-{client}"
                out = self.shell(self.agent, f"""
                    {build} --secret id=s,src=secret --build-arg WHO={client} -t {tag}:1 -t {tag}:2 . || exit 1
                    docker run --rm {tag}:1; docker run --rm {tag}:2
                    docker image inspect -f '{{{{.Config.Labels}}}}' {tag}:1""")
                self.assertTrue(out.endswith(f"{client}\nHUSH\ncontent\n" * 2 + "map[a:b]\n"), out)
                self.assertEqual(self.owner_of(f"{tag}:1"), f"{self.server.id}/{self.agent}")
                self.assertEqual(self.image(f"{tag}:1"), self.image(f"{tag}:2"))

    def test_contexts_and_outputs_go_through_the_session(self):
        for client, build in BUILDS.items():
            with self.subTest(client):
                out = self.shell(self.agent, f"""
                    printf 'FROM {BUSYBOX}\\nRUN echo {client} >/from\\nCOPY file /\\n' >Dockerfile
                    tar -c . | {build} -t {self.tag}:tar - || exit 1
                    docker run --rm {self.tag}:tar cat /from /file
                    {build} -o out . || exit 1
                    cat out/from out/file
                    {build} -o type=tar,dest=out.tar . || exit 1
                    tar -xOf out.tar from""")
                self.assertTrue(out.count(f"{client}\ncontent\n") == 2 and out.endswith(f"{client}\n"), out)

    def test_a_build_that_fails_tells_why(self):
        for client, build in BUILDS.items():
            with self.subTest(client):
                out = self.shell(self.agent, f"printf 'FROM {BUSYBOX}\\nRUN exit 7\\n' | {build} -; echo code $?")
                self.assertIn("exit code: 7", out)
                self.assertTrue(out.endswith("code 1\n"), out)

    def test_images_go_with_their_agent_and_others_stay(self):
        def build(agent, name):
            for client, command in BUILDS.items():
                self.shell(agent, f"""
                    printf 'FROM {BUSYBOX}\\nRUN sleep 1; echo {client} {name} >/who\\n' >Dockerfile
                    {command} -t {self.tag}-{client}:{name} .
                    printf 'FROM {BUSYBOX}\\nRUN echo untagged {client} {name} >/who\\n' | {command} -""")

        other = self.start(gocd.job(2))
        both = [threading.Thread(target=build, args=each) for each in ((self.agent, "one"), (other, "two"))]
        [thread.start() for thread in both]
        [thread.join() for thread in both]
        label = "label=ebbtide.image-agent=" + self.server.id + "/"
        made = {agent: docker("images", "-q", "--no-trunc", "--filter", label + agent).split() for agent in self.alive}
        self.assertEqual([len(set(images)) for images in made.values()], [4, 4])
        for client in BUILDS:
            self.assertEqual(self.owner_of(f"{self.tag}-{client}:one"), f"{self.server.id}/{self.agent}")
            self.assertEqual(self.owner_of(f"{self.tag}-{client}:two"), f"{self.server.id}/{other}")
        self.end(self.agent)
        self.assertEqual([self.image(image) for image in made[self.agent]], [""] * 4)
        self.assertNotIn("", [self.image(image) for image in made[other]])

    def test_a_cancelled_build_ends_on_the_engine(self):
        for number, build in enumerate(BUILDS.values()):
            seconds = str(30000 + os.getpid() * 2 + number)
            docker("exec", "-d", "-u", "go", "-e", "HOME=/home/go", self.agent, "sh", "-c",
                   f"printf 'FROM {BUSYBOX}\\nRUN sleep {seconds}\\n' | {build} -")
            until("the build's step", lambda: running(seconds), 60)
            self.shell(self.agent, "kill -INT $(pidof docker docker-buildx); true")
            until("its end", lambda: not running(seconds), 60)

    def test_a_build_ends_with_its_agent(self):
        seconds = str(60000 + os.getpid())
        docker("exec", "-d", "-u", "go", "-e", "HOME=/home/go", self.agent, "sh", "-c",
               f"printf 'FROM {BUSYBOX}\\nRUN sleep {seconds}\\n' | docker buildx build -t {self.tag}:never -")
        until("the build's step", lambda: running(seconds), 60)
        self.end(self.agent)
        until("its end", lambda: not running(seconds), 60)
        self.assertEqual(self.image(f"{self.tag}:never"), "")

    def test_the_cache_is_nobodys_to_prune(self):
        script = f"printf 'FROM {BUSYBOX}\\nRUN echo {self.tag} >/cached\\n' | {BUILDS['buildx']} -"
        self.shell(self.agent, script)
        out = self.shell(self.agent, "docker buildx du; docker buildx prune -af; docker builder prune -af")
        self.assertIn("Total:\t0B", out)
        self.assertIn("CACHED", self.shell(self.start(gocd.job(2)), script))

    def test_ways_to_the_host_are_refused_and_written_down(self):
        def builds(*options):
            return "\n".join(f"{build} {option} . ; echo code $?" for build in BUILDS.values() for option in options)

        out = self.shell(self.agent, builds("--network host") + """
            docker buildx build --allow network.host .; docker buildx build --allow security.insecure .
            docker buildx build https://127.0.0.1:1/project.git""", check=False)
        self.assertEqual(out.count("(rule: host-network)"), 3, out)
        self.assertEqual(out.count("(rule: privileged)"), 1, out)
        self.assertEqual(out.count("(rule: remote-context)"), 1, out)
        def audited():
            records = self.gocd.get(f"/api/v1/agents/{self.agent}/audit?limit=200")
            return {(r["path"].removeprefix("/grpc/moby.buildkit.v1."), r["rule"]) for r in records if r["status"] == 403}
        # Later ones look into the context before they ask for the build.
        context = "frontend.LLBBridge/Solve" if harness.BUILDX else "Control/Solve"
        due = {("Control/Solve", "host-network"), ("Control/Solve", "privileged"), (context, "remote-context")}
        harness.until("the audit", lambda: audited() >= due, 10)


if __name__ == "__main__":
    harness.main()
