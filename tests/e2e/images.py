"""Images of jobs, and what builds may stand upon: an isolated job's builds take what the job made or can pull, whichever
builder makes them; a list of registries holds for builds too; what was pulled in vain is nobody's."""
import os
import subprocess
import uuid

import harness
from harness import BUSYBOX, CLIENTS, ServerTest, docker, gocd, until
from registry import Registry

# How each is called inside of an agent.
BUILDERS = {"classic": "DOCKER_BUILDKIT=0 /machine/usr/bin/docker build",
            "buildkit": "DOCKER_BUILDKIT=1 BUILDKIT_PROGRESS=plain /machine/usr/bin/docker build",
            "buildx": "docker buildx build --progress plain --load"}

# Dockerfiles that reach for $I, another job's image; their lines are printf's. own:1 is the job's.
REACHES = {
    "as the base": "FROM $I\nRUN cat /s",
    "in lower case": "from $I\nrun cat /s",
    "over two lines": "FROM \\\\\n  $I\nRUN cat /s",
    "by an argument": "ARG IMAGE=$I\nFROM \\${IMAGE}\nRUN cat /s",
    "by a part of an argument": "ARG TAG=${I##*:}\nFROM ${I%%:*}:\\${TAG}\nRUN cat /s",
    "as a second stage": "FROM own:1 AS a\nFROM $I\nRUN cat /s",
    "by a copy": "FROM own:1\nCOPY --from=$I /s /t\nRUN cat /t",
    "by a copy of a copy": "FROM own:1 AS a\nCOPY --from=$I /s /t\nFROM own:1\nCOPY --from=a /t /t\nRUN cat /t",
    "by a trigger": "FROM trigger:1\nRUN cat /t",
    "under the name of a stage": "FROM own:1 AS hides-$I\nFROM $I\nRUN cat /s",
    "with a frontend": "# syntax=$I\nFROM own:1",
    "with a frontend of another form": "#\n\n# syntax=$I\nFROM $I\nRUN cat /s",
    "by its id": "FROM $ID\nRUN cat /s",
}
# And with BuildKit.
MOUNTS = {
    "by a mount": "FROM own:1\nRUN --mount=type=bind,from=$I,target=/m cat /m/s",
    "by a mount over two lines": "FROM own:1\nRUN --mount=type=bind,\\\\\nfrom=$I,target=/m cat /m/s",
}
# Contexts of the classic builder whose Dockerfile is not what it seems; each makes an archive of ./d.
CONTEXTS = {
    "two Dockerfiles": "echo FROM own:1 >d/Dockerfile; tar -C d -cf t Dockerfile; printf '$EVIL' >d/Dockerfile; tar -C d -rf t Dockerfile",
    "a Dockerfile by a longer way": "echo FROM own:1 >d/Dockerfile; mkdir -p d/x; tar -C d -cf t Dockerfile x; "
                                    "printf '$EVIL' >d/Dockerfile; tar -C d -rf t ./x/../Dockerfile",
    "a link": "printf '$EVIL' >d/f; ln -s f d/Dockerfile; tar -C d -cf t Dockerfile f",
    "a folder that is a link": "echo FROM own:1 >d/Dockerfile; ln -s . d/x; tar -C d -cf t Dockerfile x; rm d/x; mkdir d/x; "
                               "printf '$EVIL' >d/x/Dockerfile; tar -C d -rf t x/Dockerfile",
    "compressed": "printf '$EVIL' >d/Dockerfile; tar -C d -czf t .",
    "in lower case": "printf '$EVIL' >d/dockerfile; tar -C d -cf t .",
}


class ImagesTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        harness.make_buildx()
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        cls.base = cls.registry.put(BUSYBOX, "base:1")

    def setUp(self):
        super().setUp()
        self.secret = uuid.uuid4().hex
        self.alive = []

    def tearDown(self):
        for agent, job, profile in self.alive:
            self.end(agent, job, profile)
        super().tearDown()

    def start(self, **keys):
        job = gocd.job(len(self.alive) + 1, name=f"job{len(self.alive) + 1}")
        profile = self.profile("sleep 3000", Mounts=f"{CLIENTS}:/usr/lib/docker/cli-plugins:ro\n/usr:/machine/usr:ro\n"
                                                    "/usr/lib:/lib:ro\n/usr/lib64:/lib64:ro", **keys)
        agent = self.bring_up(job, profile)
        self.alive.append((agent, job, profile))
        return agent

    def end(self, agent, job, profile):
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)

    def shell(self, agent, script):
        return harness.run("docker", "exec", agent, "sh", "-c", f"exec 2>&1; rm -rf ~/c; mkdir -p ~/c/d; cd ~/c; {script}",
                           check=False).stdout

    def build(self, agent, builder, dockerfile, more="", before=""):
        return self.shell(agent, f"{before} printf \"{dockerfile}\\n\" >d/Dockerfile; {BUILDERS[builder]} {more} d && echo is built")

    def refusals(self, agent):
        return [each for each in self.gocd.get(f"/api/v1/agents/{agent}/audit?limit=1000") if each["rule"] == "build-image"]


class IsolatedBuilds(ImagesTest):
    def setUp(self):
        super().setUp()
        self.others = self.start()
        self.image = f"theirs-{self.others}:1"
        self.assertIn("is built", self.build(self.others, "classic", f"FROM {BUSYBOX}\nRUN echo {self.secret} >/s", f"-t {self.image}"))
        self.id = docker("images", "-q", "--no-trunc", self.image)
        self.alone = self.start(Images="isolated")

    def tearDown(self):
        self.assertEqual(docker("images", "-q", "--no-trunc", self.image), self.id)
        super().tearDown()
        self.assertEqual(docker("images", "-q", self.base), "", "pulled on a job's behalf, and gone with it")

    def test_builds_stand_upon_what_the_job_made_or_can_pull(self):
        for builder in BUILDERS:
            with self.subTest(builder):
                out = self.build(self.alone, builder, f"FROM {self.base}\nRUN echo $((6*7)) >/n", f"-t own-{builder}:1")
                self.assertIn("is built", out)
                out = self.build(self.alone, builder, f"# syntax=docker/dockerfile:1\nARG OF\nFROM own-\\${{OF}}:1 AS one\nFROM {self.base}\n"
                                                      "COPY --from=one /n /n\nRUN cat /n",
                                 f"--build-arg OF={builder} -t last:1")
                self.assertIn("is built", out)
                self.assertEqual(self.shell(self.alone, "docker run --rm --pull never last:1 cat /n"), "42\n")
        self.assertEqual(self.refusals(self.alone), [])

    def test_private_images_are_pulled_with_the_jobs_login(self):
        private = Registry(private=True)
        self.addCleanup(private.stop)
        base = private.put(BUSYBOX, "base:1")
        for builder in BUILDERS:
            with self.subTest(builder):
                self.assertRegex(self.build(self.alone, builder, f"FROM {base}"), "can't be pulled.*no basic auth credentials")
                self.assertIn("Succeeded", self.shell(self.alone, f"echo secret | docker login -u u --password-stdin {private.name}"))
                self.assertIn("is built", self.build(self.alone, builder, f"FROM {base}", "-t own:1"))
                out = self.build(self.start(Images="isolated"), builder, f"FROM {base}")
                self.assertRegex(out, "can't be pulled.*no basic auth credentials", "that the engine has it is not enough")
                self.assertIn("Removing", self.shell(self.alone, f"docker logout {private.name}"))
                out = self.shell(self.alone, f"docker rmi own:1; docker rmi {base}; docker images -a")
                self.assertIn(f"Untagged: {base}", out)

    def test_no_build_takes_anothers_image(self):
        trigger = f"FROM {self.base}\nONBUILD COPY --from={self.image} /s /t"
        self.assertIn("is built", self.build(self.alone, "classic", f"FROM {self.base}", "-t own:1"))
        self.shell(self.others, f"printf '{trigger}\\n' >d/Dockerfile; {BUILDERS['classic']} -t unused d")
        for builder in BUILDERS:
            for name, dockerfile in (REACHES | (MOUNTS if builder != "classic" else {})).items():
                with self.subTest(builder + ": " + name):
                    known = len(self.refusals(self.alone))
                    out = self.build(self.alone, builder, dockerfile, before=f"I={self.image} ID={self.id};")
                    self.assertNotIn(self.secret, out)
                    if name != "with a frontend":
                        self.assertNotIn("is built", out)
                        until("the refusal", lambda: len(self.refusals(self.alone)) > known, 10)

    def test_a_trigger_takes_no_others_image(self):
        # Made by the job itself, as an image whose configuration a client may write as it likes.
        self.assertIn("is built", self.build(self.alone, "classic", f"FROM {self.base}", "-t own:1"))
        self.shell(self.alone, f"docker create --name c own:1; docker commit -c 'ONBUILD COPY --from={self.image} /s /t' c trigger:1")
        for builder in BUILDERS:
            with self.subTest(builder):
                out = self.build(self.alone, builder, "FROM trigger:1\nRUN cat /t")
                self.assertNotIn(self.secret, out)
                self.assertRegex(out, "rule: build-image|ONBUILD")

    def test_a_context_means_to_the_engine_what_it_means_here(self):
        self.assertIn("is built", self.build(self.alone, "classic", f"FROM {self.base}", "-t own:1"))
        evil = f"FROM {self.image}\\nRUN cat /s\\n"
        for name, make in CONTEXTS.items():
            with self.subTest(name):
                out = self.shell(self.alone, make.replace("$EVIL", evil) + f"; {BUILDERS['classic']} - <t && echo is built")
                self.assertNotIn(self.secret, out)
                self.assertTrue("rule: build-image" in out or "is built" in out, out)

    def test_a_large_context_arrives_whole(self):
        out = self.build(self.alone, "classic", f"FROM {self.base}\nCOPY . /d\nRUN cd /d && sha256sum -c sums && ls -l /d", "-t own:1",
                         before="cd d; dd if=/dev/urandom of=large bs=1M count=64 2>/dev/null; ln -s large link; "
                                "touch 'a name' ünïcode; chmod 751 'a name'; sha256sum large link ünïcode >sums; cd ..;")
        self.assertIn("is built", out)
        self.assertIn("link -> large", out)
        self.assertRegex(out, "-rwxr-x--x .* a name")
        self.assertIn("ünïcode: OK", out)

    def test_no_way_to_name_an_image_shows_anothers(self):
        repository, tag = self.image.split(":")
        out = self.shell(self.alone, f"""
            docker save {repository} | grep -ao {self.secret}; docker tag {repository} x; docker push {repository} 2>&1
            docker run --rm --pull never {repository}:{tag} cat /s; docker save {self.id[7:19]} {self.id} | grep -ao {self.secret}""")
        self.assertNotIn(self.secret, out)
        # A step that prints an id as the builder does, and fails.
        out = self.build(self.alone, "classic", f"FROM {self.base}\nRUN echo ' ---> {self.id[7:19]}' && false")
        self.assertNotIn("is built", out)
        self.assertNotIn(self.secret, self.shell(self.alone, f"docker run --rm --pull never {self.id[7:19]} cat /s"))

    def test_a_trigger_hides_no_other(self):
        self.shell(self.alone, f"docker pull -q {self.base}; docker create --name c {self.base}; "
                               f"docker commit -c 'ONBUILD RUN true \\\\' -c 'ONBUILD COPY --from={self.image} /s /t' c trigger:2")
        out = self.build(self.alone, "classic", "FROM trigger:2\nRUN cat /t")
        self.assertNotIn(self.secret, out)
        self.assertNotIn("is built", out)

    def test_what_was_asked_for_in_vain_is_not_seen(self):
        out = self.shell(self.alone, f"docker pull {self.image}; docker run --rm --pull never {self.image} cat /s; "
                                     f"docker tag {self.image} mine:1; docker images --format '{{{{.Repository}}}}'")
        self.assertNotIn(self.secret, out)
        self.assertNotIn("theirs-" + self.others + "\n", out)


class Loads(ImagesTest):
    def test_two_isolated_jobs_load_the_same_archive(self):
        one, two = self.start(Images="isolated"), self.start(Images="isolated")
        self.assertIn("is built", self.build(one, "classic", f"FROM {self.base}\nRUN echo {self.secret} >/s", "-t same:1"))
        self.assertEqual(self.shell(one, "docker save same:1 -o /tmp/t"), "")
        to_engine = {"check": True, "env": {**os.environ, "DOCKER_HOST": harness.ENGINE}}
        archive = subprocess.run(["docker", "exec", one, "cat", "/tmp/t"], capture_output=True, **to_engine).stdout
        run = "docker run --rm --pull never same:1 cat /s"
        self.assertIn("No such image", self.shell(two, run))
        subprocess.run(["docker", "exec", "-i", two, "sh", "-c", "cat >/tmp/t"], input=archive, **to_engine)
        self.assertIn("Loaded image: same:1", self.shell(two, "docker load -i /tmp/t"))
        self.assertEqual(self.shell(two, run), self.secret + "\n")
        self.end(*self.alive.pop(0))
        self.assertEqual(self.shell(two, run), self.secret + "\n", "it is its own, whatever becomes of the other's")
        self.end(*self.alive.pop(0))
        self.assertEqual(docker("images", "-q", "same:1"), "")


class Records(ImagesTest):
    def test_what_was_pulled_in_vain_stays_when_another_makes_it(self):
        agent = self.start()
        late = f"{self.registry.name}/late:1"
        self.assertIn("not found", self.shell(agent, f"docker pull {late}"))
        docker("tag", BUSYBOX, late)
        try:
            self.end(*self.alive.pop())
            self.assertNotEqual(docker("images", "-q", late), "")
        finally:
            docker("rmi", late)

    def test_an_image_that_another_job_has_too_is_not_removed_from_under_it(self):
        one, two = self.start(), self.start()
        for agent in (one, two):
            self.shell(agent, f"docker pull -q {self.base}")
        self.assertIn("rule: shared-image", self.shell(one, f"docker rmi {self.base}"))
        self.end(*self.alive.pop(0))
        self.assertNotEqual(docker("images", "-q", self.base), "")
        self.end(*self.alive.pop(0))
        self.assertEqual(docker("images", "-q", self.base), "")


class Registries(ImagesTest):
    def setUp(self):
        super().setUp()
        self.cluster["docker_policy_allow"] = f"registry {self.registry.name}"

    def test_builds_take_images_of_listed_registries_only(self):
        agent = self.start(Images="shared")
        for builder in BUILDERS:
            with self.subTest(builder):
                self.assertIn("is built", self.build(agent, builder, f"FROM {BUSYBOX}", "-t own:1"))
                out = self.build(agent, builder, "FROM not-there.example/app:1\nRUN x", "-t own:2")
                self.assertRegex(out, "the registry not-there.example is not allowed.*rule: registry")
                self.assertIn("is built", self.build(agent, builder, f"FROM {self.base}", "-t own:3"))
        docker("rmi", "own:1", "own:3", self.base, check=False)


if __name__ == "__main__":
    harness.main()
