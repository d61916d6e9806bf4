"""The profile forms as GoCD shows them: compiled by AngularJS 1.0.8 in Chromium, filled in, saved, and the errors of a real
Ebbtide shown under their fields."""
import http.server
import json
import os
import socketserver
import tempfile
import threading
import unittest

import page
from harness import Server, gocd, main
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

HOSTILE = ["<script>alert(1)</script>", "{{constructor.constructor('alert(1)')()}}", "\"><img src=x onerror=alert(1)>",
           "\u202eevil", "x' ng-init='alert(1)"]


class PingingEngine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """What a profile's check needs of an engine: it answers /_ping."""
    daemon_threads = True

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Api-Version", "1.41")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        do_HEAD = do_GET

        def address_string(self):
            return "unix"

        def log_message(self, *_):
            pass

    def __init__(self, path):
        super().__init__(path, self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Form:
    """One kind of profile's form, open in the browser."""

    def __init__(self, browser, service, kind, saved=None):
        self.browser, self.service, self.kind = browser, service, kind
        metadata = json.loads(service.message(f"get-{kind}-metadata", None))
        self.required = [m["key"] for m in metadata if m["metadata"]["required"]]
        self.keys = [m["key"] for m in metadata]
        template = json.loads(service.message(f"get-{kind}-view", None))["template"]
        browser.open()
        assert browser.run("return openForm(...arguments)", template, self.keys, saved or {})

    def field(self, key):
        return self.browser.driver.find_element(By.ID, "ebbtide-" + key)

    def fill(self, key, value):
        field = self.field(key)
        if field.tag_name == "select":
            Select(field).select_by_value(value)
        elif field.get_attribute("type") == "checkbox":
            if field.is_selected() != (value == "true"):
                field.click()
        else:
            field.clear()
            field.send_keys(value)

    def model(self):
        """What GoCD would save: the values that are there."""
        return {k: v for k, v in self.browser.run("return model").items() if v is not None}

    def save(self):
        """As GoCD does: the service validates, and the errors go to the form."""
        errors = json.loads(self.service.message(f"validate-{self.kind}", self.model()))
        self.browser.run("showErrors(arguments[0])", errors)
        return errors

    def error_under(self, key):
        """The text that is visible in the field's own block."""
        block = self.field(key).find_element(By.XPATH, "ancestor::div[contains(@class, 'form_item_block')]")
        return block.find_element(By.CLASS_NAME, "form_error").text

    def visible_errors(self):
        return [e.text for e in self.browser.driver.find_elements(By.CLASS_NAME, "form_error") if e.is_displayed()]


class Forms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.service = gocd.Gocd(cls.server.url)
        cls.browser = page.Browser()
        cls.folder = tempfile.TemporaryDirectory()
        cls.engine = PingingEngine(os.path.join(cls.folder.name, "docker.sock"))

    @classmethod
    def tearDownClass(cls):
        cls.engine.shutdown()
        cls.engine.server_close()
        cls.server.remove()
        cls.browser.close()
        cls.folder.cleanup()

    def tearDown(self):
        self.assertEqual(self.browser.harm(), [])

    def cluster_form(self, saved=None):
        return Form(self.browser, self.service, "cluster-profile", saved)

    def agent_form(self, saved=None):
        return Form(self.browser, self.service, "elastic-agent-profile", saved)

    def test_a_new_cluster_profile_has_defaults_and_says_what_is_missing(self):
        form = self.cluster_form()
        self.assertEqual(form.model(), {"auto_register_timeout": "10", "private_registry_custom_credentials": "true",
                                        "docker_policy": "ci", "docker_publish": "ephemeral"})
        self.assertEqual(form.visible_errors(), [])
        form.save()
        for key in ("go_server_url", "docker_uri", "max_docker_containers"):
            self.assertEqual(form.error_under(key), "must not be blank")
        self.assertEqual(len(form.visible_errors()), 3)
        self.browser.screenshot("form-cluster-errors", 1900)

    def test_a_cluster_profile_is_filled_in_and_saved(self):
        form = self.cluster_form()
        values = {"go_server_url": "https://gocd.example.com/go", "docker_uri": f"unix://{self.folder.name}/docker.sock",
                  "max_docker_containers": "20", "environment_variables": "A=1\nB=2", "docker_policy": "trusted",
                  "pull_on_container_create": "true"}
        for key, value in values.items():
            form.fill(key, value)
        self.assertEqual(form.save(), [])
        self.assertEqual(form.visible_errors(), [])
        self.assertEqual({k: form.model()[k] for k in values}, values)

    def test_the_engine_is_tried_and_its_absence_told_under_its_address(self):
        form = self.cluster_form({"go_server_url": "https://gocd.example.com/go", "max_docker_containers": "1",
                                  "docker_uri": "unix:///nowhere/docker.sock"})
        form.save()
        self.assertIn("no engine answers there", form.error_under("docker_uri"))

    def test_fields_of_the_registry_come_with_its_check_box_and_with_an_error(self):
        form = self.cluster_form()
        self.assertFalse(form.field("private_registry_server").is_displayed())
        form.fill("enable_private_registry_authentication", "true")
        self.assertTrue(form.field("private_registry_password").is_displayed())
        form.fill("private_registry_custom_credentials", "false")
        self.assertFalse(form.field("private_registry_password").is_displayed())
        self.assertEqual(form.model()["private_registry_custom_credentials"], "false")
        self.browser.run("showErrors([{key: 'private_registry_password', message: 'wrong'}])")
        self.assertEqual(form.error_under("private_registry_password"), "wrong")

    def test_a_hint_in_braces_is_shown_as_it_is(self):
        form = self.cluster_form({"enable_private_registry_authentication": "true"})
        self.assertIn("{{SECRET:[config id][key]}}", self.browser.driver.find_element(By.ID, "content").text)
        self.assertEqual(form.visible_errors(), [])

    def test_every_field_of_an_agent_profile_is_saved_under_its_key(self):
        form = self.agent_form()
        values = {}
        for key in form.keys:
            field = form.field(key)
            if field.tag_name == "select":
                values[key] = Select(field).options[-1].get_attribute("value")
            elif field.get_attribute("type") == "checkbox":
                values[key] = "true"
            else:
                values[key] = "text of " + key
            form.fill(key, values[key])
        self.assertEqual(form.model(), values)

    def test_a_saved_agent_profile_is_shown_and_stays_as_it_was(self):
        saved = {"Image": "ci/agent:1", "DockerAccess": "dind", "PullPolicy": "never", "Init": "true",
                 "Environment": "A=1\nB={{x}}", "Privileged": "false", "Images": "shared", "Volumes": "shared:m2-*"}
        form = self.agent_form(saved)
        self.assertEqual(form.model(), saved)
        self.assertEqual(form.field("Environment").get_attribute("value"), saved["Environment"])
        self.assertTrue(form.field("Init").is_selected())
        self.assertFalse(form.field("Privileged").is_selected())
        self.assertEqual(form.save(), [])

    def test_errors_stand_under_their_fields_and_go_when_they_are_mended(self):
        form = self.agent_form({"Image": "ci/agent:1", "MaxMemory": "2", "Ulimits": "nofile", "Labels": "ebbtide.x=1",
                                "CapAdd": "NET_ADMIM", "Volumes": "all"})
        form.save()
        self.assertIn("units M, G or T", form.error_under("MaxMemory"))
        self.assertIn("nofile=4096:65536", form.error_under("Ulimits"))
        self.assertIn("must not begin with ebbtide.", form.error_under("Labels"))
        self.assertIn("NET_ADMIM", form.error_under("CapAdd"))
        self.assertIn("scoped", form.error_under("Volumes"))
        self.assertIn("is-invalid-input", form.field("MaxMemory").get_attribute("class"))
        self.assertEqual(len(form.visible_errors()), 5)
        self.browser.screenshot("form-agent-errors", 3300)
        for key, value in {"MaxMemory": "2G", "Ulimits": "nofile=1024", "Labels": "x=1", "CapAdd": "NET_ADMIN",
                           "Volumes": "scoped"}.items():
            form.fill(key, value)
        self.assertEqual(form.save(), [])
        self.assertEqual(form.visible_errors(), [])
        self.assertNotIn("is-invalid-input", form.field("MaxMemory").get_attribute("class"))

    def test_hostile_values_are_shown_as_text_in_fields_and_errors(self):
        keys = self.agent_form().keys
        for text in HOSTILE:
            form = self.agent_form({key: text for key in keys})
            errors = form.save()
            self.assertGreater(len(errors), 20)
            self.assertIn(text.strip(), form.error_under("CapAdd"))
            self.assertEqual(form.field("Image").get_attribute("value"), text)
            self.assertEqual(self.browser.run("return document.querySelectorAll('#content script, #content img').length"),
                             0)

    def test_each_field_has_a_label_a_help_and_a_mark_if_required(self):
        for kind in ("cluster-profile", "elastic-agent-profile"):
            form = Form(self.browser, self.service, kind)
            for key in form.keys:
                label = self.browser.driver.find_element(By.CSS_SELECTOR, f"label[for=ebbtide-{key}]")
                self.assertEqual(len(label.find_elements(By.CLASS_NAME, "asterix")), int(key in form.required), key)
                help_id = form.field(key).get_attribute("aria-describedby")
                self.assertTrue(self.browser.driver.find_element(By.ID, help_id).get_attribute("textContent").strip(), key)

    def test_the_forms_fit_a_narrow_modal(self):
        self.browser.driver.set_window_size(420, 900)
        try:
            for kind in ("cluster-profile", "elastic-agent-profile"):
                Form(self.browser, self.service, kind)
                overflow = self.browser.run("const c = document.getElementById('content');"
                                            "return c.scrollWidth - c.clientWidth")
                self.assertLessEqual(overflow, 0, kind)
            self.browser.screenshot("form-agent-narrow", 1400, 420)
        finally:
            self.browser.driver.set_window_size(1000, 1400)


if __name__ == "__main__":
    main()
