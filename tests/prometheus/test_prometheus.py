"""What Prometheus is given and told: the metrics of a running service, the alert rules, the dashboard."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import urllib.request

from service import Service

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "trunkline.json"
# Everything that has metrics of its own is there, though nobody answers at these addresses.
SETTINGS = {
    "TRUNKLINE__MEDIA__LISTEN": "127.0.0.1:0",
    "TRUNKLINE__ADMIN__LISTEN": "127.0.0.1:0",
    "TRUNKLINE__REALTIME__URL": "simulator",
    "TRUNKLINE__EVENTS__QUEUE_URL": "http://127.0.0.1:9/000000000000/calls",
    "TRUNKLINE__EVENTS__ENDPOINT_URL": "http://127.0.0.1:9",
    "TRUNKLINE__EVENTS__REGION": "us-east-1",
    "TRUNKLINE__SMA__APPLICATION_ID": "00000000-0000-4000-8000-000000000000",
    "TRUNKLINE__SMA__ENDPOINT_URL": "http://127.0.0.1:9",
    "TRUNKLINE__SMA__REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
}
# Known only once there is a reading.
SOMETIMES = {"trunkline_rtp_worst_mos", "trunkline_events_poison_total"}


def promtool(*arguments, stdin=None):
    done = subprocess.run(["promtool", *map(str, arguments)], input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def names_in(text):
    """The service's own metrics in an expression; recorded ones have colons."""
    return {name for name in re.findall(r"\btrunkline_[a-z0-9_]+\b(?!:)", text)}


def dashboard_expressions():
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel.get("targets", [])]


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.scratch.cleanup)
        binary = os.environ["TRUNKLINE_BINARY"]
        service = Service(binary, ["serve"], ["media", "admin"], f"{cls.scratch.name}/log", SETTINGS)
        cls.addClassCleanup(service.stop)
        url = f"ws://{service.address['media']}/ingest?to=6001"
        subprocess.run([binary, "call", "--url", url], check=True, capture_output=True, timeout=60)
        with urllib.request.urlopen(f"http://{service.address['admin']}/metrics", timeout=10) as answer:
            cls.text = answer.read().decode()
        cls.names = {line.split()[2] for line in cls.text.splitlines() if line.startswith("# TYPE")}
        cls.kinds = {line.split()[2]: line.split()[3] for line in cls.text.splitlines() if line.startswith("# TYPE")}

    def test_promtool_finds_nothing_to_say(self):
        self.assertEqual(promtool("check", "metrics", stdin=self.text), (0, ""))

    def test_a_histogram_counts_the_call(self):
        value = lambda name: float(re.search(rf"^{re.escape(name)} (\S+)$", self.text, re.M)[1])
        for name in ("trunkline_arbiter_lag_seconds", "trunkline_bridge_up_seconds"):
            self.assertEqual(self.kinds[name], "histogram")
        buckets = re.findall(r'^trunkline_bridge_up_seconds_bucket\{le="(\S+)"\} (\d+)$', self.text, re.M)
        counts = [int(count) for _, count in buckets]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(buckets[-1][0], "+Inf")
        self.assertEqual(counts[-1], value("trunkline_bridge_up_seconds_count"))
        self.assertGreater(value("trunkline_process_cpu_seconds_total"), 0)

    def test_rules_and_dashboard_ask_for_what_there_is(self):
        asked = {name for _, text in dashboard_expressions() for name in names_in(text)}
        for file in ("trunkline.rules.yml", "trunkline.rules.test.yml"):
            asked |= names_in((RULES / file).read_text(encoding="utf-8"))
        plain = {re.sub(r"_(bucket|sum|count)$", "", name) if name not in self.names else name for name in asked}
        self.assertGreater(len(plain), 30)
        self.assertEqual(plain - self.names - SOMETIMES, set())
        forgotten = {name for name in self.names if name not in plain} - {"trunkline_process_virtual_memory_bytes"}
        self.assertEqual(forgotten - {"trunkline_process_start_time_seconds"}, set(), "on no panel and in no rule")


class Rules(unittest.TestCase):
    def test_they_are_in_order_and_do_what_they_are_for(self):
        for arguments in (
            ("check", "rules", RULES / "trunkline.rules.yml"),
            ("check", "config", "--syntax-only", RULES / "prometheus.yml"),
            ("test", "rules", RULES / "trunkline.rules.test.yml"),
        ):
            code, text = promtool(*arguments)
            self.assertEqual(code, 0, text)

    def test_every_alert_has_tests_both_ways(self):
        alerts = re.findall(r"- alert: (\w+)", (RULES / "trunkline.rules.yml").read_text(encoding="utf-8"))
        tests = (RULES / "trunkline.rules.test.yml").read_text(encoding="utf-8").split("  - name: ")[1:]
        for alert in alerts:
            fires = ["exp_samples: []" not in test for test in tests if f'alertname="{alert}"' in test]
            wanted = {True} if alert == "TrunklineAbsent" else {True, False}
            self.assertEqual(set(fires), wanted, alert)

    def test_the_dashboards_expressions_can_be_read(self):
        expressions = dashboard_expressions()
        rules = [
            {"record": f"panel:expression:{number}", "expr": re.sub(r"\$__\w+", "5m", text)}
            for number, (_, text) in enumerate(expressions)
        ]
        with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
            # JSON is YAML.
            json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)
            file.flush()
            code, text = promtool("check", "rules", file.name)
        self.assertEqual(code, 0, text)


if __name__ == "__main__":
    unittest.main()
