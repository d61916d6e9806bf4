"""A Docker engine of a test program's own, which ends with the program."""
import atexit
import os
import pathlib
import socket
import subprocess
import tempfile

SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"


def start(*options):
    """Its address. options: of tests/support/engine.sh."""
    folder = tempfile.mkdtemp(prefix="ebbtide-engine-")
    script = str(SUPPORT / "engine.sh")
    atexit.register(subprocess.run, [script, "stop", folder], check=True)
    host = subprocess.run([script, "start", folder, "--drop-sys-resource", *options], check=True, capture_output=True,
                          text=True).stdout.strip()
    return host


def add_images(host, *which):
    subprocess.run([str(SUPPORT / "images.sh"), *which], check=True, env={**os.environ, "DOCKER_HOST": host})


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
