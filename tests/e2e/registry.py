"""A registry of images on loopback, for tests: Debian's docker-registry."""
import pathlib
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

from harness import docker, free_port, until

CONFIG = """\
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}}}
http: {{addr: 127.0.0.1:{port}}}
"""
# The user u with the password secret.
AUTH = "auth: {{htpasswd: {{realm: tests, path: {folder}/users}}}}\n"
USERS = "u:$2b$04$P7ta4X7Ik7P67Ot6rreaWeYj.4BuYzLpMv98bUM0Wdn7CCTRvNm2.\n"


class Registry:
    """private: for the user u, with the password secret."""
    def __init__(self, private=False):
        self.port = free_port()
        self.name = f"127.0.0.1:{self.port}"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ebbtide-registry-"))
        config = CONFIG + AUTH if private else CONFIG
        (self.folder / "config.yml").write_text(config.format(folder=self.folder, port=self.port))
        (self.folder / "users").write_text(USERS)
        self.login = ["--config", str(self.folder / "client")]
        with open(self.folder / "log", "w") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", str(self.folder / "config.yml")], stdout=log, stderr=log)
        until("the registry", self.answers, 20)
        if private:
            docker(*self.login, "login", "-u", "u", "--password-stdin", self.name, input="secret")

    def answers(self):
        try:
            return urllib.request.urlopen(f"http://{self.name}/v2/", timeout=5).status == 200
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False

    def put(self, image, name):
        """An image upon one of the engine, which hasn't it any more; its reference."""
        reference = f"{self.name}/{name}"
        docker("build", "-q", "-t", reference, "-", input=f"FROM {image}\nLABEL from={self.name}\n")
        docker(*self.login, "push", "-q", reference)
        docker("rmi", reference)
        return reference

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder)
