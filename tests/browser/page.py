"""Views and reports in a browser as GoCD shows them: compiled by the AngularJS 1.0.8 that GoCD has (from npm), in
Debian's headless Chromium. Screenshots go to build/screenshots."""
import atexit
import fcntl
import os
import pathlib
import shutil
import subprocess
import tempfile

# The harness starts an engine where none is named; a browser needs none.
os.environ.setdefault("DOCKER_HOST", "unix:///nowhere/docker.sock")

import sys  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/e2e"))

from selenium import webdriver  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402

import harness  # noqa: E402, F401

ANGULAR = "angular@1.0.8"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "ebbtide-tests"


def angular():
    """The text of AngularJS, fetched once for a machine."""
    file = CACHE / (ANGULAR + ".js")
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            with tempfile.TemporaryDirectory() as folder:
                subprocess.run(["npm", "pack", "--silent", ANGULAR], cwd=folder, check=True, stdout=subprocess.DEVNULL)
                archive = next(pathlib.Path(folder).glob("*.tgz"))
                subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
                shutil.copy(pathlib.Path(folder) / "package/lib/angular.min.js", str(file) + ".new")
                os.rename(str(file) + ".new", file)
    return file.read_text()


class Browser:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ebbtide-browser-"))
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                     "--window-size=1000,1400", f"--user-data-dir={self.folder}/profile"):
            options.add_argument(flag)
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.page = (pathlib.Path(__file__).parent / "page.html").read_text()
        atexit.register(self.close)

    def close(self):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)

    def open(self, content=""):
        """A page of GoCD's with content in it, unescaped."""
        file = self.folder / "page.html"
        head, tail = self.page.split("CONTENT")
        before, after = tail.split("ANGULAR", 1)
        file.write_text(head + content + before + angular() + after)
        self.driver.get(file.as_uri())

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def harm(self):
        return self.run("return window.harm")

    def screenshot(self, name, height=1400, width=1000):
        target = ROOT / "build/screenshots"
        target.mkdir(parents=True, exist_ok=True)
        self.driver.set_window_size(width, height)
        self.driver.save_screenshot(str(target / f"{name}.png"))
