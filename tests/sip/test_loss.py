"""A telephone behind a bad network: what is lost is concealed, and what the service says stays even."""

import os
import pathlib
import tempfile
import unittest

import numpy as np

import baresip
import hearing
import media
import quality
import service
import stand
from relay import Network, Relay

SEED = int(os.environ.get("TRUNKLINE_SEED", "20261125"))
# G.711 Appendix I fades what it makes up to silence after 60 ms.
CONCEALED_MS = 60
# A thousandth, which is more than the crystals of two machines differ by.
EVEN = 0.001
BEFORE_S, AFTER_S = 1, 1
TRIES = 3

NETWORKS = {
    "1 % loss, 30 ms jitter": Network(loss=0.01, jitter=0.030),
    "and 2 % copies, 2 % reordered": Network(loss=0.01, jitter=0.030, copies=0.02, reordered=0.02),
}


class Hearing(unittest.TestCase):
    """The measures find what they are to find."""

    def test_a_gap_in_speech_is_found_and_a_short_one_or_a_pause_is_not(self):
        speech = quality.load(stand.SPEECH / "librivox_austen_0870_16k.wav")
        self.assertEqual(hearing.longest_gap(speech, speech, 0), 0)
        moved = np.concatenate([np.zeros(400, dtype=np.int16), speech])
        self.assertEqual(hearing.longest_gap(speech, moved, 400), 0)
        loud = np.pad(hearing.levels(speech), hearing.MOVED)
        around = np.lib.stride_tricks.sliding_window_view(loud, 2 * hearing.MOVED + 1).min(axis=1)
        start = int(np.argmax(around)) * hearing.HOP
        for length_ms, found in ((100, 80), (60, 40), (40, 20)):
            cut = speech.copy()
            cut[start : start + length_ms * 8] = 0
            self.assertGreaterEqual(hearing.longest_gap(speech, cut, 0), found, length_ms)
            self.assertLessEqual(hearing.longest_gap(speech, cut, 0), length_ms)

    def test_a_frame_left_out_or_put_in_is_a_move(self):
        speech = quality.load(stand.SPEECH / "librivox_austen_0870_16k.wav")
        frame = np.zeros(media.FRAME, dtype=np.int16)
        self.assertEqual(hearing.moves(speech, np.concatenate([frame, speech]), media.FRAME), 0)
        third = len(speech) // 3
        parts = [speech[:third], speech[third + media.FRAME : 2 * third], frame, speech[2 * third :]]
        # Half a second that has the move within it may lie anywhere between.
        self.assertIn(hearing.moves(speech, np.concatenate(parts), 0), (2, 3, 4))


class BadNetworks(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.trunkline = stand.Trunkline(self.directory / "log")
        self.addCleanup(self.trunkline.stop)

    def call(self, network):
        """One call through it that says half a minute; (sent, relay, CALL)."""
        speech = quality.load(stand.LONG_SPEECH)
        pause = np.zeros(quality.RATE, dtype=np.int16)
        microphone = self.directory / "microphone.wav"
        sent = np.concatenate([pause] * BEFORE_S + [speech] + [pause] * AFTER_S)
        stand.write_wav(microphone, sent)
        before = {call["callId"] for call in self.trunkline.calls()}
        relay = Relay(self.trunkline.sip, network, SEED)
        telephone = baresip.Telephone("sip:{}@{}:{}".format(stand.ECHO, *relay.address), microphone)
        try:

            def ended():
                return [call for call in self.trunkline.calls() if call["callId"] not in before]

            try:
                call = service.wait_for(ended, len(sent) / quality.RATE + 20, "the end of the call")[0]
            except RuntimeError as error:
                raise AssertionError(f"{error}; baresip says:\n{telephone.said()[-3_000:]}") from error
        finally:
            telephone.forget()
            relay.close()
        return sent, relay, call

    def faults(self, name, network):
        """What is wrong with one call through it."""
        sent, relay, call = self.call(network)
        audio = [packet for packet in relay.heard if packet.kind == media.PCMU]
        heard, clock, rtp = media.place(audio), media.clock_of(audio), call["rtp"]
        found = quality.judge(sent, heard)
        gap = hearing.longest_gap(sent, heard, found.lag)
        print(
            f"{name}, seed {SEED}: {len(relay.said)} packets, {relay.lost} lost; longest gap {gap} ms; {found}",
            f"  rtp {rtp}",
            f"  the service sent {clock}",
            sep="\n",
            flush=True,
        )
        # The last may be under way when the call ends.
        checks = {
            f"a gap of {gap} ms": gap <= CONCEALED_MS,
            "too much is lost for the ear": found.ceiling - found.pesq < 1.0,
            "not all was heard": found.coverage > 0.98,
            f"{clock}: uneven": not clock.odd_steps and abs(clock.rate / 50 - 1) < EVEN,
            "the losses are not counted": abs(rtp["lost"] - relay.lost) <= 2,
            "concealment is not counted": rtp["concealedMs"] >= 10 * relay.lost,
            "jitter is not what it is": 3 < rtp["jitterMs"] < 25,
            "the score is not that of the line": 3.5 < rtp["mos"] < 4.35,
        }
        if network.copies:
            checks["copies are not counted"] = rtp["late"] >= 0.01 * len(relay.said)
        return [fault for fault, is_well in checks.items() if not is_well]

    def carried(self, name):
        """Calls until one call is as it should be: a machine that stalls loses sound by itself."""
        for _ in range(TRIES):
            faults = self.faults(name, NETWORKS[name])
            print(*(f"  fault: {fault}" for fault in faults), sep="\n", flush=True)
            if not faults:
                return
        self.fail("; ".join(faults))


class Lossy(BadNetworks):
    def test_loss_and_jitter_leave_no_gap_and_the_service_even(self):
        self.carried("1 % loss, 30 ms jitter")


class Disordered(BadNetworks):
    def test_copies_and_another_order_change_nothing_of_that(self):
        self.carried("and 2 % copies, 2 % reordered")


if __name__ == "__main__":
    unittest.main()
