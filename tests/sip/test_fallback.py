"""The model, or the service itself, dies under a call by SIP: what the caller hears, and how he is connected again."""

import contextlib
import json
import os
import pathlib
import tempfile
import time
import unittest
import unittest.mock
import urllib.request
import uuid

import deaths
import media
import quality
import service
import stand
from deaths import APPLICATION, BOUND, GOODBYE, PROMPTS, SAID, VOICE_CONNECTOR, WEBHOOK_SECRET, Chime, Ear
from trunk import Trunk

SMA = "invite-from-sma-callandbridge.sip"
CALLER, OWN_NUMBER = "+15550100001", "+15550199002"
# Quiet between two prompts, in seconds.
PAUSE = 0.4
# Longest anything is waited for.
PATIENCE = 15.0


class Deaths(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(unittest.mock.patch.dict(os.environ, deaths.CREDENTIALS))
        self.model = deaths.Model(self.directory)
        self.addCleanup(self.model.stop)

    def serve(self, name="log", api=None, **settings):
        """A service with that model."""
        known = {
            "realtime__reconnect__first": "100ms",
            "realtime__reconnect__max": "200ms",
            "fallback__pause": f"{PAUSE * 1000:.0f}ms",
            **settings,
        }
        trunkline = deaths.serve(self.directory / name, self.model.address, api, **known)
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
            deaths.unbroken(call.line.packets)
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
            deaths.unbroken(packets)
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
            deaths.unbroken(call.line.packets)

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
            deaths.unbroken(call.line.packets)
            self.assertEqual(second.call(transaction)["callId"], call.call_id)
            print(f"answered again {back - died:.2f} s after the death, 0.5 s of it waiting for an answer")
        self.assertEqual(second.ended(call.call_id)["endReason"], "caller_hangup")


if __name__ == "__main__":
    unittest.main()
