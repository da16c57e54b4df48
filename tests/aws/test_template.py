"""deploy/template.yaml: what cfn-lint finds, and what becomes of it on a stand-in for AWS."""

import ast
import json
import pathlib
import re
import subprocess
import sys
import unittest

from cfnlint.decode import cfn_yaml

import stand_in
from stand_in import ACCOUNT, REGION, VOICE_CONNECTOR, sample

SECOND_CONNECTOR = "a1b2c3d4-0000-4000-8000-000000000000"
ROLE = "trunkline-service"
BUCKET = "packages"


def arn(service, resource):
    """Of a resource of the stand-in's one account."""
    region = "" if service == "iam" else REGION
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def resolved(node, values):
    """A part of the template with its intrinsic functions replaced: `values` by `Name` or `Name.Attribute`."""
    if isinstance(node, list):
        return [resolved(item, values) for item in node]
    if not isinstance(node, dict):
        return node
    if "Fn::GetAtt" in node:
        return values[".".join(node["Fn::GetAtt"])]
    if "Ref" in node:
        return values[node["Ref"]]
    return {key: resolved(value, values) for key, value in node.items()}


class Template(unittest.TestCase):
    """The stack as the guide makes it, with a function and a role for the service."""

    @classmethod
    def setUpClass(cls):
        cls.moto = stand_in.Moto()
        cls.addClassCleanup(cls.moto.close)
        # moto looks for the package, and for the role.
        packages = cls.moto.client("s3")
        packages.create_bucket(Bucket=BUCKET)
        packages.put_object(Bucket=BUCKET, Key="trunkline-sma.zip", Body=b"PK")
        cls.moto.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
        cls.stack = stand_in.Stack(
            cls.moto,
            VoiceConnectorIds=f"{VOICE_CONNECTOR},{SECOND_CONNECTOR}",
            CodeBucket=BUCKET,
            ServiceRoleName=ROLE,
            SipMediaApplicationId="2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21",
        )
        cls.template = cfn_yaml.load(str(stand_in.TEMPLATE))
        cls.resources = cls.template["Resources"]

    def test_cfn_lint_finds_nothing(self):
        command = pathlib.Path(sys.executable).with_name("cfn-lint")
        arguments = ["--include-checks", "I", "--", str(stand_in.TEMPLATE)]
        found = subprocess.run([str(command), *arguments], capture_output=True, text=True, check=False)
        self.assertEqual((found.returncode, found.stdout, found.stderr), (0, "", ""))

    def test_the_stack_comes_up(self):
        self.assertEqual(self.stack.status, "CREATE_COMPLETE")
        self.assertEqual(
            self.stack.outputs.keys(), {"QueueUrl", "DeadLetterQueueUrl", "FunctionArn", "ServicePolicyArn"}
        )

    def test_the_queue_gives_up_after_five_deliveries_and_encrypts_by_itself(self):
        queue, dead = (self.stack.attributes(url) for url in (self.stack.queue, self.stack.dead_queue))
        self.assertEqual(
            json.loads(queue["RedrivePolicy"]), {"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": 5}
        )
        days = 24 * 3600
        expected = {"SqsManagedSseEnabled": "true", "VisibilityTimeout": "60", "ReceiveMessageWaitTimeSeconds": "20"}
        self.assertEqual({key: queue[key] for key in expected}, expected)
        self.assertEqual(dead["SqsManagedSseEnabled"], "true")
        # The dead must outlive the living: their age counts from the first queue.
        self.assertEqual((queue["MessageRetentionPeriod"], dead["MessageRetentionPeriod"]), (str(days), str(14 * days)))

    def test_only_the_rule_may_send_to_the_queue(self):
        # moto makes no AWS::SQS::QueuePolicy, so its document is read from the template.
        properties = self.resources["EventQueuePolicy"]["Properties"]
        self.assertEqual(properties["Queues"], [{"Ref": "EventQueue"}])
        known = json.loads(sample("sqs/queue-policy.json"))
        statement = known["Statement"][0]
        values = {
            "EventQueue.Arn": statement["Resource"],
            "EventRule.Arn": statement["Condition"]["ArnEquals"]["aws:SourceArn"],
        }
        self.assertEqual(resolved(properties["PolicyDocument"], values), known)

    def test_the_rule_takes_the_events_of_the_voice_connectors_to_the_queue(self):
        events = self.moto.client("events")
        rule, = events.list_rules()["Rules"]
        pattern = json.loads(rule["EventPattern"])
        known = json.loads(sample("sqs/eventbridge-rule-pattern.json"))
        for key in ("source", "detail-type"):
            self.assertEqual(pattern[key], known[key])
        # All kinds: the service knows which are of use.
        self.assertEqual(pattern["detail"], {"voiceConnectorId": [VOICE_CONNECTOR, SECOND_CONNECTOR]})
        target, = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
        self.assertEqual(target["Arn"], self.stack.attributes(self.stack.queue)["QueueArn"])

    def test_the_function_bridges_to_the_first_voice_connector(self):
        function = self.moto.client("lambda").get_function_configuration(FunctionName=self.stack.outputs["FunctionArn"])
        expected = {"Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 10, "MemorySize": 128}
        self.assertEqual({key: function[key] for key in expected}, expected)
        # moto reads no Architectures and no LoggingConfig of a template.
        properties = self.resources["SmaFunction"]["Properties"]
        self.assertEqual(properties["Architectures"], [{"Ref": "Architecture"}])
        self.assertEqual(properties["LoggingConfig"], {"LogGroup": {"Ref": "SmaFunctionLog"}})
        self.assertEqual(
            function["Environment"]["Variables"]["TRUNKLINE_VOICE_CONNECTOR_ARN"], arn("chime", f"vc/{VOICE_CONNECTOR}")
        )

    def test_the_function_gets_every_variable_it_reads_and_its_own_defaults(self):
        function = self.moto.client("lambda").get_function_configuration(FunctionName=self.stack.outputs["FunctionArn"])
        given = function["Environment"]["Variables"]
        source = (stand_in.ROOT / "lambda" / "src" / "settings.rs").read_text(encoding="utf-8")
        read = source.split("#[cfg(test)]")[0]
        self.assertEqual(sorted(given), sorted(set(re.findall(r'"(TRUNKLINE_[A-Z_]+)"', read))))
        defaults = (stand_in.ROOT / "crates/chime/src/sma/settings.rs").read_text(encoding="utf-8")
        for name in ("VOICE_ID", "LANGUAGE", "RECONNECTING_TEXT", "APOLOGY_TEXT"):
            self.assertIn(json.dumps(given[f"TRUNKLINE_{name}"]), defaults)
        self.assertIn(f"max_rebridges: {given['TRUNKLINE_MAX_REBRIDGES']},", defaults)

    def test_the_function_may_write_its_log_and_nothing_else(self):
        iam = self.moto.client("iam")
        function = self.moto.client("lambda").get_function_configuration(FunctionName=self.stack.outputs["FunctionArn"])
        role = function["Role"].rsplit("/", 1)[1]
        self.assertEqual(iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"], [])
        name, = iam.list_role_policies(RoleName=role)["PolicyNames"]
        document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        # moto hands out Python's form of what came from a template, not JSON.
        statement, = ast.literal_eval(document)["Statement"]
        self.assertEqual(statement["Action"], ["logs:CreateLogStream", "logs:PutLogEvents"])
        self.assertTrue(statement["Resource"].startswith(arn("logs", "log-group:")), statement["Resource"])

    def test_chime_of_this_account_alone_may_ask_the_function(self):
        answer = self.moto.client("lambda").get_policy(FunctionName=self.stack.outputs["FunctionArn"])
        statement, = json.loads(answer["Policy"])["Statement"]
        expected = {
            "Effect": "Allow",
            "Principal": {"Service": "voiceconnector.chime.amazonaws.com"},
            "Action": "lambda:InvokeFunction",
            "Resource": self.stack.outputs["FunctionArn"],
            "Condition": {"StringEquals": {"AWS:SourceAccount": ACCOUNT}},
        }
        self.assertEqual({key: statement[key] for key in expected}, expected)

    def test_the_service_may_do_what_it_does_and_no_more(self):
        iam = self.moto.client("iam")
        attached, = iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
        self.assertEqual(attached["PolicyArn"], self.stack.outputs["ServicePolicyArn"])
        version = iam.get_policy(PolicyArn=attached["PolicyArn"])["Policy"]["DefaultVersionId"]
        document = iam.get_policy_version(PolicyArn=attached["PolicyArn"], VersionId=version)["PolicyVersion"]["Document"]
        queue = self.stack.attributes(self.stack.queue)["QueueArn"]
        application = arn("chime", "sma/2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21")
        expected = {
            "sqs:ReceiveMessage sqs:DeleteMessage sqs:ChangeMessageVisibility sqs:GetQueueAttributes": queue,
            "chime:CreateSipMediaApplicationCall chime:UpdateSipMediaApplicationCall": application,
            "chime:GetSipMediaApplication chime:GetVoiceConnector chime:GetVoiceConnectorOrigination "
            "chime:GetVoiceConnectorStreamingConfiguration": [application, arn("chime", "vc/*")],
            "chime:ListVoiceConnectors": "*",
        }
        found = {}
        for statement in document["Statement"]:
            self.assertEqual(statement["Effect"], "Allow")
            action = statement["Action"]
            found[action if isinstance(action, str) else " ".join(action)] = statement["Resource"]
        self.assertEqual(found, expected)

    def test_alarms_watch_what_would_be_silent(self):
        # moto makes no AWS::CloudWatch::Alarm, so they are read from the template.
        alarms = [resource["Properties"] for resource in self.resources.values() if resource["Type"].endswith("::Alarm")]
        watched = {f"{alarm['Namespace']} {alarm['MetricName']}" for alarm in alarms}
        self.assertEqual(
            watched, {"AWS/SQS ApproximateNumberOfMessagesVisible", "AWS/Events FailedInvocations", "AWS/Lambda Errors"}
        )


class WithoutFunction(unittest.TestCase):
    """For numbers that ring the Voice Connector directly."""

    def test_there_is_a_queue_and_no_function(self):
        moto = stand_in.Moto()
        self.addCleanup(moto.close)
        stack = stand_in.Stack(moto)
        self.assertEqual(stack.status, "CREATE_COMPLETE")
        self.assertEqual(stack.outputs.keys(), {"QueueUrl", "DeadLetterQueueUrl", "ServicePolicyArn"})
        self.assertEqual(moto.client("lambda").list_functions()["Functions"], [])
        self.assertEqual(moto.client("iam").list_roles()["Roles"], [])
        version = moto.client("iam").get_policy(PolicyArn=stack.outputs["ServicePolicyArn"])["Policy"]
        self.assertEqual(version["AttachmentCount"], 0)


if __name__ == "__main__":
    unittest.main()
