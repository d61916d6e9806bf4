"""Chromium without a window, for tests: driven by chromedriver, and shared by the tests of a program."""

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

import harness

PICTURES = harness.ROOT / "build/screenshots"
AXE = harness.ROOT / "build/browser/axe.min.js"
WIDE, NARROW = 1280, 400


class Browser:
    def __init__(self):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_page_load_timeout(60)
        self.look_like()

    def close(self):
        self.driver.quit()

    def look_like(self, dark=False, width=WIDE, height=900):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width == NARROW})

    def open(self, url):
        self.driver.get(url)

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def text(self, selector="body"):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def until_text(self, text, selector="body", seconds=20):
        harness.until(f"{text!r} on the page", lambda: text in self.text(selector), seconds)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, text):
        self.driver.find_element(By.XPATH, f"//*[self::a or self::button][normalize-space()='{text}']").click()

    def fill(self, name, text):
        field = self.driver.find_element(By.NAME, name)
        field.clear()
        field.send_keys(text)

    def press(self, *keys):
        self.driver.switch_to.active_element.send_keys(*keys)

    def tab_to(self, text):
        """Goes there by keyboard, as somebody without a mouse would."""
        for _ in range(80):
            self.press(Keys.TAB)
            if self.run("return document.activeElement.innerText ?? ''").strip() == text:
                return
        raise AssertionError(f"no way to {text!r} by the tab key")

    def picture(self, name):
        PICTURES.mkdir(parents=True, exist_ok=True)
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return window.innerWidth")
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": min(height, 4000), "deviceScaleFactor": 1, "mobile": width == NARROW})
        self.driver.save_screenshot(str(PICTURES / (name + ".png")))
        return height

    def faults(self):
        """What axe-core calls serious or critical on this page."""
        self.run(AXE.read_text())
        found = self.driver.execute_async_script(
            "const done = arguments[0]; axe.run(document).then(r => done(r.violations), e => done(String(e)))")
        assert isinstance(found, list), found
        return [(each["id"], each["nodes"][0]["html"][:200]) for each in found if
                each["impact"] in ("serious", "critical")]

    def complaints(self):
        """What the browser itself says: errors of the script, what the security policy stopped."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
