"""Agents whose engine is reached over the network: their gateways come to them over TLS."""
import os
import pathlib
import subprocess
import tempfile

import own_engine

# Its network is a bridge of this machine, whose address is what agents reach Ebbtide by.
os.environ["DOCKER_HOST"] = own_engine.start("--tcp", str(own_engine.free_port()))
own_engine.add_images(os.environ["DOCKER_HOST"])

import harness  # noqa: E402
from harness import BUSYBOX, ServerTest, docker, gocd, until  # noqa: E402

BRIDGE = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge")
PORT = own_engine.free_port()
ACCESS = "--volumes-from $HOSTNAME -e DOCKER_HOST -e DOCKER_TLS_VERIFY -e DOCKER_CERT_PATH"

JOB = f"""
id -u
ls -l /var/run/docker.sock || echo no socket
docker run --rm {BUSYBOX} echo ran
echo from stdin | docker run -i --rm {BUSYBOX} cat
docker run -d --name db -v data:/data {BUSYBOX} sleep 1000 >/dev/null
echo more from stdin | docker exec -i db cat
head -c 3000000 /dev/zero | docker exec -i db sh -c 'cat; echo' | wc -c
mkdir /tmp/context
head -c 2000000 /dev/zero >/tmp/context/zeros
printf 'FROM {BUSYBOX}\\nCOPY zeros /zeros\\nRUN wc -c /zeros\\n' >/tmp/context/Dockerfile
docker build -t made /tmp/context
docker run --rm {ACCESS} ebbtide-test/agent:1 docker run --rm {BUSYBOX} echo from a child
docker run --rm -v /var/run/docker.sock:/var/run/docker.sock {BUSYBOX} true
docker run --rm -v /tmp/context:/context {BUSYBOX} true
docker ps --format '{{{{.Names}}}}'
echo job done
sleep 1000
"""


class Remote(ServerTest):
    flags = ("--gateway-listen", f"{BRIDGE}:{PORT}")

    def work(self, agent):
        until("the job's work", lambda: "job done" in docker("logs", agent))
        done = docker("logs", agent, check=False)
        return done.stdout + done.stderr

    def test_a_job_does_all_that_it_does_on_this_machine(self):
        job, profile = gocd.job(1), self.profile(JOB, User="go")
        agent = self.bring_up(job, profile)
        log = self.work(agent)
        for line in ("1000", "no socket", "ran", "from stdin", "more from stdin", "3000001", "2000000 /zeros",
                     "Successfully tagged made:latest", "from a child"):
            self.assertIn(line, log)
        self.assertIn("-e DOCKER_CERT_PATH", log, "a child that wants the socket is told what to do")
        self.assertIn("the path /tmp/context can't be mounted", log)
        self.assertIn("db\njob done", log, "the job sees its own containers only")
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)
        self.assertEqual(self.server.left(), [])

    def test_buildkit_builds_too(self):
        job, profile = gocd.job(5), self.profile("echo job done; sleep 1000")
        agent = self.bring_up(job, profile)
        self.work(agent)
        with tempfile.TemporaryDirectory() as folder:
            docker("cp", f"{agent}:/run/ebbtide/.", folder)
            pathlib.Path(folder, "Dockerfile").write_text(f"FROM {BUSYBOX}\nCOPY ca.pem /\nRUN grep CERT /ca.pem\n")
            # Debian's client, which has BuildKit's in it.
            env = {**os.environ, "DOCKER_HOST": f"tcp://{BRIDGE}:{PORT}", "DOCKER_TLS_VERIFY": "1",
                   "DOCKER_CERT_PATH": folder, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
            built = subprocess.run(["/usr/bin/docker", "build", "-t", "made", folder], env=env, capture_output=True,
                                   text=True, timeout=60)
            self.assertEqual(built.returncode, 0, built.stderr)
        self.assertIn("BEGIN CERTIFICATE", docker("exec", agent, "docker", "run", "--rm", "made", "cat", "/ca.pem"))
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)

    def test_agents_go_on_over_a_killed_server_and_a_restart(self):
        job, profile = gocd.job(2), self.profile(f"docker run -d --name db {BUSYBOX} sleep 1000; echo job done; sleep 1000")
        agent = self.bring_up(job, profile)
        self.work(agent)
        self.server.kill()
        self.assertNotEqual(docker("exec", agent, "docker", "version", check=False).returncode, 0)
        self.server.start()
        until("the gateway", lambda: docker("exec", agent, "docker", "version", check=False).returncode == 0, 20)
        self.assertEqual(docker("exec", agent, "docker", "exec", "db", "echo", "again"), "again")
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)

    def test_a_certificate_leads_to_its_own_agents_gateway_only(self):
        script = f"docker run -d --name db-$HOSTNAME {BUSYBOX} sleep 1000; echo job done; sleep 1000"
        jobs, profile = [gocd.job(n, name=f"job{n}") for n in (3, 4)], self.profile(script)
        agents = [self.bring_up(job, profile) for job in jobs]
        for agent in agents:
            self.work(agent)
        hosts = [docker("inspect", "-f", "{{.Config.Hostname}}", agent) for agent in agents]
        self.assertEqual(docker("exec", agents[0], "docker", "ps", "--format", "{{.Names}}"), "db-" + hosts[0])
        foreign = docker("exec", agents[0], "docker", "inspect", "db-" + hosts[1], check=False)
        self.assertIn("No such object", foreign.stderr)
        with tempfile.TemporaryDirectory() as folder:  # the other agent's certificate, in the hands of this one
            docker("cp", f"{agents[1]}:/run/ebbtide/.", folder)
            docker("cp", f"{folder}/.", f"{agents[0]}:/tmp")
            seen = docker("exec", "-e", "DOCKER_CERT_PATH=/tmp", agents[0], "docker", "ps", "--format", "{{.Names}}")
            self.assertEqual(seen, "db-" + hosts[1], "whose key it is, not who asks, decides")
            for pair in ("-e DOCKER_TLS_VERIFY=", "-e DOCKER_CERT_PATH=/home"):
                refused = docker("exec", *pair.split(), agents[0], "docker", "ps", check=False)
                self.assertNotEqual(refused.returncode, 0)
            self.no_key_but_the_authoritys(agents, pathlib.Path(folder, "key.pem").read_text())
        for agent, job in zip(agents, jobs):
            self.gocd.complete(agent, job, profile, self.cluster)
        for agent in agents:
            self.until_gone(agent)

    def no_key_but_the_authoritys(self, agents, key):
        self.assertIn("PRIVATE KEY", key)
        for agent in agents:
            self.assertNotIn("PRIVATE KEY", docker("inspect", agent))
        files = [p for p in self.server.folder.rglob("*") if p.is_file()]
        self.assertEqual([p.name for p in files if b"PRIVATE KEY" in p.read_bytes()], ["gateway-ca.pem"])


if __name__ == "__main__":
    harness.main()
