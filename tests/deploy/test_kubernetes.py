"""The manifests of deploy/kubernetes: against Kubernetes's schemas, and against the service that they run."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import urllib.request

import kubernetes_validate
import yaml

from service import Service

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
VERSION = "1.33"
# What kustomize puts on everything.
LABELS = {"app.kubernetes.io/name": "trunkline"}
# Not Kubernetes's own kinds: read, but without a schema here.
FOREIGN = {"kustomization.yaml", "servicemonitor.yaml", "prometheus-adapter.yaml"}


def documents(name):
    return [document for document in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")) if document]


def seconds(text):
    """A duration of the configuration, as 5m or 1m 30s."""
    units = {"s": 1, "m": 60, "h": 3600}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([smh])", text))


class Manifests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        (cls.deployment,) = documents("deployment.yaml")
        cls.pod = cls.deployment["spec"]["template"]["spec"]
        (cls.container,) = cls.pod["containers"]
        (config,) = documents("configmap.yaml")
        cls.toml = config["data"]["trunkline.toml"]
        (cls.secret,) = documents("secret.example.yaml")

    def test_they_fit_kubernetes(self):
        checked = 0
        for path in sorted(FOLDER.glob("*.yaml")):
            for document in documents(path.name):
                if path.name in FOREIGN:
                    self.assertIsInstance(document, dict)
                    continue
                if path.name == "deployment.yaml":
                    # What kustomize adds.
                    document["spec"]["selector"] = {"matchLabels": LABELS}
                    document["spec"]["template"]["metadata"]["labels"] = LABELS
                kubernetes_validate.validate(document, VERSION, strict=True)
                checked += 1
        self.assertGreater(checked, 8)

    def test_nothing_is_meant_for_all_pods_or_none(self):
        # An empty selector is either, and kustomize fills in none of these.
        (budget,), (policy,) = documents("disruption.yaml"), documents("network.yaml")
        for selector in (budget["spec"]["selector"], policy["spec"]["podSelector"]):
            self.assertEqual(selector, {"matchLabels": LABELS})
        # The alerts' `job` is the value of this label.
        (monitor,) = documents("servicemonitor.yaml")
        self.assertEqual(LABELS[monitor["spec"]["jobLabel"]], "trunkline")

    def test_every_file_is_listed(self):
        (kustomization,) = documents("kustomization.yaml")
        optional = {"kustomization.yaml", "secret.example.yaml", "servicemonitor.yaml", "prometheus-adapter.yaml"}
        files = {path.name for path in FOLDER.glob("*.yaml")} - optional
        self.assertEqual(set(kustomization["resources"]), files)

    def test_the_service_takes_its_configuration_and_its_secrets(self):
        (mount,) = [mount for mount in self.container["volumeMounts"] if mount["name"] == "secrets"]
        with tempfile.TemporaryDirectory() as folder:
            for name in self.secret["stringData"]:
                (pathlib.Path(folder) / name).write_text("secret-of-the-test\n", encoding="utf-8")
            file = pathlib.Path(folder) / "trunkline.toml"
            file.write_text(self.toml.replace(mount["mountPath"], folder), encoding="utf-8")
            environment = {key: value for key, value in os.environ.items() if not key.startswith("TRUNKLINE__")}
            command = [os.environ["TRUNKLINE_BINARY"], "config", "--config", str(file)]
            shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=folder)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertNotIn("secret-of-the-test", shown.stdout)
        named = set(re.findall(r'_file = "([^"]+)"', self.toml))
        self.assertEqual(named, {f"{mount['mountPath']}/{name}" for name in self.secret["stringData"]})
        limit = re.search(r"^drain_timeout = \"(.+)\"$", self.toml, re.M)[1]
        # Goodbyes, hang-ups that wait, closing handshakes and the last spans come after the drain.
        self.assertGreaterEqual(self.pod["terminationGracePeriodSeconds"], seconds(limit) + 14 + 5 + 4 + 3)

    def test_probes_ask_what_the_service_answers(self):
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        for name, port in ports.items():
            self.assertIn(f'[{name}]\n', self.toml)
            self.assertRegex(self.toml, rf'\[{name}\]\nlisten = "0\.0\.0\.0:{port}"')
        with tempfile.TemporaryDirectory() as folder:
            settings = {f"TRUNKLINE__{name.upper()}__LISTEN": "127.0.0.1:0" for name in ports}
            names = ["media", "admin"]
            service = Service(os.environ["TRUNKLINE_BINARY"], ["serve"], names, f"{folder}/log", settings)
            try:
                for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                    get = self.container[probe]["httpGet"]
                    url = f"http://{service.address[get['port']]}{get['path']}"
                    with urllib.request.urlopen(url, timeout=10) as answer:
                        self.assertEqual(answer.status, 200, probe)
            finally:
                service.stop()

    def test_the_autoscaler_leaves_room(self):
        (scaler,) = documents("autoscaling.yaml")
        (metric,) = scaler["spec"]["metrics"]
        most = int(re.search(r"^max = (\d+)$", self.toml, re.M)[1])
        self.assertLess(int(metric["pods"]["target"]["averageValue"]), most)
        (rule,) = documents("prometheus-adapter.yaml")[0]["rules"]["custom"]
        self.assertEqual(rule["name"]["as"], metric["pods"]["metric"]["name"])


if __name__ == "__main__":
    unittest.main()
