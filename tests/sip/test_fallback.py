"""The model, or the service itself, dies under a call by SIP: what the caller hears, and how he is connected again."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import tempfile
import threading
import time
import unittest
import unittest.mock
import urllib.request
import uuid

import numpy as np

import hearing
import media
import quality
import service
import stand
from trunk import Trunk

SMA = "invite-from-sma-callandbridge.sip"
APPLICATION = "2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21"
VOICE_CONNECTOR = "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy"
WEBHOOK_SECRET = "webhook-4714"
CALLER, OWN_NUMBER = "+15550100001", "+15550199002"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# Quiet between two prompts, and what the first prompt may take and the line may be quiet beyond the pause, in seconds.
PAUSE, BOUND = 0.6, 2.0
# Longest anything is waited for.
PATIENCE = 15.0
# Both zeros of mu-law.
SILENCE = b"\xff\x7f"

PROMPTS = [stand.ulaw(stand.ROOT / "config" / "prompts" / f"keepalive-{number}.wav") for number in (1, 2, 3)]
GOODBYE = stand.ulaw(stand.ROOT / "config" / "prompts" / "goodbye.wav")


def utterance():
    """1.5 s of recorded speech as int16 samples, from its first sound on."""
    speech = quality.load(stand.SPEECH / "librivox_austen_0870_16k.wav")
    first = int(np.argmax(hearing.levels(speech) > 300)) * hearing.HOP
    return speech[first : first + quality.RATE * 3 // 2]


SAID = utterance()


def voiced(recording):
    """(offset, bytes) of a recording without its silent edges."""
    sound = [at for at, code in enumerate(recording) if code not in SILENCE]
    return sound[0], recording[sound[0] : sound[-1] + 1]


class Ear:
    """What a line heard since a moment, packet by packet."""

    def __init__(self, line):
        self._line = line
        self._from = len(line.packets)

    def packets(self):
        return [packet for packet in self._line.packets[self._from :] if packet.kind == media.PCMU]

    def places(self, recording):
        """(first, last) packet of every time a recording is heard to its end, sample by sample."""
        sound = b"".join(packet.payload for packet in self.packets())
        _, voice = voiced(recording)
        found = (match.start() for match in re.finditer(re.escape(voice), sound))
        return [(at // media.FRAME, (at + len(voice) - 1) // media.FRAME) for at in found]

    def says_back(self):
        """Whether the model's reply is heard: the loudness over time of what was said."""
        heard, said = hearing.levels(media.place(self.packets())), hearing.levels(SAID)
        if len(heard) < len(said):
            return False
        windows = np.lib.stride_tricks.sliding_window_view(heard, len(said))
        windows = windows - windows.mean(axis=1, keepdims=True)
        said = said - said.mean()
        power = np.sqrt((windows**2).sum(axis=1) * (said**2).sum())
        return bool(((windows @ said) / np.maximum(power, 1.0)).max() > 0.9)

    def loud(self, first=0, last=None):
        """Numbers of the packets that are no silence."""
        numbered = list(enumerate(self.packets()))[first:last]
        return [number for number, packet in numbered if packet.payload.strip(SILENCE)]


class Simulator(service.Service):
    """`trunkline sim`, whose output is closed with it."""

    def _read(self):
        super()._read()
        self.process.stdout.close()


class Model:
    """The simulator as a process that can be killed, and comes back at the same address."""

    def __init__(self, directory, *faults):
        self._log, self._faults = directory / "model", faults
        self._sim = None
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        arguments = ["sim", "--listen", self.address, *self._faults]
        self._sim = Simulator(stand.BINARY, arguments, {"sim"}, self._log)
        self.address = self._sim.address["sim"]

    def kill(self):
        """When it was killed, by the clock of the packets."""
        now = time.time()
        self._sim.process.kill()
        self._sim.process.wait()
        self._sim.stop()
        return now

    def stop(self):
        self._sim.stop()


class Chime(http.server.ThreadingHTTPServer):
    """UpdateSipMediaApplicationCall, in its wire shape: each request is kept, and answered with the same status."""

    def __init__(self, status=202):
        super().__init__(("127.0.0.1", 0), Updates)
        self.status = status
        # (when, path, Authorization, Arguments)
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def commands(self):
        return [arguments["command"] for _, _, _, arguments in self.asked]


class Updates(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((time.time(), self.path, self.headers["Authorization"], body["Arguments"]))
        transaction = self.path.rsplit("/", 1)[1]
        answer = json.dumps({"SipMediaApplicationCall": {"TransactionId": transaction}}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Deaths(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(unittest.mock.patch.dict(os.environ, CREDENTIALS))
        self.model = Model(self.directory)
        self.addCleanup(self.model.stop)

    def serve(self, name="log", api=None, **settings):
        """A service with that model and, at `api`, the SIP media application."""
        known = {
            "realtime__url": f"ws://{self.model.address}/openai/v1/realtime?model=gpt-realtime",
            "realtime__api_key": "not-a-secret",
            "realtime__reconnect__first": "100ms",
            "realtime__reconnect__max": "500ms",
            "fallback__pause": f"{PAUSE * 1000:.0f}ms",
            "sma__webhook_secret": WEBHOOK_SECRET,
            "sma__voice_connector_arn": VOICE_CONNECTOR,
            **settings,
        }
        if api:
            known["sma__application_id"] = APPLICATION
            known["sma__region"] = "us-east-1"
            known["sma__endpoint_url"] = f"http://127.0.0.1:{api.server_address[1]}"
        trunkline = stand.Trunkline(self.directory / name, **known)
        self.addCleanup(trunkline.stop)
        return trunkline

    @contextlib.contextmanager
    def placed(self, trunkline, *arguments):
        trunk = Trunk(trunkline.sip)
        try:
            with trunk.placed(*arguments) as call:
                yield call
        finally:
            trunk.close()

    def state(self, trunkline, call, state, fallback):
        """Waits until the CALL is in that state, and so is its fallback."""

        def reached():
            shown = trunkline.call(call.call_id)
            return shown if (shown["state"], shown["fallback"]["state"]) == (state, fallback) else None

        try:
            return service.wait_for(reached, PATIENCE, f"state {state}, fallback {fallback}")
        except RuntimeError as error:
            raise AssertionError(f"{error}; the CALL is {trunkline.call(call.call_id)}") from error

    def speak_with_model(self, call):
        """Says something, waits for the reply and for its end; the line is quiet then."""
        ear = Ear(call.line)
        call.line.say(quality.ulaw_encode(SAID).tobytes())
        service.wait_for(ear.says_back, PATIENCE, "the model's reply")
        service.wait_for(lambda: not ear.loud(-25), PATIENCE, "the end of the reply")

    def unbroken(self, packets):
        """One frame every 20 ms: by number, by time stamp and by the clock on the wall."""
        for before, after in zip(packets, packets[1:]):
            self.assertEqual((after.sequence - before.sequence) & 0xFFFF, 1)
            self.assertEqual((after.timestamp - before.timestamp) & 0xFFFFFFFF, media.FRAME)
        self.assertEqual(len({packet.ssrc for packet in packets}), 1)
        seconds = packets[-1].at - packets[0].at
        self.assertAlmostEqual(len(packets) - 1, seconds / media.FRAME_S, delta=max(10, len(packets) * 0.01))


class TheModel(Deaths):
    def test_a_model_that_dies_leaves_prompts_until_it_is_back_and_no_frame_is_missing(self):
        trunkline = self.serve(fallback__max_duration="30s")
        with self.placed(trunkline, stand.MODEL) as call:
            self.state(trunkline, call, "active", "idle")
            self.speak_with_model(call)
            ear = Ear(call.line)
            killed = self.model.kill()
            self.state(trunkline, call, "fallback", "media")
            service.wait_for(lambda: ear.places(PROMPTS[1]), PATIENCE, "the second prompt")

            first, second = [ear.places(prompt) for prompt in PROMPTS[:2]]
            self.assertEqual((len(first), len(second)), (1, 1))
            after = ear.packets()[first[0][0]].at - killed
            self.assertLessEqual(after, BOUND)
            # One voice at a time: nothing but the two, and between them no longer than the pause.
            loud = ear.loud(0, second[0][0])
            self.assertEqual((loud[0], loud[-1]), first[0])
            quiet = (second[0][0] - first[0][1] - 1) * media.FRAME_S
            self.assertGreaterEqual(quiet, PAUSE - 0.1)
            self.assertLessEqual(quiet, PAUSE + 0.3)

            self.model.start()
            self.state(trunkline, call, "active", "idle")
            service.wait_for(lambda: not ear.loud(-25), PATIENCE, "the end of the prompt")
            self.speak_with_model(call)
            self.unbroken(call.line.packets)
            print(f"first prompt after {after:.3f} s, {quiet:.2f} s quiet, {media.clock_of(call.line.packets)}")
        self.assertEqual(trunkline.ended(call.call_id)["endReason"], "caller_hangup")


if __name__ == "__main__":
    unittest.main()
