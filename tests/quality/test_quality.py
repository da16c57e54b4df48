"""Tests of the measure itself, on the bundled prompts: python -m unittest discover tests/quality."""

import hashlib
import pathlib
import unittest

import numpy as np
from scipy.signal import resample_poly

import quality

PROMPTS = pathlib.Path(__file__).resolve().parents[2] / "config" / "prompts"
FRAME = quality.RATE * 20 // 1000


def sentence():
    return quality.load(PROMPTS / "goodbye.wav")


def silence(ms):
    return np.zeros(quality.RATE * ms // 1000, dtype=np.int16)


def over_the_line(sent, before_ms=0):
    return np.concatenate([silence(before_ms), quality.ulaw_decode(quality.ulaw_encode(sent)), silence(500)])


class MuLaw(unittest.TestCase):
    """Against the md5 of the ITU-T G.191 sweep vectors."""

    def test_every_sample_is_encoded_as_the_reference_does(self):
        codes = quality.ulaw_encode(np.arange(-32768, 32768).astype(np.int16))
        self.assertEqual(hashlib.md5(codes.tobytes()).hexdigest(), "492174ac6f9a6838aa10eda54d75bb8f")

    def test_every_code_is_decoded_as_the_reference_does(self):
        samples = quality.ulaw_decode(np.arange(256).astype(np.uint8)).astype("<i2")
        self.assertEqual(hashlib.md5(samples.tobytes()).hexdigest(), "4564589ec3203313ff004120bb32117f")


class Judging(unittest.TestCase):
    def test_a_perfect_line_is_at_its_ceiling_wherever_the_speech_starts(self):
        sent = sentence()
        for before_ms in (0, 20, 1234):
            found = quality.judge(sent, over_the_line(sent, before_ms))
            self.assertEqual(found.lag, before_ms * 8)
            self.assertEqual(found.identical, 1.0)
            self.assertEqual(found.pesq, found.ceiling)
            self.assertEqual(found.faults(within=0.0, coverage=1.0), [])

    def test_speech_that_starts_within_the_sent_file_is_aligned(self):
        sent = np.concatenate([silence(700), sentence()])
        found = quality.judge(sent, over_the_line(sent)[quality.RATE // 2 :])
        self.assertEqual(found.lag, -quality.RATE // 2)
        self.assertEqual(found.faults(within=0.0, coverage=1.0), [])

    def test_resampling_to_24_khz_and_back_costs_next_to_nothing(self):
        sent = sentence()
        wide = resample_poly(over_the_line(sent).astype(float), 3, 1)
        narrow = np.clip(np.rint(resample_poly(wide, 1, 3)), -32768, 32767).astype(np.int16)
        found = quality.judge(sent, over_the_line(narrow))
        self.assertEqual(found.faults(within=0.05), [])

    def test_lost_frames_are_found(self):
        sent = sentence()
        heard = over_the_line(sent)
        for start in range(0, len(heard) - FRAME, 10 * FRAME):
            heard[start : start + FRAME] = 0
        self.assertTrue(quality.judge(sent, heard).faults(within=0.1))

    def test_noise_is_found(self):
        sent = sentence()
        noise = np.random.default_rng(1).normal(0, 300, len(sent))
        heard = np.clip(sent + noise, -32768, 32767).astype(np.int16)
        self.assertTrue(quality.judge(sent, over_the_line(heard)).faults(within=0.1))

    def test_one_frame_left_out_is_a_slip(self):
        sent = sentence()
        heard = over_the_line(sent)
        cut = len(sent) // 2
        found = quality.judge(sent, np.concatenate([heard[:cut], heard[cut + FRAME :]]))
        self.assertGreater(found.slips, 2)

    def test_a_missing_second_half_is_not_enough_speech(self):
        sent = sentence()
        found = quality.judge(sent, over_the_line(sent)[: len(sent) // 2])
        self.assertLess(found.coverage, 0.6)
        self.assertTrue(found.faults(within=0.05))

    def test_silence_cannot_be_judged(self):
        with self.assertRaises(ValueError):
            quality.judge(silence(3000), silence(3000))


if __name__ == "__main__":
    unittest.main()
