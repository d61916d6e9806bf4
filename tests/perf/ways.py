#!/usr/bin/env python3
"""What each way costs by which a job gets Docker (docs/choosing.md): five agents each, one after the other, on the engine
that DOCKER_HOST names. Prints a table of medians: from create-agent to the job's first word, to the first container that it
ran, from job-completion to nothing left, and the memory that one agent more takes."""
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

import harness  # noqa: E402
from harness import AGENT_IMAGE, ENGINE, Server, docker, gocd, until  # noqa: E402

AGENTS = 5
DIND_IMAGE = "ebbtide-test/dind:1"
WAIT = "until docker version >/dev/null 2>&1; do sleep 0.05; done; "
RUN = "docker run --rm {} echo ran; sleep 1000"
WAYS = {
    "none": (AGENT_IMAGE, "echo up; echo ran; sleep 1000"),
    "tracked": (AGENT_IMAGE, "echo up; " + WAIT + RUN.format(harness.BUSYBOX)),
    # Its engine has no image at first; this one comes from a file of half a megabyte, not from a registry.
    "dind": (DIND_IMAGE, "echo up; dockerd >/tmp/log 2>&1 & " + WAIT + "docker import /home/go/inner.tar.gz inner; " +
             RUN.format("inner")),
}


def rss_mib(pid):
    """Memory of a process, without what it shares with others' files."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(fields["RssAnon"].split()[0]) / 1024


def engine_mib(agent):
    """Of dockerd and containerd in the agent."""
    rows = docker("top", agent, "-eo", "pid,comm").splitlines()[1:]
    return sum(rss_mib(pid) for pid, name in (row.split() for row in rows) if name in ("dockerd", "containerd"))


def one_agent(server, gocd_server, cluster, way, number):
    image, script = WAYS[way]
    job = gocd.job(number)
    profile = {"Image": image, "Command": "sh\n-c\n" + script, "DockerAccess": way}
    before = rss_mib(server.process.pid)
    began = time.monotonic()
    gocd_server.create_agent(job, profile, cluster)
    agent = until("the agent", lambda: next(
        (a["id"] for a in gocd_server.get("/api/v1/agents") if a["job"]["id"] == job["job_id"]), None))
    times = {}
    for word in ("up", "ran"):
        until(word, lambda: word in docker("logs", agent, check=False).stdout.split())
        times[word] = time.monotonic() - began
    memory = engine_mib(agent) if way == "dind" else rss_mib(server.process.pid) - before
    gocd_server.register(agent)
    until("registration", lambda: gocd_server.should_assign(agent, job, profile, cluster))
    began = time.monotonic()
    gocd_server.complete(agent, job, profile, cluster)
    until("an empty engine", lambda: not server.left())
    return times["up"], times["ran"], time.monotonic() - began, memory


def main():
    server = Server("--log-level", "error").start()
    goes = gocd.Gocd(server.url)
    goes.connect()
    cluster = {"go_server_url": "https://gocd.example.com/go", "docker_uri": ENGINE, "max_docker_containers": "5",
               "auto_register_timeout": "10"}
    try:
        one_agent(server, goes, cluster, "none", 1)  # the first connects to the engine
        print("| way | the agent runs | a container of its job ran | gone after the job | memory |\n|---|---|---|---|---|")
        number = 10
        for way in WAYS:
            rows = []
            for _ in range(AGENTS):
                number += 1
                rows.append(one_agent(server, goes, cluster, way, number))
            up, ran, gone, memory = (statistics.median(column) for column in zip(*rows))
            print(f"| `{way}` | {up:.1f} s | {'–' if way == 'none' else f'{ran:.1f} s'} | {gone:.1f} s | "
                  f"{max(memory, 0):.1f} MiB |", flush=True)
    finally:
        goes.close()
        server.remove()


if __name__ == "__main__":
    main()
