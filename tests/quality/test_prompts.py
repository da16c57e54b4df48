"""The bundled prompts say what the configuration says they say, and are fit for a telephone line."""

import pathlib
import re
import tomllib
import unittest

import numpy as np
import soundfile

CONFIG = pathlib.Path(__file__).resolve().parents[2] / "config"


def spoken():
    """File stem and text of every recording, from the script that makes them."""
    script = (CONFIG / "prompts" / "make.sh").read_text(encoding="utf-8")
    return dict(re.findall(r"^make (\S+) '([^']+)'$", script, re.MULTILINE))


class Prompts(unittest.TestCase):
    def test_the_recordings_speak_the_default_texts(self):
        fallback = tomllib.loads((CONFIG / "default.toml").read_text(encoding="utf-8"))["fallback"]
        texts = {f"keepalive-{number}": text for number, text in enumerate(fallback["prompts"], start=1)}
        texts["goodbye"] = fallback["goodbye"]
        self.assertEqual(texts, spoken())

    def test_they_are_short_and_of_even_level(self):
        for name in spoken():
            samples, rate = soundfile.read(CONFIG / "prompts" / f"{name}.wav")
            with self.subTest(name):
                self.assertEqual((rate, samples.ndim), (8_000, 1))
                self.assertLess(len(samples) / rate, 6.0 if name == "goodbye" else 3.0)
                level = 20 * np.log10(np.sqrt(np.mean(samples**2)))
                self.assertAlmostEqual(level, -20.5, delta=1.5)
                self.assertLess(np.max(np.abs(samples)), 0.8)


if __name__ == "__main__":
    unittest.main()
