"""The job of quickstart.sh: messages of GoCD to a running Ebbtide, and a look at the engine before, during and after."""
import subprocess
import sys
import threading

import gocd

SCRIPT = """
set -e
echo "the job sees an engine of its own: $(docker ps -q | wc -l) containers"
docker network create demo-net
docker volume create demo-cache
docker run -d --name demo-db --network demo-net -v demo-cache:/data ebbtide-test/busybox:1 sleep 1000
printf 'FROM ebbtide-test/busybox:1\\nRUN echo built by the job > /built\\n' > /tmp/Dockerfile
docker build -q -t demo-app:1 - < /tmp/Dockerfile
docker run --rm demo-app:1 cat /built
docker ps
echo "the job is done"
sleep 1000
"""
ENGINE_VIEW = "table {{.Names}}\t{{.Image}}\t{{.Label \"ebbtide.agent\"}}"


def docker(*args):
    return subprocess.run(["docker", *args], check=True, capture_output=True, text=True).stdout.strip()


def until(what, condition, seconds=60):
    tick = threading.Event()
    for _ in range(seconds * 10):
        found = condition()
        if found:
            return found
        tick.wait(0.1)
    sys.exit(f"demo: waited {seconds} s for {what}")


def ours(kind):
    return docker(*kind, "ls", "-q", "--filter", "label=ebbtide.server") if kind else docker(
        "ps", "-aq", "--filter", "label=ebbtide.server")


def main(url, engine):
    server = gocd.Gocd(url)
    server.connect()
    job = gocd.job(17)
    cluster = {"go_server_url": "https://gocd.example.com/go", "docker_uri": engine, "max_docker_containers": "5",
               "auto_register_timeout": "10"}
    profile = {"Image": "ebbtide-test/agent:1", "Command": "sh\n-c\n" + SCRIPT.strip().replace("\n", "; ")}
    print("-> create-agent")
    server.create_agent(job, profile, cluster)
    agent = until("the agent's container", lambda: next(
        (a["id"] for a in server.get("/api/v1/agents") if a["state"] == "registering"), None))
    print(f"   agent {agent} is up")
    server.register(agent)
    assigned = server.should_assign(agent, job, profile, cluster)
    print(f"-> should-assign-work: {str(assigned).lower()}")
    server.set_state(agent, "Building")

    print("\nwhat the job says, inside its agent:")
    until("the job", lambda: "the job is done" in docker("logs", agent))
    print("   " + docker("logs", agent).replace("\n", "\n   "))

    print("\nwhat the engine has, and whose it is:")
    print("   " + docker("ps", "-a", "--filter", "label=ebbtide.server", "--format", ENGINE_VIEW).replace("\n", "\n   "))
    for kind in ("network", "volume"):
        names = docker(kind, "ls", "--filter", "label=ebbtide.agent=" + agent, "--format", "{{.Name}}")
        print(f"   {kind}: " + names.replace("\n", ", "))
    print("   image: " + docker("images", "--filter", "label=ebbtide.image-agent", "--format", "{{.Repository}}:{{.Tag}}"))

    print("\n-> job-completion")
    server.complete(agent, job, profile, cluster)
    until("an empty engine", lambda: not (ours(None) or ours(("network",)) or ours(("volume",))))
    until("the image's removal", lambda: not docker("images", "-q", "--filter", "label=ebbtide.image-agent"))
    until("GoCD to hear of it", lambda: agent in server.deleted)
    entry = until("the history", lambda: server.get("/api/v1/history"))[0]
    print(f"   reaped: {entry['reaped']}")
    print("   on the engine: nothing of the job is left")
    print("\nwhat the job's console said:")
    print("   " + server.console.get("unit", "").strip().replace("\n", "\n   "))
    server.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
