"""One agent's life on a real engine, by each way to end and each kind of access to Docker."""
import json

import harness
from harness import BUSYBOX, ENGINE, ServerTest, Server, docker, gocd, until

DOCKER_JOB = f"""
docker network create net-$HOSTNAME
docker volume create vol-$HOSTNAME
docker run -d --network net-$HOSTNAME -v vol-$HOSTNAME:/data {BUSYBOX} sleep 1000
docker run -d -v /anonymous {BUSYBOX} sleep 1000
echo job done
sleep 1000
"""


class OneAgent(ServerTest):
    def job_done(self, agent):
        until("the job's work", lambda: "job done" in docker("logs", agent))

    def test_good_path_tells_gocd_and_the_console(self):
        job = gocd.job(1)
        profile = self.profile(DOCKER_JOB)
        agent = self.bring_up(job, profile)
        self.job_done(agent)
        self.assertGreaterEqual(len(self.server.left()), 6)
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)
        self.assertIn(agent, self.gocd.disabled)
        self.assertIn("accepted", self.gocd.console["unit"])
        self.assertIn("is gone", self.gocd.console["unit"])

    def test_work_is_assigned_for_its_own_job_only(self):
        job = gocd.job(2)
        profile = self.profile("sleep 1000")
        agent = self.bring_up(job, profile)
        self.assertFalse(self.gocd.should_assign(agent, gocd.job(3), profile, self.cluster))
        self.assertFalse(self.gocd.should_assign("nobody", job, profile, self.cluster))
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)

    def test_a_killed_container_takes_everything_with_it(self):
        agent = self.bring_up(gocd.job(4), self.profile(DOCKER_JOB))
        self.job_done(agent)
        docker("kill", agent)
        self.until_gone(agent)
        entry = next(e for e in self.gocd.get("/api/v1/history") if e["id"] == agent)
        self.assertEqual(entry["exit_code"], 137)
        self.assertIn("job done", entry["last_log"])

    def test_an_admin_ends_it(self):
        agent = self.bring_up(gocd.job(5), self.profile(DOCKER_JOB))
        self.job_done(agent)
        self.gocd.end_agent(agent)
        self.until_gone(agent)

    def test_it_goes_at_once_while_gocd_is_away_and_gocd_hears_of_it_later(self):
        job = gocd.job(6)
        profile = self.profile(DOCKER_JOB)
        agent = self.bring_up(job, profile)
        self.job_done(agent)
        self.gocd.close()
        self.gocd.complete(agent, job, profile, self.cluster)  # the message comes, the channel is cut
        until("an empty engine", lambda: not self.server.left())
        self.gocd = gocd.Gocd(self.server.url)
        self.gocd.connect()
        until("GoCD to hear", lambda: agent in self.gocd.deleted)

    def test_a_restart_takes_agents_up_again_and_their_gateways_answer(self):
        job = gocd.job(7)
        profile = self.profile(DOCKER_JOB)
        agent = self.bring_up(job, profile)
        self.job_done(agent)
        self.server.stop()
        self.assertIn(agent, docker("ps", "--format", "{{.Names}}"))
        self.server.start()
        until("the gateway", lambda: docker("exec", agent, "docker", "version", check=False).returncode == 0, 10)
        self.assertEqual(docker("exec", agent, "docker", "run", "--rm", BUSYBOX, "echo", "again"), "again")
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)

    def test_a_create_that_fails_leaves_nothing_and_says_why(self):
        self.gocd.create_agent(gocd.job(8), {"Image": "ebbtide-test/absent:1"}, self.cluster)
        until("the reason on the console", lambda: "absent" in self.gocd.console.get("unit", ""))
        until("an empty fleet", lambda: not self.agents())

    def test_the_limit_makes_jobs_wait_and_says_so(self):
        self.cluster["max_docker_containers"] = "1"
        first, second = gocd.job(9), gocd.job(10, name="other")
        profile = self.profile("sleep 1000")
        agent = self.bring_up(first, profile)
        self.gocd.create_agent(second, profile, self.cluster)
        until("a place in the queue", lambda: "1 of 1" in self.gocd.console.get("other", ""))
        self.gocd.complete(agent, first, profile, self.cluster)
        waiting = until("the second agent", lambda: (a := self.agent_of(second)) and a["state"] == "registering" and a)
        self.gocd.end_agent(waiting["id"])
        self.until_gone(waiting["id"])


class EachAccess(ServerTest):
    def finish(self, agent, job, profile):
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)

    def log_of(self, job, profile):
        agent = self.bring_up(job, profile)
        until("the job's work", lambda: "job done" in docker("logs", agent))
        return agent, docker("logs", agent)

    def test_tracked_is_an_engine_of_its_own(self):
        job, profile = gocd.job(20), self.profile(
            f"docker run --rm {BUSYBOX} echo inside works; docker ps -q | wc -l; echo job done; sleep 1000")
        agent, log = self.log_of(job, profile)
        self.assertIn("inside works", log)
        self.finish(agent, job, profile)

    def test_none_has_no_docker(self):
        job, profile = gocd.job(21), self.profile(
            "ls /var/run/docker.sock || echo no socket; echo host=$DOCKER_HOST.; echo job done; sleep 1000",
            DockerAccess="none")
        agent, log = self.log_of(job, profile)
        self.assertIn("no socket", log)
        self.assertIn("host=.", log)
        self.finish(agent, job, profile)

    def test_host_is_the_raw_socket_and_marked_unsafe(self):
        job, profile = gocd.job(22), self.profile(
            f"docker run --rm {BUSYBOX} echo inside works; docker ps --format '{{{{.Names}}}}'; echo job done; sleep 1000",
            DockerAccess="host")
        agent, log = self.log_of(job, profile)
        self.assertIn("inside works", log)
        self.assertIn(agent, log, "through the raw socket an agent sees itself among all containers")
        self.assertIn("unsafe", self.gocd.console["unit"])
        self.assertIn("unsafe", self.gocd.call("GET", "/"))
        self.finish(agent, job, profile)

    def test_dind_is_a_second_engine_and_its_volume_goes_too(self):
        script = """
dockerd >/tmp/log 2>&1 &
for i in $(seq 100); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
gunzip -c /home/go/inner.tar.gz | docker import - inner:1
docker run --rm inner:1 echo inside works || cat /tmp/log
echo job done
sleep 1000
"""
        profile = self.profile(script.replace("&\n", "&"), Image="ebbtide-test/dind:1", DockerAccess="dind")
        profile["Command"] = profile["Command"].replace("&;", "&")
        job = gocd.job(23)
        agent, log = self.log_of(job, profile)
        self.assertIn("inside works", log)
        self.assertNotIn("inner:1", docker("images"))
        self.finish(agent, job, profile)

    def test_a_mount_of_the_hosts_socket_becomes_the_gateway(self):
        job, profile = gocd.job(24), self.profile(
            f"docker run -d --name mine {BUSYBOX} sleep 100; docker ps --format '{{{{.Names}}}}'; echo job done; sleep 1000",
            Mounts="/var/run/docker.sock:/var/run/docker.sock")
        agent, log = self.log_of(job, profile)
        self.assertIn("mine", log)
        self.assertNotIn(agent, log)
        self.assertIn("gateway", self.gocd.console["unit"])
        self.finish(agent, job, profile)


class Options(ServerTest):
    """What a profile says of the agent's container, as its process finds it."""

    def test_a_profile_with_every_option_makes_a_container_that_has_them(self):
        job = gocd.job(40)
        docker("network", "create", "options-net")
        try:
            profile = self.profile(
                "id; ulimit -n; df -h /scratch /dev/shm | cat; cat /etc/resolv.conf /etc/hosts; grep Cap /proc/self/status; "
                "cat /proc/1/comm; ls -l /dev/null2; trap 'exit 0' TERM; echo job done; while :; do sleep 0.1; done",
                User="1000:0", Groups="1001", Ulimits="nofile=512:1024", Tmpfs="/scratch:size=8m", ShmSize="128M",
                Dns="10.0.0.2", DnsSearch="ci.example.com", DnsOptions="ndots:3", CapAdd="SYS_PTRACE", CapDrop="NET_RAW",
                Devices="/dev/null:/dev/null2:rw", Labels="team=payments", Init="true", StopTimeout="5", MaxPids="200",
                PullPolicy="never", Platform="linux/amd64", Runtime=docker("info", "-f", "{{.DefaultRuntime}}"),
                Networks="options-net", Hosts="10.0.0.5 db db.local", MaxMemory="256M", ReservedMemory="64M", Cpus="1")
            agent = self.bring_up(job, profile)
            log = until("the job's work", lambda: "job done" in docker("logs", agent) and docker("logs", agent))
            for text in ("uid=1000", "gid=0", "1001", "\n512\n", "8.0M", "128.0M", "search ci.example.com", "ndots:3",
                         "db.local", "/dev/null2"):
                self.assertIn(text, log)
            config = json.loads(docker("inspect", agent))[0]
            self.assertEqual(config["Config"]["Labels"]["team"], "payments")
            self.assertEqual(config["HostConfig"]["PidsLimit"], 200)
            self.assertEqual(config["HostConfig"]["CapAdd"], ["SYS_PTRACE"])
            self.assertEqual(config["HostConfig"]["Dns"], ["10.0.0.2"])
            self.assertTrue(config["HostConfig"]["Init"])
            self.gocd.complete(agent, job, profile, self.cluster)
            self.until_gone(agent)
        finally:
            docker("network", "rm", "options-net")


class Neighbours(ServerTest):
    def test_foreign_containers_and_another_server_are_left_alone(self):
        operators = docker("run", "-d", BUSYBOX, "sleep", "1000")
        other = Server().start()
        try:
            theirs = gocd.Gocd(other.url)
            theirs.connect()
            theirs.create_agent(gocd.job(30), self.profile(DOCKER_JOB), self.cluster)
            neighbour = until("the neighbour", lambda: next(
                (a["id"] for a in theirs.get("/api/v1/agents") if a["state"] == "registering"), None))
            job, profile = gocd.job(31), self.profile(DOCKER_JOB)
            agent = self.bring_up(job, profile)
            until("the job's work", lambda: "job done" in docker("logs", agent))
            self.assertNotIn(neighbour, docker("exec", agent, "docker", "ps", "-a"))
            docker("exec", agent, "docker", "system", "prune", "-af", "--volumes")
            self.gocd.complete(agent, job, profile, self.cluster)
            self.until_gone(agent)
            running = docker("ps", "-q", "--no-trunc")
            self.assertIn(operators, running)
            self.assertIn(neighbour, docker("ps", "--format", "{{.Names}}"))
            theirs.end_agent(neighbour)
            until("the neighbour's end", lambda: not other.left())
            theirs.close()
        finally:
            other.remove()
            docker("rm", "-f", operators)


if __name__ == "__main__":
    harness.main()
