"""Events and the loss of them beside a call whose media is here."""

import http.client
import json
import pathlib
import signal
import struct
import subprocess
import tempfile
import unittest
import uuid
import wave

import service
import stand_in
from stand_in import event, of_call

# Longer than any test here, in seconds: a caller who has much to say.
SPEECH = 120


class LiveCalls(unittest.TestCase):
    def setUp(self):
        self.moto = stand_in.Moto()
        self.addCleanup(self.moto.close)
        self.stack = stand_in.Stack(self.moto)
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        # A telephone that is gone at a test's end takes its call with it.
        self.trunkline = stand_in.Trunkline(self.stack, self.directory / "log", ingest__reattach_grace="0s")
        self.addCleanup(self.trunkline.stop)

    def place(self):
        """A call to the echo route, with media until the test is over. Returns its id."""
        call_id = str(uuid.uuid4())
        speech = self.directory / "speech.wav"
        with wave.open(str(speech), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            # 250 Hz: a caller who says nothing hangs up.
            file.writeframes(struct.pack("<32h", *[4000] * 16, *[-4000] * 16) * 250 * SPEECH)
        url = f"ws://{self.trunkline.address['media']}/ingest?callId={call_id}&to=6001"
        telephone = subprocess.Popen(
            [str(stand_in.BINARY), "call", "--url", url, "--wav", str(speech)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def hang_up():
            telephone.kill()
            telephone.wait()

        self.addCleanup(hang_up)
        self.wait_until_frames_pass(call_id)
        return call_id

    def knock(self):
        """The answer to a new call: its status, and the code of a refusal."""
        connection = http.client.HTTPConnection(self.trunkline.address["media"], timeout=10)
        self.addCleanup(connection.close)
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        connection.request("GET", f"/ingest?callId={uuid.uuid4()}&to=6001", headers=upgrade | key)
        answer = connection.getresponse()
        return answer.status, answer.status == 503 and json.load(answer)["error"]["code"]

    def wait_until_frames_pass(self, call_id):
        """Audio goes in and comes out, from now on."""

        def frames(call):
            return call["up"]["frames"], call["down"]["frames"]

        before = service.wait_for(lambda: self.trunkline.call(call_id), 20, "the call")

        def passing():
            now = self.trunkline.call(call_id)
            self.assertNotEqual(now["state"], "ended", now["endReason"])
            return now["state"] == "active" and all(a > b for a, b in zip(frames(now), frames(before)))

        service.wait_for(passing, 20, "audio of the call")

    def put(self, name, call_id):
        """The outcome of an event of the call."""
        return self.trunkline.outcome_of(lambda: self.stack.put_event(of_call(event(name), call_id)))

    def test_events_enrich_and_end_a_call_whose_media_is_here_but_a_failed_stream_does_not(self):
        call_id = self.place()
        self.assertEqual(self.put("01-started-caller", call_id), "applied")
        call = self.trunkline.call(call_id)
        self.assertEqual((call["state"], call["from"]), ("active", "***0001"))
        self.assertEqual(call["transactionId"], f"transaction-of-{call_id}")

        self.assertEqual(self.put("10-failed", call_id), "ignored")
        self.wait_until_frames_pass(call_id)

        self.assertEqual(self.put("03-ended-caller", call_id), "applied")
        # The media has a little time to end by itself.
        self.assertEqual(self.trunkline.call(call_id)["state"], "active")
        service.wait_for(lambda: self.trunkline.call(call_id)["state"] == "ended", 20, "the end of the call")
        self.assertEqual(self.trunkline.call(call_id)["endReason"], "caller_hangup")

    def test_losing_the_queue_degrades_and_touches_no_call(self):
        service.wait_for(lambda: self.trunkline.ready()[1]["events"] == "ok", 10, "the queue")
        call_id = self.place()

        self.moto.stop()
        service.wait_for(lambda: self.trunkline.ready()[1]["events"] == "degraded", 20, "the loss of the queue")
        self.assertEqual(self.trunkline.ready()[0], 200, "the balancer must not empty the fleet")
        self.wait_until_frames_pass(call_id)

        # What is started again knows nothing: until its queue is there, it answers that there is none.
        self.moto.start()
        self.moto.client("sqs").create_queue(QueueName=self.stack.queue.rsplit("/", 1)[1])
        # An empty one would keep the service waiting for its answer, up to 20 s.
        self.stack.send(stand_in.sample("bad/other-voice-connector.json"))
        service.wait_for(lambda: self.trunkline.ready()[1]["events"] == "ok", 60, "the return of the queue")
        service.wait_for(lambda: self.trunkline.outcomes()["foreign"] == 1, 20, "an event")
        self.wait_until_frames_pass(call_id)

    def test_on_sigterm_events_are_left_to_others_while_calls_go_on(self):
        service.wait_for(lambda: self.trunkline.ready()[1]["events"] == "ok", 10, "the queue")
        call_id = self.place()
        self.trunkline.process.send_signal(signal.SIGTERM)
        # Calls go elsewhere from then on, however long the last poll takes.
        service.wait_for(lambda: self.trunkline.ready()[1]["draining"] == "fail", 5, "the drain")
        self.assertEqual(self.knock(), (503, "draining"))
        service.wait_for(lambda: self.trunkline.says("no more call events are taken"), 20, "the end of polling")

        other = str(uuid.uuid4())
        self.stack.put_event(of_call(event("01-started-caller"), other))
        status, checks = self.trunkline.ready()
        self.assertEqual((status, checks["draining"]), (503, "fail"))
        self.wait_until_frames_pass(call_id)
        self.assertIsNone(self.trunkline.call(other))

        self.assertEqual(self.trunkline.stop(), 0)
        # The last poll may have hidden it for its visibility timeout; nobody has deleted it.
        self.moto.put_clock_forward(stand_in.VISIBILITY)
        self.assertEqual(self.stack.depth(self.stack.queue), (1, 0))


if __name__ == "__main__":
    unittest.main()
