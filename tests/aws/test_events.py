"""Call events from EventBridge to the service's list of calls, through the stack's own rule and queues."""

import json
import pathlib
import tempfile
import unittest
import uuid

import service
import stand_in
from stand_in import event, of_call, renamed, sample

# By what becomes of them, as the README beside the samples says. An empty body and one that is not UTF-8 cannot be in a
# queue of SQS.
BAD = {
    "poison": [
        "deeply-nested.txt",
        "detail-is-a-json-string.json",
        "duplicate-keys.txt",
        "json-array.json",
        "json-scalar.json",
        "lambda-sqs-wrapper.json",
        "missing-detail.json",
        "not-json.txt",
        "null-detail.json",
        "started-empty-callid.json",
        "started-hostile-callid.json",
        "started-missing-callid.json",
        "started-numeric-callid.json",
        "started-oversized-callid.json",
        "truncated.txt",
    ],
    "foreign": ["other-voice-connector.json", "s3-test-event.json", "wrong-detail-type.json", "wrong-source.json"],
    "ignored": ["lowercase-streaming-status.json", "missing-streaming-status.json", "unknown-streaming-status.json"],
    "stale": ["stale-started-days-old.json"],
    "applied": [
        "iscaller-as-string.json",
        "no-account-moto-style.json",
        "no-id.json",
        "sns-wrapped.json",
        "unknown-direction.json",
        "unparsable-start-time.json",
    ],
}
NOT_FOR_SQS = ["empty.txt", "invalid-utf8.bin.hex"]


def bad(name):
    """A sample of what else may lie in the queue: of now, unless its age is its fault, and of a call of its own."""
    text = sample(f"bad/{name}").replace("5f0c1b1e-7c38-4b0a-9a53-0d7f0a6b9c11", str(uuid.uuid4()))
    return text if name.startswith("stale") else text.replace("2026-11-20T15:04:06Z", stand_in.now())


class Events(unittest.TestCase):
    """One service and one queue for all; each test has calls of its own."""

    @classmethod
    def setUpClass(cls):
        cls.moto = stand_in.Moto()
        cls.addClassCleanup(cls.moto.close)
        cls.stack = stand_in.Stack(cls.moto)
        cls.logs = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.trunkline = stand_in.Trunkline(cls.stack, cls.logs / "log")
        cls.addClassCleanup(cls.trunkline.stop)

    def by_rule(self, event):
        """The outcome of an event that EventBridge brings."""
        return self.trunkline.outcome_of(lambda: self.stack.put_event(event))

    def by_queue(self, body):
        """The outcome of a body that was put straight into the queue."""
        return self.trunkline.outcome_of(lambda: self.stack.send(body))

    def assert_queue_becomes_empty(self):
        service.wait_for(lambda: self.stack.depth(self.stack.queue) == (0, 0), 10, "an empty queue")

    def test_a_call_is_announced_with_masked_numbers_and_ends_with_its_event(self):
        call_id = str(uuid.uuid4())
        started, other_leg, ended = (
            of_call(event(name), call_id) for name in ("01-started-caller", "02-started-callee", "03-ended-caller")
        )
        self.assertEqual(self.by_rule(started), "applied")
        status, listed = self.trunkline.get("/admin/calls")
        self.assertEqual(status, 200)
        call = next(call for call in json.loads(listed)["calls"] if call["callId"] == call_id)
        expected = {
            "state": "announced",
            "transactionId": f"transaction-of-{call_id}",
            "direction": "inbound",
            "from": "***0001",
            "to": "***9002",
            "endReason": None,
        }
        self.assertEqual({key: call[key] for key in expected}, expected)
        for number in ("5550100001", "5550199002"):
            self.assertNotIn(number, listed)

        self.assertEqual(self.by_rule(other_leg), "applied")
        calls = [call for call in self.trunkline.calls(ended=False) if call["callId"] == call_id]
        self.assertEqual(len(calls), 1, "the second leg is no second call")

        self.assertEqual(self.by_rule(ended), "applied")
        call = self.trunkline.call(call_id)
        self.assertEqual((call["state"], call["endReason"]), ("ended", "no_media"))
        self.assertFalse(self.trunkline.says("5550100001"), "a number is in the log")
        self.assert_queue_becomes_empty()

    def test_every_kind_of_event_goes_by_the_rule(self):
        expected = {"STARTED": "applied", "ENDED": "applied", "UPDATED": "ignored", "FAILED": "ignored"}
        seen = set()
        for path in sorted((stand_in.FIXTURES / "streaming").glob("*.json")):
            with self.subTest(path.stem):
                told = renamed([event(path.stem)])[0]
                status = told["detail"]["streamingStatus"]
                seen.add(status)
                self.assertEqual(self.by_rule(told), expected[status])
                call = self.trunkline.call(told["detail"]["callId"])
                self.assertEqual(call and call["state"], "announced" if status == "STARTED" else None)
        self.assertEqual(seen, expected.keys())
        self.assert_queue_becomes_empty()

    def test_duplicates_change_nothing(self):
        call_id = str(uuid.uuid4())
        started, ended = (of_call(event(name), call_id) for name in ("01-started-caller", "03-ended-caller"))
        # EventBridge gives each a new id, the queue delivers the very same once more.
        self.assertEqual(self.by_rule(started), "applied")
        before = self.trunkline.call(call_id)
        self.assertEqual(self.by_rule(started), "duplicate")
        body = json.dumps(started)
        self.assertEqual([self.by_queue(body), self.by_queue(body)], ["duplicate"] * 2)
        after = self.trunkline.call(call_id)
        for call in (before, after):
            call.pop("durationMs")
        self.assertEqual(after, before)
        self.assertEqual([self.by_rule(ended), self.by_rule(ended)], ["applied", "duplicate"])
        self.assertEqual(self.by_rule(started), "duplicate")
        self.assertEqual(self.trunkline.call(call_id)["state"], "ended")
        self.assert_queue_becomes_empty()

    def test_the_rule_and_the_service_both_keep_foreign_voice_connectors_out(self):
        foreign = of_call(event("01-started-caller"), str(uuid.uuid4()))
        foreign["detail"]["voiceConnectorId"] = "z" * 22
        own = of_call(event("01-started-caller"), str(uuid.uuid4()))

        def both():
            self.stack.put_event(foreign)
            self.stack.put_event(own)

        # moto has brought the first where it belongs before it takes the second.
        self.assertEqual(self.trunkline.outcome_of(both), "applied")
        self.assertEqual(self.by_queue(json.dumps(foreign)), "foreign")
        self.assertIsNone(self.trunkline.call(foreign["detail"]["callId"]))
        self.assert_queue_becomes_empty()

    def test_whatever_else_is_in_the_queue_leads_to_what_its_table_says(self):
        known = [name for names in BAD.values() for name in names] + NOT_FOR_SQS
        self.assertEqual(sorted(known), sorted(path.name for path in (stand_in.FIXTURES / "bad").iterdir()))
        for outcome, names in BAD.items():
            if outcome == "poison":
                continue
            for name in names:
                with self.subTest(name):
                    self.assertEqual(self.by_queue(bad(name)), outcome)
        self.assert_queue_becomes_empty()

    def test_what_cannot_be_read_ends_in_the_dead_letter_queue_after_five_deliveries(self):
        bodies = [bad(name) for name in BAD["poison"]]
        for name, body in zip(BAD["poison"], bodies):
            with self.subTest(name):
                self.assertEqual(self.by_queue(body), "poison")
        counted = self.trunkline.outcomes()

        forward = 0
        queue, dead_queue = self.stack.queue, self.stack.dead_queue

        def next_delivery():
            nonlocal forward
            visible, taken = self.stack.depth(queue)
            if not visible and taken:
                self.moto.put_clock_forward(stand_in.VISIBILITY)
                forward += 1
            return not visible and not taken

        service.wait_for(next_delivery, 40, "the end of the unreadable in the dead-letter queue")
        # Delivered, and five times not deleted.
        self.assertEqual(forward, 5)
        sqs = self.moto.client("sqs")
        dead = []
        while found := sqs.receive_message(QueueUrl=dead_queue, MaxNumberOfMessages=10).get("Messages"):
            dead += [message["Body"] for message in found]
        self.assertEqual(sorted(dead), sorted(bodies))
        self.assertEqual(self.trunkline.outcomes(), counted, "each is counted once, however often it comes")
        self.assertEqual(self.trunkline.ready()[1]["events"], "ok")


if __name__ == "__main__":
    unittest.main()
