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
PAUSE, BOUND = 0.4, 2.0
# Longest anything is waited for.
PATIENCE = 15.0
# Both zeros of mu-law.
SILENCE = b"\xff\x7f"

PROMPTS = [stand.ulaw(stand.ROOT / "config" / "prompts" / f"keepalive-{number}.wav") for number in (1, 2, 3)]
GOODBYE = stand.ulaw(stand.ROOT / "config" / "prompts" / "goodbye.wav")


def utterance():
    """A second of recorded speech as int16 samples, from its first sound on."""
    speech = quality.load(stand.SPEECH / "librivox_austen_0870_16k.wav")
    first = int(np.argmax(hearing.levels(speech) > 300)) * hearing.HOP
    return speech[first : first + quality.RATE]


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
            "realtime__reconnect__max": "200ms",
            "realtime__turn_detection__silence_duration_ms": "300",
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
        service.wait_for(lambda: not ear.loud(-15), PATIENCE, "the end of the reply")

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
            service.wait_for(lambda: not ear.loud(-15), PATIENCE, "the end of the prompt")
            self.speak_with_model(call)
            self.unbroken(call.line.packets)
            print(f"first prompt after {after:.3f} s, {quiet:.2f} s quiet, {media.clock_of(call.line.packets)}")
        self.assertEqual(trunkline.ended(call.call_id)["endReason"], "caller_hangup")

    def test_a_model_that_stays_away_is_said_goodbye_for_and_the_call_is_hung_up(self):
        trunkline = self.serve(fallback__max_duration="2s")
        with self.placed(trunkline, stand.MODEL) as call:
            self.state(trunkline, call, "active", "idle")
            ear = Ear(call.line)
            killed = self.model.kill()
            call.hung_up(PATIENCE)
            packets = ear.packets()
            goodbye = ear.places(GOODBYE)
            self.assertEqual((len(ear.places(PROMPTS[0])), len(goodbye)), (1, 1))
            first, last = goodbye[0]
            after = packets[first].at - killed
            self.assertGreaterEqual(after, 2 - 0.1)
            self.assertLessEqual(after, 2 + BOUND)
            self.assertLessEqual(len(packets) - last, BOUND / media.FRAME_S)
            self.unbroken(packets)
            print(f"goodbye after {after:.2f} s, BYE {(len(packets) - last) * media.FRAME_S:.2f} s after that")
        ended = trunkline.ended(call.call_id)
        self.assertEqual((ended["endReason"], ended["fallback"]["state"]), ("fallback_exhausted", "gave_up"))

    def test_a_call_with_a_transaction_hears_the_application_and_our_own_line_is_silent(self):
        api = Chime()
        self.addCleanup(api.close)
        trunkline = self.serve(api=api)
        transaction = str(uuid.uuid4())
        with self.placed(trunkline, stand.MODEL, SMA, [("X-Trunkline-Transaction", transaction)]) as call:
            self.state(trunkline, call, "active", "idle")
            ear = Ear(call.line)
            killed = self.model.kill()
            self.state(trunkline, call, "fallback", "sma")
            service.wait_for(lambda: len(api.asked) >= 2, PATIENCE, "the second prompt")
            self.model.start()
            self.state(trunkline, call, "active", "idle")
            self.assertEqual(ear.loud(), [])
            self.speak_with_model(call)
            self.unbroken(call.line.packets)

            when, path, signature, arguments = api.asked[0]
            self.assertLessEqual(when - killed, BOUND)
            self.assertEqual(path, f"/sip-media-applications/{APPLICATION}/calls/{transaction}")
            self.assertRegex(signature, "^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/[0-9]{8}/us-east-1/chime/")
            self.assertEqual(arguments["text"], "One moment, please.")
            *prompts, last = api.commands()
            self.assertEqual((set(prompts), last), ({"keepalive"}, "resume"))
            print(f"application asked after {when - killed:.3f} s")
        self.assertEqual(trunkline.ended(call.call_id)["endReason"], "caller_hangup")

    def test_an_application_that_refuses_leaves_prompts_to_the_calls_own_media(self):
        api = Chime(status=503)
        self.addCleanup(api.close)
        trunkline = self.serve(api=api)
        with self.placed(trunkline, stand.MODEL, SMA, [("X-Trunkline-Transaction", str(uuid.uuid4()))]) as call:
            self.state(trunkline, call, "active", "idle")
            ear = Ear(call.line)
            killed = self.model.kill()
            self.state(trunkline, call, "fallback", "media")
            service.wait_for(lambda: ear.places(PROMPTS[0]), PATIENCE, "the first prompt")
            after = ear.packets()[ear.places(PROMPTS[0])[0][0]].at - killed
            self.assertLessEqual(after, BOUND)
            self.assertIn("keepalive", api.commands())
            print(f"application refused, first prompt in the call's own media after {after:.3f} s")


class TheService(Deaths):
    def answer(self, trunkline, kind, transaction, data, participants, attributes=None):
        """What the application's function, run by this service, answers to an event."""
        details = {"TransactionId": transaction, "AwsAccountId": "111122223333", "AwsRegion": "us-east-1"}
        details |= {"SipMediaApplicationId": APPLICATION, "Participants": participants}
        if attributes:
            details["TransactionAttributes"] = attributes
        event = {"SchemaVersion": "1.0", "Sequence": 1, "InvocationEventType": kind, "ActionData": data}
        event["CallDetails"] = details
        request = urllib.request.Request(
            f"http://{trunkline.address['admin']}/sma/events",
            json.dumps(event).encode(),
            {"Authorization": f"Bearer {WEBHOOK_SECRET}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def bridged(self, action):
        """(user of the Request-URI, headers) of the INVITE that a Voice Connector sends for a CallAndBridge."""
        self.assertEqual(action["Type"], "CallAndBridge")
        (endpoint,) = action["Parameters"]["Endpoints"]
        self.assertEqual((endpoint["BridgeEndpointType"], endpoint["Arn"]), ("AWS", VOICE_CONNECTOR))
        return endpoint["Uri"], list(action["Parameters"]["SipHeaders"].items())

    def test_a_service_that_is_killed_gets_its_caller_back_by_another_process(self):
        first, second = self.serve("first"), self.serve("second")
        transaction = str(uuid.uuid4())
        leg = {"To": OWN_NUMBER, "From": CALLER, "StartTimeInMilliseconds": "1795187043210"}
        caller = {**leg, "CallId": "leg-a", "ParticipantTag": "LEG-A", "Direction": "Inbound"}
        response = self.answer(first, "NEW_INBOUND_CALL", transaction, None, [caller])
        user, headers = self.bridged(response["Actions"][0])
        attributes = response.get("TransactionAttributes")

        trunk = Trunk(first.sip)
        self.addCleanup(trunk.close)
        lost = trunk.place(user, SMA, headers)
        self.addCleanup(lost.line.close)
        self.state(first, lost, "active", "idle")
        self.speak_with_model(lost)
        first.process.kill()
        first.process.wait()
        died = time.time()
        # Nobody is there any more: not for the session, and no more sound.
        session = lost.request("UPDATE")
        trunk.send(session)
        with self.assertRaises(AssertionError):
            trunk.final(session, 0.5)
        self.assertFalse([packet for packet in lost.line.packets if packet.at > died + 0.1])

        caller["Status"] = "Connected"
        service_leg = {**leg, "CallId": "leg-b", "ParticipantTag": "LEG-B", "Direction": "Outbound"}
        service_leg["Status"] = "Disconnected"
        data = {"Type": "Hangup", "Parameters": {"SipResponseCode": 0, "CallId": "leg-b", "ParticipantTag": "LEG-B"}}
        response = self.answer(second, "HANGUP", transaction, data, [caller, service_leg], attributes)
        speak, bridge = response["Actions"]
        self.assertEqual((speak["Type"], speak["Parameters"]["CallId"]), ("Speak", "leg-a"))
        user, headers = self.bridged(bridge)
        self.assertEqual(user, transaction)
        told = {"Transaction": transaction, "Attempt": "1", "From": CALLER, "To": OWN_NUMBER}
        self.assertEqual(dict(headers), {f"X-Trunkline-{name}": value for name, value in told.items()})
        with self.placed(second, user, SMA, headers) as call:
            back = time.time()
            shown = self.state(second, call, "active", "idle")
            self.assertEqual((shown["smaTransactionId"], shown["direction"]), (transaction, "inbound"))
            self.assertEqual((shown["from"], shown["to"]), ("***0001", "***9002"))
            self.speak_with_model(call)
            self.unbroken(call.line.packets)
            self.assertEqual(second.call(transaction)["callId"], call.call_id)
            print(f"answered again {back - died:.2f} s after the death, 0.5 s of it waiting for an answer")
        self.assertEqual(second.ended(call.call_id)["endReason"], "caller_hangup")


if __name__ == "__main__":
    unittest.main()
