"""`trunkline doctor` in front of the stack's queue. moto has no Voice Connectors: what it says of those is not asked."""

import os
import subprocess
import tempfile
import unittest

from cfnlint.decode import cfn_yaml

import stand_in
import test_template


class Doctor(unittest.TestCase):
    def setUp(self):
        self.moto = stand_in.Moto()
        self.addCleanup(self.moto.close)
        self.stack = stand_in.Stack(self.moto)

    def ask(self, queue):
        """Its lines, by what they are about."""
        settings = {
            **stand_in.CREDENTIALS,
            "TRUNKLINE__REALTIME__URL": "simulator",
            "TRUNKLINE__EVENTS__QUEUE_URL": queue,
            "TRUNKLINE__EVENTS__ENDPOINT_URL": self.moto.url,
            "TRUNKLINE__EVENTS__VOICE_CONNECTOR_IDS": stand_in.VOICE_CONNECTOR,
            "TRUNKLINE__SMA__ENDPOINT_URL": self.moto.url,
            "TRUNKLINE__SMA__REGION": stand_in.REGION,
        }
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TRUNKLINE")}
        with tempfile.TemporaryDirectory() as empty:
            done = subprocess.run(
                [str(stand_in.BINARY), "doctor"],
                cwd=empty,
                env={**environment, **settings},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        lines = [line.split("  ", 1) for line in done.stdout.splitlines()]
        found = {rest.strip().split(":", 1)[0]: (verdict, rest) for verdict, rest in lines}
        self.assertEqual(done.returncode, 1 if any(verdict == "FAIL" for verdict, _ in found.values()) else 0)
        return found

    def test_it_finds_the_policy_missing_and_is_content_with_the_templates(self):
        found = self.ask(self.stack.queue)
        self.assertEqual(found["events queue"][0], "ok", found["events queue"])
        self.assertEqual(found["events dead-letter queue"][0], "ok")
        # moto makes no AWS::SQS::QueuePolicy of a template.
        self.assertEqual(found["events queue policy"][0], "FAIL")

        queue = self.stack.attributes(self.stack.queue)["QueueArn"]
        rule, = self.moto.client("events").list_rules()["Rules"]
        policy = cfn_yaml.load(str(stand_in.TEMPLATE))["Resources"]["EventQueuePolicy"]["Properties"]["PolicyDocument"]
        policy = test_template.resolved(policy, {"EventQueue.Arn": queue, "EventRule.Arn": rule["Arn"]})
        self.stack.set_policy(policy)
        self.assertEqual(self.ask(self.stack.queue)["events queue policy"][0], "ok")

    def test_a_queue_that_is_not_there_fails(self):
        verdict, text = self.ask(self.stack.queue + "-gone")["events queue"]
        self.assertEqual(verdict, "FAIL")
        self.assertIn("there is none", text)


if __name__ == "__main__":
    unittest.main()
