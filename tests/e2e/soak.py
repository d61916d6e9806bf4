"""Many agents at once, ended in random ways, with and without the server being killed meanwhile. EBBTIDE_SOAK_AGENTS and
EBBTIDE_CHAOS_KILLS set how much."""
import concurrent.futures
import os
import random
import threading

import harness
from harness import BUSYBOX, ServerTest, docker, gocd, until

AGENTS = int(os.environ.get("EBBTIDE_SOAK_AGENTS", "50"))
KILLS = int(os.environ.get("EBBTIDE_CHAOS_KILLS", "20"))

JOB = f"""
docker network create net-$HOSTNAME
docker volume create vol-$HOSTNAME
docker run -d --network net-$HOSTNAME {BUSYBOX} sleep 3000
docker run -d -v vol-$HOSTNAME:/data {BUSYBOX} sleep 3000
docker run -d --network none {BUSYBOX} sleep 3000
echo job done
sleep 3000
"""


class Soak(ServerTest):
    def setUp(self):
        super().setUp()
        self.random = random.Random(17)
        self.operators = docker("run", "-d", "--network", "none", BUSYBOX, "sleep", "3000")

    def tearDown(self):
        running = docker("ps", "-q", "--no-trunc")
        docker("rm", "-f", self.operators)
        super().tearDown()
        self.assertIn(self.operators, running, "a foreign container was touched")

    def start(self, numbers):
        """Agents for jobs of these numbers, all building, their jobs' work done; job number -> agent id."""
        profile = self.profile(JOB)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: self.gocd.create_agent(gocd.job(n, name=f"job{n}"), profile, self.cluster), numbers))
        agents = {}

        def all_up():
            for agent in self.agents():
                number = agent["job"]["counter"]
                if number in numbers and agent["state"] != "queued" and agent["container"] and number not in agents:
                    if agent["state"] in ("registering", "idle", "building"):
                        agents[number] = agent["id"]
                        self.gocd.register(agent["id"], "Building")
            return len(agents) == len(numbers)

        until("all agents", all_up, 300)
        for agent in agents.values():
            until("the work of " + agent, lambda a=agent: "job done" in docker("logs", a), 300)
        return agents

    def end(self, number, agent):
        way = self.random.choice(["completion", "killed", "admin", "forgotten"])
        if way == "completion":
            self.gocd.complete(agent, gocd.job(number, name=f"job{number}"), self.profile(JOB), self.cluster)
        elif way == "killed":
            docker("kill", agent)
        elif way == "admin":
            self.gocd.end_agent(agent)
        else:
            self.gocd.forget(agent)
            self.gocd.ping([self.cluster])

    def test_agents_ended_in_random_ways_leave_nothing(self):
        agents = self.start(range(1, AGENTS + 1))
        self.assertGreaterEqual(len(self.server.left()), AGENTS * 6)
        # Known to GoCD before some are forgotten by it.
        self.gocd.ping([self.cluster])
        until("GoCD's list", lambda: all(a["state"] != "registering" for a in self.agents()))
        for number, agent in agents.items():
            self.end(number, agent)
        until("an empty engine", lambda: not self.server.left(), 180)
        until("an empty fleet", lambda: not self.agents(), 60)

    def test_a_server_killed_at_any_moment_loses_nothing(self):
        survivors = self.start([1, 2])
        number = 100
        for _ in range(KILLS):
            number += 1
            self.gocd.create_agent(gocd.job(number, name=f"job{number}"), self.profile(JOB), self.cluster)
            self.wait(self.random.random() * 2.5)
            for agent in self.agents():
                if agent["id"] not in survivors.values() and agent["container"] and self.random.random() < 0.7:
                    self.gocd.call("POST", f"/api/v1/agents/{agent['id']}/end", "", {"X-Ebbtide-Action": "end"})
                    self.wait(self.random.random() * 0.5)
                    break
            self.server.kill()
            self.server.start()
            if self.random.random() < 0.5:  # else killed again while it takes agents up
                until("the agents to be taken up", self.server.ready)
        until("the agents to be taken up", self.server.ready)
        running = docker("ps", "--format", "{{.Names}}").split()
        for agent in survivors.values():
            self.assertIn(agent, running, "a living agent was ended")
        ends = self.agents()
        self.assertGreaterEqual(len(ends), len(survivors))
        for agent in ends:
            self.gocd.end_agent(agent["id"])
        until("an empty engine", lambda: not self.server.left(), 180)

    def wait(self, seconds):
        """To a random moment: the moment is what is tested."""
        threading.Event().wait(seconds)


if __name__ == "__main__":
    harness.main()
