"""The site in a browser, over the real server and a real engine: live pages, logs, actions, who may, hostile texts, and
whether it can be used by keyboard and screen reader. Pictures stay in build/screenshots."""
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import harness
from browser import NARROW, WIDE, Browser
from harness import docker, gocd, until
from selenium.webdriver.common.keys import Keys

PASSWORD = "a long password"
HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>{{constructor.constructor('window.hacked=1')()}}"
BIDI = "\u202eabc\u2066"

browser = None


def setUpModule():
    global browser
    browser = Browser()


def tearDownModule():
    browser.close()


class SiteTest(harness.ServerTest):
    def setUp(self):
        super().setUp()
        browser.driver.delete_all_cookies()
        browser.look_like()
        browser.complaints()

    def tearDown(self):
        browser.open("about:blank")
        super().tearDown()

    def account(self, name, role):
        subprocess.run([harness.BINARY, "user", "add", name, "--role", role, "--state-dir",
                        str(self.server.folder / "state")], input=PASSWORD + "\n", text=True, check=True,
                       capture_output=True)

    def sign_in(self, name, password=PASSWORD):
        browser.fill("name", name)
        browser.fill("password", password)
        browser.click("Sign in")

    def busy(self, number=1, name="unit"):
        job = gocd.job(number, name=name)
        profile = self.profile(f"""
            docker network create net{number}
            docker volume create cache{number}
            docker run -d --name db{number} --network net{number} ebbtide-test/busybox:1 sh -c 'echo the db is up; sleep 1000'
            i=0; while true; do i=$((i+1)); echo line $i of the job; sleep 1; done""", Environment="API_TOKEN=hush-hush-hush")
        agent = self.bring_up(job, profile)
        until("the belongings of " + agent,
              lambda: {"db%d" % number, "net%d" % number} <= {b["name"] for b in self.whole(agent)["belongings"]})
        return agent, job, profile

    def whole(self, agent):
        return self.gocd.get("/api/v1/agents/" + agent)

    def container(self, agent, name):
        return next(b["id"] for b in self.whole(agent)["belongings"] if b["kind"] == "container" and b["name"] == name)


class LivePages(SiteTest):
    def test_what_happens_on_the_engine_is_on_the_page_without_a_reload(self):
        browser.open(self.server.url)
        browser.run("window.never_reloaded = true")
        agent, job, profile = self.busy()
        browser.until_text("db1", f"#agent-{agent}")
        browser.until_text("building", f"#agent-{agent}")
        row = f"#agent-{agent}"
        db = self.container(agent, "db1")
        browser.until_text("running", row)
        # When the page shows it, by the page's own clock.
        browser.run("""window.seen = new Promise(done => { const watch = new MutationObserver(() => {
            if (document.querySelector(arguments[0]).innerText.includes('exited')) { watch.disconnect(); done(Date.now()); }});
            watch.observe(document.body, {subtree: true, childList: true, characterData: true}); })""", row)
        began = time.time()
        docker("kill", db)
        browser.until_text("exited", row)
        seen = browser.driver.execute_async_script("window.seen.then(arguments[0])")
        print(f"\n  from before `docker kill` to the page: {seen - began * 1000:.0f} ms")
        browser.until_text("CPU", row)
        self.assertTrue(browser.run("return window.never_reloaded"))
        self.gocd.complete(agent, job, profile, self.cluster)
        until("the row to go", lambda: not browser.run("return document.querySelector(arguments[0])", row))
        self.until_gone(agent)
        self.assertEqual(browser.complaints(), [])

    def test_a_search_is_kept_in_the_address(self):
        self.busy(1, "unit")
        self.gocd.create_agent(gocd.job(2, name="lint"), self.profile("sleep 1000"), self.cluster)
        browser.open(self.server.url)
        browser.until_text("lint", "#agents")
        browser.fill("q", "db1")
        # What is scrolled out of sight has no text: the address says that the search has begun.
        until("the search in the address", lambda: browser.driver.current_url.endswith("/?q=db1"))
        until("the other to go", lambda: "lint" not in browser.text("#agents"))
        self.assertIn("unit", browser.text("#agents"))
        browser.driver.refresh()
        self.assertNotIn("lint", browser.text("#agents"))
        browser.fill("q", "nothing of that name")
        browser.until_text("None that this search finds")
        for agent in self.agents():
            self.gocd.call("POST", f"/api/v1/agents/{agent['id']}/end", headers={"X-Ebbtide-Action": "end"})
        until("no agents", lambda: not self.agents())

    def test_a_log_is_followed_and_an_agent_ended(self):
        agent, *_ = self.busy()
        browser.open(f"{self.server.url}/agents/{agent}")
        first = browser.text("#log-lines").count("line ")
        until("more of the log", lambda: browser.text("#log-lines").count("line ") > first + 2)
        self.assertIn("API_TOKEN", browser.text())
        self.assertNotIn("hush", browser.driver.page_source)
        browser.click("db1")
        browser.until_text("the db is up", "#log-lines")
        browser.picture("agent-light-wide")
        browser.click("End agent")
        browser.until_text("End agent?")
        self.assertIn("3 belongings", browser.text())
        browser.picture("question-light-wide")
        browser.click("Back")
        self.assertIn(agent, [a["id"] for a in self.agents()])
        browser.click("End agent")
        browser.click("End agent")
        browser.until_text("an administrator ended it", seconds=60)
        browser.until_text("is gone: removed")
        browser.picture("ended-light-wide")
        self.until_gone(agent)
        self.assertEqual(browser.complaints(), [])

    def test_everything_is_reached_by_keyboard(self):
        agent, *_ = self.busy()
        browser.open(self.server.url)
        browser.until_text(agent)
        browser.press(Keys.TAB)
        self.assertEqual(browser.run("return document.activeElement.className"), "skip")
        browser.press(Keys.ENTER)
        browser.tab_to(agent)
        # What changes around it does not take the focus away.
        docker("kill", self.container(agent, "db1"))
        browser.until_text("exited", f"#agent-{agent}")
        self.assertEqual(browser.run("return document.activeElement.innerText"), agent)
        browser.tab_to("3 belongings")
        browser.press(Keys.ENTER)
        until("the belongings to fold", lambda: "db1" not in browser.text(f"#agent-{agent}"))
        browser.press(Keys.SHIFT, Keys.TAB)
        browser.open(f"{self.server.url}/agents/{agent}")
        browser.tab_to("End agent")
        browser.press(Keys.ENTER)
        browser.until_text("End agent?")
        browser.tab_to("End agent")
        browser.press(Keys.ENTER)
        self.until_gone(agent)


class HostileTexts(SiteTest):
    def test_names_and_logs_do_nothing(self):
        job = {**gocd.job(1), "job_name": HOSTILE + BIDI, "pipeline_name": HOSTILE}
        script = (f"docker run --name shouter ebbtide-test/busybox:1 sh -c 'cat /dev/zero | head -c 1000000 | tr \"\\0\" x; echo; "
                  f"echo \"$TEXT\"'; echo \"$TEXT\"; sleep 1000")
        profile = self.profile(script, Environment="TEXT=" + HOSTILE + BIDI)
        agent = self.bring_up(job, profile)
        until("the shouter's end", lambda: any(
            b.get("state") == "exited" for b in self.whole(agent)["belongings"]))
        for path in ("/", f"/agents/{agent}", "/?q=" + urllib.parse.quote(HOSTILE)):
            browser.open(self.server.url + path)
            browser.until_text("live", "#live")
            self.check(path)
        browser.open(f"{self.server.url}/agents/{agent}")
        until("the whole log", lambda: browser.text("#log-lines").count("window.hacked") >= 2)
        self.check("log")
        self.assertIn("(cut)", browser.text("#log-lines"))
        self.assertLess(len(browser.text("#log-lines")), 100_000)
        self.assertIn("[U+202E]", browser.text("#log-lines"))
        browser.picture("hostile-light-wide")
        self.gocd.complete(agent, job, profile, self.cluster)
        self.until_gone(agent)
        for path in ("/history", f"/agents/{agent}"):
            browser.open(self.server.url + path)
            self.check(path)
        self.assertEqual(browser.complaints(), [])

    def check(self, where):
        self.assertIsNone(browser.run("return window.hacked ?? null"), where)
        self.assertEqual(browser.run("return document.querySelectorAll('script').length"), 1, where)
        self.assertNotIn("\u202e", browser.driver.page_source, where)
        self.assertIn("<script>", browser.text(), where)


class WhoMay(SiteTest):
    def test_a_viewer_looks_and_an_admin_acts(self):
        agent, *_ = self.busy()
        self.account("ben", "viewer")
        self.account("anna", "admin")
        until("accounts to be asked for", lambda: not self.open_to_all())
        browser.open(f"{self.server.url}/agents/{agent}")
        browser.until_text("Sign in")
        self.assertEqual(browser.faults(), [])
        browser.picture("sign-in-light-wide")
        self.sign_in("ben", "not the password")
        browser.until_text("there is no such account")
        self.sign_in("ben")
        browser.until_text("Time line")
        self.assertNotIn("End agent", browser.text())
        docker("exec", agent, "docker", "run", "--privileged", harness.BUSYBOX, "true", check=False)
        browser.until_text("Refusals", "#part-audit")
        self.assertIn("403, privileged", browser.text("#part-audit"))
        browser.open(self.server.url + "/audit?refused=1")
        browser.until_text("POST /containers/create")
        browser.open(self.server.url)
        browser.until_text(agent)
        self.assertNotIn("Prune caches", browser.text())
        key = urllib.parse.quote(browser.run("return document.querySelector('.card bdi').textContent"))
        browser.open(f"{self.server.url}/clusters/prune-caches?key={key}")
        browser.until_text("this is for admins")
        status = browser.driver.execute_async_script("""const [path, done] = arguments;
            fetch(path, {method: 'POST', headers: {'X-Ebbtide-Action': 'end'}}).then(a => done(a.status))""",
            f"/api/v1/agents/{agent}/end")
        self.assertEqual(status, 403)
        browser.open(f"{self.server.url}/agents/{agent}/end")
        browser.until_text("this is for admins")
        browser.click("Sign out")
        browser.until_text("Sign in")
        self.sign_in("anna")
        browser.until_text(agent)
        browser.open(self.server.url)
        browser.click("Prune caches")
        browser.until_text("have no caches in common")
        browser.click("Prune caches")
        browser.until_text("0 caches are removed")
        browser.open(self.server.url + "/sessions")
        self.assertEqual(browser.faults(), [])
        browser.open(f"{self.server.url}/agents/{agent}/end")
        browser.click("End agent")
        browser.until_text("anna ends it", seconds=60)
        self.gocd.headers.update(self.token("read"))
        self.until_gone(agent)

    def open_to_all(self):
        try:
            urllib.request.urlopen(self.server.url + "/api/v1/visitor").close()
            return True
        except urllib.error.HTTPError as refused:
            return refused.code != 401

    def token(self, scope):
        made = subprocess.run([harness.BINARY, "token", "add", "test", "--scope", scope, "--state-dir",
                               str(self.server.folder / "state")], text=True, check=True, capture_output=True)
        return {"Authorization": "Bearer " + made.stdout.strip()}


class Looks(SiteTest):
    def test_no_page_keeps_anybody_out_and_all_have_their_picture(self):
        first, *_ = self.busy(1, "unit")
        second, job, profile = self.busy(2, "integration")
        docker("kill", first)  # an agent that died, for the history
        self.until_gone(first)
        self.cluster["max_docker_containers"] = "1"
        self.gocd.create_agent(gocd.job(3, name="deploy"), self.profile("sleep 1000"), self.cluster)
        until("one that waits", lambda: any(a["state"] == "queued" for a in self.agents()))
        docker("exec", second, "docker", "run", "--privileged", harness.BUSYBOX, "true", check=False)
        until("the audit", lambda: self.gocd.get("/api/v1/audit?refused=1"))
        key = urllib.parse.quote(self.gocd.get("/api/v1/clusters")[0]["key"])
        pages = {"audit": "/audit", "caches": "/clusters/prune-caches?key=" + key, "status": "/", "agent": "/agents/" + second, "history": "/history", "ended": "/agents/" + first,
                 "question": f"/agents/{second}/keep", "nothing": "/agents/nobody"}
        for dark in (False, True):
            for width in (WIDE, NARROW):
                for name, path in pages.items():
                    browser.look_like(dark, width)
                    browser.open(self.server.url + path)
                    if name == "status":
                        browser.until_text("CPU", f"#agent-{second}")
                    where = f"{name}-{'dark' if dark else 'light'}-{'wide' if width == WIDE else 'narrow'}"
                    self.assertEqual(browser.faults(), [], where)
                    overflow = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    self.assertLessEqual(overflow, 0, where)
                    browser.picture(where)
        for agent in self.agents():
            self.gocd.call("POST", f"/api/v1/agents/{agent['id']}/end", headers={"X-Ebbtide-Action": "end"})
        until("no agents", lambda: not self.agents())
        self.assertTrue(all(line.startswith(self.server.url + "/agents/nobody") for line in browser.complaints()))


if __name__ == "__main__":
    harness.main()
