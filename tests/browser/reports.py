"""GoCD's reports over hostile names and logs, in the page as GoCD shows it: not escaped, and compiled by AngularJS 1.0.8."""
import json
import os
import subprocess
import unittest

import page
from harness import main
from selenium.webdriver.common.by import By

SAMPLES = os.environ.get("EBBTIDE_REPORT_SAMPLES", str(page.ROOT / "build/dev/tests/support/report_samples"))


class Reports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.samples = json.loads(subprocess.run([SAMPLES], check=True, capture_output=True, text=True).stdout)
        cls.browser = page.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def show(self, name):
        self.browser.open(self.samples[name])
        self.assertTrue(self.browser.run("return compileReport()"))
        return self.browser.driver.find_element(By.CSS_SELECTOR, "[data-ebbtide]")

    def test_nothing_hostile_runs_or_becomes_markup(self):
        for name in self.samples:
            self.show(name)
            self.assertEqual(self.browser.harm(), [], name)
            strangers = self.browser.run("""
                const own = document.querySelector('[data-ebbtide]');
                return [...own.querySelectorAll('*')].filter(e =>
                    ['SCRIPT', 'IMG', 'SVG', 'B', 'IFRAME'].includes(e.tagName.toUpperCase()) ||
                    [...e.attributes].some(a => a.name.startsWith('on') || a.name.startsWith('ng-'))).map(e => e.outerHTML)
            """)
            self.assertEqual(strangers, [], name)
            self.assertEqual(self.browser.run("return document.querySelectorAll('#content style').length"), 1, name)

    def test_the_page_itself_is_compiled(self):
        self.browser.open("<p id='proof'>{{6*7}}</p>" + self.samples["cluster"])
        self.browser.run("compileReport()")
        self.assertEqual(self.browser.driver.find_element(By.ID, "proof").text, "42")
        self.assertNotIn("1337", self.browser.driver.find_element(By.CSS_SELECTOR, "[data-ebbtide]").text)

    def test_hostile_text_can_be_read(self):
        text = self.show("agent 1").text
        self.assertIn("<script>alert('script')</script>", text)
        self.assertIn("constructor.constructor", self.show("agent 2").text)

    def test_links_lead_to_gocds_jobs_and_to_the_live_page_only(self):
        for name in self.samples:
            links = [a.get_attribute("href") for a in self.show(name).find_elements(By.TAG_NAME, "a")]
            for link in links:
                self.assertTrue(link.startswith("https://ebbtide.example/") or link.startswith("file:///go/tab/build/"),
                                link)
            if name.startswith(("agent", "cluster", "nothing")):
                self.assertTrue(any(link.startswith("https://ebbtide.example/") for link in links), name)

    def test_the_direction_of_text_is_not_turned(self):
        self.assertNotRegex(self.samples["agent 7"], "[\u202a-\u202e\u2066-\u2069]")

    def test_long_lines_stay_in_the_page(self):
        for name in ("agent 3", "agent with lines of a megabyte", "cluster"):
            self.show(name)
            overflow = self.browser.run("return document.documentElement.scrollWidth - innerWidth")
            self.assertLessEqual(overflow, 0, name)
        self.browser.screenshot("report-cluster-hostile")
        self.show("agent 4")
        self.browser.screenshot("report-agent-hostile")


if __name__ == "__main__":
    main()
