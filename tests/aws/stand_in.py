"""AWS on this machine: moto, the stack of deploy/template.yaml on it, and the service beside them."""

import copy
import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import uuid

import boto3

import service

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "deploy" / "template.yaml"
FIXTURES = ROOT / "crates" / "chime" / "tests" / "fixtures" / "aws"
BINARY = pathlib.Path(os.environ.get("TRUNKLINE_BINARY", ROOT / "target" / "debug" / "trunkline"))

ACCOUNT = "123456789012"
REGION = "us-east-1"
VOICE_CONNECTOR = "fx7q2mvbd9k3htn5wz1rgy"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
# The service asks for this visibility timeout; a little more, in seconds.
VISIBILITY = 61

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Moto:
    """moto in a process of its own, on a free port that it keeps when it is started again."""

    def __init__(self):
        self.port = None
        self._log = tempfile.TemporaryFile()
        self.start()

    def start(self):
        """Starts it, empty."""
        program = str(pathlib.Path(__file__).with_name("moto_with_clock.py"))
        arguments = [str(self.port)] if self.port else []
        self._process = subprocess.Popen(
            [sys.executable, program, *arguments],
            env={**os.environ, **CREDENTIALS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"moto did not start:\n{self._log.read().decode()}")
        self.port = int(line)

    def stop(self):
        """Ends it at once; connections to it break."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def close(self):
        """Ends it for good."""
        self.stop()
        self._log.close()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def client(self, name):
        """A client of one of its services."""
        return boto3.client(
            name, endpoint_url=self.url, region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def put_clock_forward(self, seconds):
        """Lets `seconds` go by for its queues."""
        request = urllib.request.Request(f"{self.url}/clock?forward={seconds}", method="POST")
        urllib.request.urlopen(request, timeout=10).close()


class Stack:
    """deploy/template.yaml on moto, and the ways into and out of its queue."""

    def __init__(self, moto, **parameters):
        self.moto = moto
        cloudformation = moto.client("cloudformation")
        parameters = {"VoiceConnectorIds": VOICE_CONNECTOR, **parameters}
        cloudformation.create_stack(
            StackName="trunkline",
            TemplateBody=TEMPLATE.read_text(encoding="utf-8"),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        described = cloudformation.describe_stacks(StackName="trunkline")["Stacks"][0]
        self.status = described["StackStatus"]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
        self.queue = self.outputs["QueueUrl"]
        self.dead_queue = self.outputs["DeadLetterQueueUrl"]

    def attributes(self, queue):
        """All attributes of a queue."""
        answer = self.moto.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])
        return answer["Attributes"]

    def depth(self, queue):
        """How many messages of a queue wait, and how many were taken and not deleted."""
        found = self.attributes(queue)
        return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])

    def set_policy(self, policy):
        """Says who may do what with the queue."""
        attributes = {"Policy": json.dumps(policy)}
        self.moto.client("sqs").set_queue_attributes(QueueUrl=self.queue, Attributes=attributes)

    def send(self, body):
        """Puts a body into the queue as it is."""
        self.moto.client("sqs").send_message(QueueUrl=self.queue, MessageBody=body)

    def put_event(self, event):
        """Gives an event to EventBridge, whose rule has to bring it to the queue."""
        entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(event["detail"])}
        answer = self.moto.client("events").put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            raise RuntimeError(f"EventBridge refused: {answer}")


class Trunkline(service.Service):
    """The service, taking its events from a stack's queue."""

    def __init__(self, stack, log, **settings):
        self.stack = stack
        self.log_file = pathlib.Path(log)
        super().__init__(
            BINARY,
            ["serve"],
            {"media", "admin"},
            log,
            {
                **CREDENTIALS,
                "TRUNKLINE__MEDIA__LISTEN": "127.0.0.1:0",
                "TRUNKLINE__ADMIN__LISTEN": "127.0.0.1:0",
                "TRUNKLINE__REALTIME__URL": "simulator",
                "TRUNKLINE__EVENTS__QUEUE_URL": stack.queue,
                "TRUNKLINE__EVENTS__ENDPOINT_URL": stack.moto.url,
                "TRUNKLINE__EVENTS__REGION": REGION,
                "TRUNKLINE__EVENTS__VOICE_CONNECTOR_IDS": VOICE_CONNECTOR,
                **{f"TRUNKLINE__{key.upper()}": value for key, value in settings.items()},
            },
        )

    def _read(self):
        super()._read()
        self.process.stdout.close()

    def get(self, path):
        """(status, text) of a page of the admin listener."""
        try:
            with urllib.request.urlopen(f"http://{self.address['admin']}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def ready(self):
        """(status, checks) of /readyz."""
        status, text = self.get("/readyz")
        return status, json.loads(text)["checks"]

    def call(self, call_id):
        """The CALL of this id, live or ended; None if there is none."""
        status, text = self.get(f"/admin/calls/{urllib.parse.quote(call_id)}")
        return json.loads(text) if status == 200 else None

    def outcomes(self):
        """How many events had each outcome so far."""
        found = re.findall(r'^trunkline_events_total\{outcome="(\w+)"\} (\d+)$', self.get("/metrics")[1], re.MULTILINE)
        return {outcome: int(count) for outcome, count in found}

    def outcome_of(self, deliver):
        """The one outcome that comes of what `deliver()` puts into the queue."""
        before = self.outcomes()
        deliver()

        def grown():
            after = self.outcomes()
            return [outcome for outcome in after for _ in range(after[outcome] - before.get(outcome, 0))]

        found = service.wait_for(grown, 20, "the outcome of an event")
        if len(found) != 1:
            raise RuntimeError(f"one event had the outcomes {found}")
        return found[0]

    def says(self, words):
        """Whether its log has these words."""
        return words in self.log_file.read_text(encoding="utf-8")


def sample(name):
    """A sample's text; see the README beside them."""
    return (FIXTURES / name).read_text(encoding="utf-8")


def now():
    """As EventBridge writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def event(name):
    """A sample of a streaming event, which begins now."""
    return rebased([json.loads(sample(f"streaming/{name}.json"))])[0]


def rebased(events):
    """The same events with the first of them now: the samples' times are in the past, and old news is none."""
    first = datetime.datetime.fromisoformat(events[0]["time"])
    shift = datetime.datetime.now(datetime.timezone.utc) - first

    def moved(match):
        text = match.group()
        at = datetime.datetime.fromisoformat(text) + shift
        return at.strftime("%Y-%m-%dT%H:%M:%S") + (match.group(1) or "") + "Z"

    return json.loads(TIME.sub(moved, json.dumps(events)))


def renamed(events):
    """The same events of calls that nobody has heard of; calls and transactions that were one stay one."""
    text = json.dumps(events)
    for key in ("callId", "transactionId"):
        for name in {event["detail"][key] for event in events}:
            text = text.replace(json.dumps(name), json.dumps(str(uuid.uuid4())))
    return json.loads(text)


def of_call(event, call_id, transaction_id=None):
    """The same event of another call."""
    event = copy.deepcopy(event)
    event["detail"]["callId"] = call_id
    event["detail"]["transactionId"] = transaction_id or f"transaction-of-{call_id}"
    return event
