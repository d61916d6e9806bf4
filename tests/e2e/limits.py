"""The limits of an agent's profile hold for it and all its belongings together, and their control group goes with it."""
import pathlib

import harness
from harness import BUSYBOX, ServerTest, docker, gocd, until

CGROUPS = pathlib.Path("/sys/fs/cgroup")
# Holds 80 MB for as long as it lives: the pipe takes no more.
HOLD = "dd if=/dev/zero bs=80M count=1 | sleep 1000"


class Limits(ServerTest):
    def setUp(self):
        super().setUp()
        self.job = gocd.job(1)
        self.agent_profile = self.profile("sleep 3000", MaxMemory="96M", Cpus="0.5", MaxPids="80")
        self.agent = self.bring_up(self.job, self.agent_profile)

    def tearDown(self):
        if self.agent:
            self.end()
        self.assertEqual(self.groups(), [])
        super().tearDown()

    def end(self):
        self.gocd.complete(self.agent, self.job, self.agent_profile, self.cluster)
        self.until_gone(self.agent)
        self.agent = None

    def groups(self):
        name = f"ebbtide-{self.server.id}*"
        return [*CGROUPS.glob(name), *CGROUPS.glob(f"*/{name}")]

    def parent(self):
        return docker("inspect", "--format", "{{.HostConfig.CgroupParent}}", self.agent)

    def shell(self, script):
        return harness.run("docker", "exec", self.agent, "sh", "-c", f"exec 2>&1; B={BUSYBOX}; {script}",
                           check=False).stdout

    def test_one_that_eats_memory_is_killed_and_the_agent_lives(self):
        self.assertIn("code 137", self.shell("docker run --rm $B dd if=/dev/zero of=/dev/null bs=400M count=1; echo code $?"))
        self.assertEqual(self.shell("docker run --rm $B echo lives").strip(), "lives")

    def test_together_they_have_no_more_than_the_agent(self):
        for name in ("one", "two", "three"):
            self.shell(f"docker run -d --name {name} $B sh -c '{HOLD}'")

        def one_is_short():
            tops = [self.shell(f"docker top {name} -o pid,args") for name in ("one", "two", "three")]
            return any("sleep 1000" in top and " dd if" not in top.replace("-c dd", "") for top in tops)
        until("the kernel to take the memory back from one", one_is_short)
        self.assertEqual(docker("inspect", "--format", "{{.State.Running}}", self.agent), "true")

    def test_forks_are_limited(self):
        self.assertIn("can't fork", self.shell("docker run --rm $B sh -c 'for i in $(seq 200); do sleep 60 & done'"))
        self.assertEqual(self.shell("docker run --rm $B echo lives").strip(), "lives")

    def test_more_cpus_than_the_agent_has_are_cut(self):
        shown = self.shell("docker run --name cut --cpus 2 $B true; docker inspect --format '{{.HostConfig.NanoCpus}}' cut")
        self.assertEqual(shown.strip(), "500000000")

    def test_jobs_do_not_see_the_control_group(self):
        shown = self.shell("docker run --name cut $B true; docker inspect --format '<{{.HostConfig.CgroupParent}}>' cut")
        self.assertEqual(shown.strip(), "<>")
        self.assertIn(self.agent.replace("-", ""), self.parent().replace("\\x2d", "").replace("-", ""))

    def test_an_unlabelled_container_in_the_group_goes_with_the_agent(self):
        """As the classic builder's, had the engine not taken it away with the build."""
        left = docker("run", "-d", "--network", "none", "--cgroup-parent", self.parent(), BUSYBOX, "sleep", "3000")
        self.end()
        self.assertNotEqual(docker("inspect", left, check=False).returncode, 0)

    def test_builds_run_in_the_group(self):
        build = f"printf 'FROM {BUSYBOX}\\nRUN sleep 3000\\n' | DOCKER_BUILDKIT=0 docker build --no-cache -"
        docker("exec", "-d", self.agent, "sh", "-c", build)
        parents = lambda: [docker("inspect", "--format", "{{.HostConfig.CgroupParent}}", each, check=False).stdout.strip()
                           for each in docker("ps", "-q").split()]
        until("the build's container", lambda: parents().count(self.parent()) == 2)

    def test_a_crash_leaves_no_group(self):
        self.server.kill()
        docker("rm", "-fv", self.agent)
        self.assertNotEqual(self.groups(), [])
        self.server.start()
        until("the server", self.server.ready)
        self.gocd.connect()
        until("no groups", lambda: not self.groups())
        self.agent = None


if __name__ == "__main__":
    harness.main()
