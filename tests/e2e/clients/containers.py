"""Tests of a job with Testcontainers: containers.py IMAGE [hang], at DOCKER_HOST. Says what it saw, and cleans up; with
hang it waits to be killed, and then its reaper has to."""
import re
import signal
import socket
import sys

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

image = sys.argv[1]


def answer_of(container):
    with socket.create_connection((container.get_container_host_ip(), int(container.get_exposed_port(80))), 10) as connection:
        return connection.recv(100).decode().strip()


with Network() as network:
    database = DockerContainer(image).with_network(network).with_network_aliases("db").with_exposed_ports(80)
    database.with_command(["sh", "-c", "echo is up; nc -ll -p 80 -e echo of the database"]).with_env("A", "b")
    with database, DockerContainer(image).with_network(network).with_command("sleep 1000") as web:
        wait_for_logs(database, "is up", timeout=30)
        print("says", answer_of(database))
        print("logs", database.get_logs())
        print("exec", web.exec(["sh", "-c", "ping -c1 -q db | grep -c '1 packets received'"]))
        labels = database.get_wrapped_container().labels
        print("labels", sorted(re.sub("[0-9a-f-]{36}", "SESSION", f"{k}={v}") for k, v in labels.items()))
        print("ready", flush=True)
        if "hang" in sys.argv:
            signal.pause()
