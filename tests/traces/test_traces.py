"""What a collector of traces is sent of a call, and what it is not."""

import asyncio
import json
import os
import pathlib
import re
import tempfile
import time
import unittest
import urllib.request

import service
import websockets.asyncio.client
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import world

BINARY = os.environ["TRUNKLINE_BINARY"]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
SECRET = "sesame-open"
CALLER = "+15551234567"
WORDS, KEYS = "marmalade", "97531"
ROUTES = """
[[routes]]
match = "6001"
kind = "echo"

[[routes]]
match = "*"
kind = "model"
"""
TOOL = """
[[tools]]
name = "lookup_order"
description = "Looks up an order."
parameters = { type = "object", properties = { number = { type = "string" } } }
url = "%s"
"""


async def conversation(socket):
    """A turn that needs the tool; one whose answer is cut off; then the session is lost."""
    await world.turn(socket, "item_1")
    call = {"type": "function_call", "id": "item_call", "call_id": "call_1", "name": "lookup_order", "arguments": "{}"}
    await world.send(socket, "response.created", response={"id": "resp_1", "status": "in_progress", "output": []})
    await world.send(
        socket, "response.output_item.done", response_id="resp_1", output_index=0, item={"status": "completed", **call}
    )
    words = "conversation.item.input_audio_transcription.completed"
    await world.send(socket, words, item_id="item_1", content_index=0, transcript=f"it is about {WORDS}")
    await world.done(socket, "resp_1", output=[call])
    await world.expect(socket, "response.create")
    await world.answer(socket, "resp_2", 0.2)
    await world.done(socket, "resp_2")
    await asyncio.sleep(1)
    await world.turn(socket, "item_2")
    await world.answer(socket, "resp_3", 5)
    await asyncio.sleep(0.6)
    await world.send(socket, "input_audio_buffer.speech_started", item_id="item_3", audio_start_ms=0)
    await world.expect(socket, "conversation.item.truncate")
    await world.done(socket, "resp_3", "cancelled")
    await socket.close(1011, "out of order")


async def silence(socket):
    """A model that listens."""
    async for _ in socket:
        pass


async def call(trunkline, call_id, headers, to, until):
    """A caller who says nothing, and presses keys and hangs up when he is told of something with the words `until`."""
    url = f"ws://{trunkline.address['media']}/ingest?callId={call_id}&to={to.replace('+', '%2B')}&from=%2B15557654321"
    headers = {"Authorization": f"Bearer {SECRET}", **headers}
    async with websockets.asyncio.client.connect(url, additional_headers=headers) as socket:

        async def speak():
            while True:
                await socket.send(b"\xff" * 160)
                await asyncio.sleep(0.02)

        async def listen():
            async for message in socket:
                if isinstance(message, str) and all(word in message for word in until.split()):
                    return

        speaking = asyncio.create_task(speak())
        try:
            await asyncio.wait_for(listen(), 20)
        finally:
            speaking.cancel()
        # Not before: a key cuts off whatever the model is about to say.
        for key in KEYS:
            await socket.send(json.dumps({"type": "dtmf", "digit": key}))
        await socket.send('{"type":"stop"}')
        async for _ in socket:
            pass


def start(scratch, collector, routes=ROUTES, settings=None, headers=""):
    """The service; its log is `scratch`/log."""
    configuration = scratch / "trunkline.toml"
    configuration.write_text(routes, encoding="utf-8")
    settings = {
        "MEDIA__LISTEN": "127.0.0.1:0",
        "ADMIN__LISTEN": "127.0.0.1:0",
        "LOG__OTLP_ENDPOINT": collector,
        "LOG__FORMAT": "json",
        **(settings or {}),
    }
    environment = {f"TRUNKLINE__{key}": value for key, value in settings.items()}
    environment["OTEL_EXPORTER_OTLP_HEADERS"] = headers
    environment["OTEL_RESOURCE_ATTRIBUTES"] = "deployment.environment.name=test"
    # As in an image: no authorities but those that are compiled in.
    environment.update(SSL_CERT_FILE="/dev/null", SSL_CERT_DIR="/nonexistent")
    arguments = ["serve", "--config", str(configuration)]
    return service.Service(BINARY, arguments, {"media", "admin"}, scratch / "log", environment)


class Traces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory()
        cls.addClassCleanup(scratch.cleanup)
        cls.scratch = pathlib.Path(scratch.name)
        cls.collector = world.Collector()
        cls.addClassCleanup(cls.collector.close)
        cls.tool = world.Listener(b'{"where":"on its way"}')
        cls.addClassCleanup(cls.tool.close)
        cls.model = world.Model(conversation, None, silence)
        cls.addClassCleanup(cls.model.close)
        settings = {
            "INGEST__SECRET": SECRET,
            "REALTIME__URL": cls.model.url(),
            "REALTIME__API_KEY": "model-key",
            "LOG__FILTER": "trace",
        }
        configuration = TOOL % cls.tool.url("/orders") + ROUTES
        cls.trunkline = start(cls.scratch, cls.collector.url(), configuration, settings, "x-api-key=otlp-key")
        try:
            asyncio.run(call(cls.trunkline, "traced-1", HEADERS, CALLER, "fallback recovered"))
            asyncio.run(call(cls.trunkline, "traced-2", {}, "6001", "ready"))
            asyncio.run(call(cls.trunkline, "traced-3", UNSAMPLED, "6001", "ready"))
            cls.pages = [cls.get(f"/admin/calls/traced-{number}") for number in (1, 2)]
            sent = re.compile(r'(?m)^trunkline_spans_total\{outcome="sent"\} [1-9]')
            service.wait_for(lambda: sent.search(cls.get("/metrics")), 20, "spans that are sent by themselves")
            cls.metrics = cls.get("/metrics")
        finally:
            # The last spans are sent at the end, so that none has to be waited for.
            cls.trunkline.stop()
        cls.spans = cls.collector.spans()

    @classmethod
    def get(cls, path):
        with urllib.request.urlopen(f"http://{cls.trunkline.address['admin']}{path}", timeout=10) as answer:
            return answer.read().decode()

    def named(self, name):
        """Spans of the first call by name, in the order of their beginnings."""
        root = self.root("traced-1")
        found = [span for span in self.spans if span.trace_id == root.trace_id and span.name == name]
        for span in found:
            self.assertEqual(span.parent_span_id, root.span_id, f"{name} is below the call")
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def root(self, call_id):
        roots = [span for span in self.spans if span.name == "call"]
        return next(span for span in roots if world.attributes(span.attributes)["call"] == call_id)

    def test_a_call_goes_on_with_the_trace_that_it_came_in(self):
        root = self.root("traced-1")
        self.assertEqual((root.trace_id.hex(), root.parent_span_id.hex()), (TRACE, PARENT))
        self.assertEqual((root.kind, root.trace_state), (Span.SPAN_KIND_SERVER, "vendor=1"))
        told = world.attributes(root.attributes)
        expected = {"link": "ingest", "route": "*", "reason": "caller_hangup", "interruptions": 1, "reconnects": 1}
        self.assertEqual({key: told[key] for key in expected}, expected)

    def test_a_call_without_a_trace_begins_one(self):
        root = self.root("traced-2")
        self.assertEqual(root.parent_span_id, b"")
        self.assertNotEqual(root.trace_id.hex(), TRACE)
        self.assertIn(f'"traceId":"{root.trace_id.hex()}"', self.pages[1])

    def test_a_call_that_is_not_to_be_recorded_is_not(self):
        calls = [world.attributes(span.attributes)["call"] for span in self.spans if span.name == "call"]
        self.assertEqual(sorted(calls), ["traced-1", "traced-2"])

    def test_turns_tell_how_long_the_answer_took_and_how_much_was_heard(self):
        first, second, *more = self.named("turn")
        self.assertFalse(more)
        told = world.attributes(first.attributes)
        self.assertEqual(told["status"], "completed")
        self.assertNotIn("heard_ms", told)
        length = (first.end_time_unix_nano - first.start_time_unix_nano) / 1e6
        # The last of ten frames leaves 180 ms after the first.
        self.assertGreater(length, told["first_audio_ms"] + 170, "it lasts until the answer was heard")
        self.assertLess(length, 1_000, "and no longer")
        told = world.attributes(second.attributes)
        self.assertGreater(told["heard_ms"], 0)
        self.assertLess(told["heard_ms"], 5_000)

    def test_connects_tell_what_became_of_them(self):
        connects = self.named("connect")
        losses = [world.attributes(span.attributes).get("loss") for span in connects]
        self.assertEqual(len(losses), 3)
        self.assertEqual((losses[0], losses[2]), (None, None))
        self.assertEqual(connects[1].status.code, Status.STATUS_CODE_ERROR)
        self.assertEqual({span.kind for span in connects}, {Span.SPAN_KIND_CLIENT})

    def test_an_outage_lasts_until_the_model_is_back(self):
        (outage,) = self.named("outage")
        self.assertEqual(world.attributes(outage.attributes)["end"], "recovered")
        back = self.named("connect")[2].end_time_unix_nano
        self.assertLess(outage.start_time_unix_nano, back)
        self.assertGreaterEqual(outage.end_time_unix_nano, back)

    def test_a_tool_is_called_from_its_own_span(self):
        (span,) = self.named("tool")
        (asked,) = self.tool.received
        self.assertEqual(asked.headers["traceparent"], f"00-{TRACE}-{span.span_id.hex()}-01")
        self.assertEqual(asked.headers["tracestate"], "vendor=1")
        self.assertEqual(world.attributes(span.attributes)["name"], "lookup_order")

    def test_what_happened_stands_in_the_call_without_its_words(self):
        kinds = {event.name for event in self.root("traced-1").events}
        happened = {"route", "session", "speech", "response", "barge_in", "fallback", "tool", "caller", "dtmf", "prompt"}
        self.assertLessEqual(happened, kinds)
        self.assertIn(WORDS, self.pages[0])
        timeline = json.loads(self.pages[0])["timeline"]
        self.assertEqual("".join(entry["text"] for entry in timeline if entry["kind"] == "dtmf"), KEYS)
        for kind in ("caller", "dtmf", "prompt"):
            told = [world.attributes(event.attributes) for event in self.root("traced-1").events if event.name == kind]
            self.assertFalse([text for text in told if "text" in text])

    def test_the_collector_knows_who_sends_and_is_told_no_secret(self):
        self.assertEqual({post.path for post in self.collector.received}, {"/v1/traces"})
        self.assertEqual({post.headers["x-api-key"] for post in self.collector.received}, {"otlp-key"})
        for resource in self.collector.resources():
            self.assertEqual(resource["service.name"], "trunkline")
            self.assertEqual(resource["deployment.environment.name"], "test")
        sent = b"".join(post.body for post in self.collector.received)
        for secret in (SECRET, "model-key", "otlp-key", CALLER, "5557654321", self.tool.url(), WORDS, "One moment"):
            self.assertNotIn(secret.encode(), sent)
        log = (self.scratch / "log").read_text(encoding="utf-8")
        self.assertNotIn("otlp-key", log)
        self.assertNotIn("trunkline::trace", log, "the log has lines of its own")

    def test_what_is_sent_is_counted(self):
        self.assertRegex(self.metrics, r"(?m)^trunkline_spans_ended_total [1-9]\d*$")
        self.assertRegex(self.metrics, r'(?m)^trunkline_spans_total\{outcome="failed"\} 0$')
        self.assertIn('trunkline_build_info{version="', self.metrics)
        self.assertRegex(self.metrics, r'features="[^"]*otlp')


class NoCollector(unittest.TestCase):
    def test_calls_and_the_end_do_not_wait_for_a_collector_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            nobody = world.Collector()
            address = nobody.url()
            nobody.close()
            trunkline = start(scratch, address)
            asyncio.run(call(trunkline, "untraced", {}, "6001", "ready"))
            self.assertEqual(trunkline.calls()[0]["endReason"], "caller_hangup")
            begun = time.monotonic()
            self.assertEqual(trunkline.stop(20), 0)
            self.assertLess(time.monotonic() - begun, 8)
            log = (scratch / "log").read_text(encoding="utf-8")
            self.assertRegex(log, r'(?m)^.*"level":"(WARN|ERROR)".*[Ee]xport', "its operator is told")


if __name__ == "__main__":
    unittest.main()
