"""A real SIP telephone calls, speaks recorded speech and hears it again: baresip."""

import dataclasses
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np

import baresip
import hearing
import quality
import service
import stand

# How far PESQ may be below mu-law alone.
WITHIN = 0.1
# How often the delay may change on a line that is even.
MOVES = 2
# Speech in real time on a busy machine: what was not given its turn for 20 ms is heard late. What the service does
# wrong it does every time.
TRIES = 3
# Around what is said, in seconds: until the line is up, and until the last of it is back.
BEFORE_S, AFTER_ECHO_S, AFTER_PARROT_S = 1, 1, 12


def silence(seconds):
    return np.zeros(int(seconds * quality.RATE), dtype=np.int16)


class Telephones(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.certificate = None
        self.trunkline = stand.Trunkline(self.directory / "log", **self.prepared())
        self.addCleanup(self.trunkline.stop)

    def prepared(self):
        """Settings of the service."""
        return {}

    def uri(self, to):
        """Whom to call."""
        return "sip:{}@{}:{}".format(to, *self.trunkline.sip)

    def call(self, to, speech, after):
        """One call that says `speech`; the CALL and what the telephone heard."""
        microphone = self.directory / "microphone.wav"
        stand.write_wav(microphone, np.concatenate([silence(BEFORE_S), speech, silence(after)]))
        seconds = BEFORE_S + after + len(speech) / quality.RATE
        before = {call["callId"] for call in self.trunkline.calls()}
        telephone = baresip.Telephone(self.uri(to), microphone, self.certificate)
        try:

            def ended():
                return [call for call in self.trunkline.calls() if call["callId"] not in before]

            try:
                call = service.wait_for(ended, seconds + 20, "the end of the call")[0]
            except RuntimeError as error:
                raise AssertionError(f"{error}; baresip says:\n{telephone.said()[-3_000:]}") from error
            telephone.close()
            return call, telephone.heard()
        finally:
            telephone.forget()

    def judged(self, name, to, speech, after):
        """Calls until one call is as it should be."""
        for number in range(1, TRIES + 1):
            call, heard = self.call(to, speech, after)
            found = quality.judge(speech, heard)
            moves = hearing.moves(speech, heard, found.lag)
            # Where the delay moved in a pause, all that follows counts as slipped: that is a jitter buffer's right.
            faults = dataclasses.replace(found, slips=0).faults(WITHIN)
            if moves > MOVES:
                faults.append(f"the delay changed {moves} times")
            if call["endReason"] != "caller_hangup":
                faults.append(f"ended as {call['endReason']}")
            if call["rtp"]["lost"] or call["down"]["underruns"]:
                faults.append(f"{call['rtp']['lost']} packets lost, {call['down']['underruns']} underruns")
            print(f"{name} {number}: {found}, {moves} moves; rtp {call['rtp']}", *faults, sep="\n  fault: ", flush=True)
            if not faults:
                return call
        return self.fail("; ".join(faults))


class Echo(Telephones):
    def test_half_a_minute_of_speech_comes_back_as_after_mu_law_alone(self):
        call = self.judged("echo", stand.ECHO, quality.load(stand.LONG_SPEECH), AFTER_ECHO_S)
        self.assertGreater(call["rtp"]["mos"], 4.0)
        self.assertIsNotNone(call["rtp"]["roundTripMs"], "the telephone's reports are read")


class Parrot(Telephones):
    def test_the_parrot_is_heard(self):
        speech = quality.load(stand.SPEECH / "librivox_austen_0870_16k.wav")
        call = self.judged("parrot", stand.MODEL, speech, AFTER_PARROT_S)
        self.assertGreaterEqual(call["model"]["responses"], 1)

    def test_a_key_that_is_pressed_is_one_key(self):
        microphone = self.directory / "microphone.wav"
        stand.write_wav(microphone, silence(30))
        telephone = baresip.Telephone(self.uri(stand.ECHO), microphone)
        self.addCleanup(telephone.forget)

        def with_media():
            return next((call for call in self.trunkline.calls(ended=False) if call["down"]["frames"] > 50), None)

        try:
            call_id = service.wait_for(with_media, 20, "a call with media")["callId"]
        except RuntimeError as error:
            raise AssertionError(f"{error}; baresip says:\n{telephone.said()[-3_000:]}") from error

        def keys():
            return [e["text"] for e in self.trunkline.call(call_id)["timeline"] if e["kind"] == "dtmf"]

        for number, key in enumerate("5#", start=1):
            telephone.press(key)
            service.wait_for(lambda number=number: len(keys()) >= number, 10, f"key {key}")
        telephone.close()
        call = self.trunkline.ended(call_id)
        self.assertEqual(keys(), ["5", "#"])
        # It sends keys between its sound, each packet with the time at which the key went down: that is no jitter.
        self.assertLess(call["rtp"]["jitterMs"], 3)


class Secret(Telephones):
    """TLS for the signalling and SRTP for the media, which the service insists on."""

    def prepared(self):
        self.certificate = self.directory / "certificate.pem"
        key = self.directory / "key.pem"
        subprocess.run(
            [
                *["openssl", "req", "-x509", "-nodes", "-days", "1"],
                *["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
                *["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                *["-keyout", str(key), "-out", str(self.certificate)],
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        return {
            "sip__listen": "",
            "sip__require_srtp": "true",
            "sip__tls__listen": "127.0.0.1:0",
            "sip__tls__cert_file": str(self.certificate),
            "sip__tls__key_file": str(key),
        }

    def uri(self, to):
        return f"{super().uri(to)};transport=tls"

    def test_speech_comes_back_as_after_mu_law_alone(self):
        speech = quality.load(stand.SPEECH / "librivox_austen_0870_16k.wav")
        self.judged("echo over TLS and SRTP", stand.ECHO, speech, AFTER_ECHO_S)


if __name__ == "__main__":
    unittest.main()
