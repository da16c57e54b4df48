"""How well speech came through a telephone line.

usage: quality.py SENT.wav HEARD.wav [--within 0.05]

Both files are brought to 8 kHz mono. HEARD is aligned with SENT by cross-correlation, then judged:

* PESQ (ITU-T P.862, narrow band) of what was heard, against the file's own ceiling: PESQ of SENT after one mu-law
  pass (ITU-T G.711). The ceiling is 3.9 to 4.5, by file, so only the difference says something about the line.
* Coverage: the part of SENT's speech that HEARD contains at all. PESQ cannot see what lies outside the overlap.
* Slips: half seconds of speech that lie more than 1 ms from where the alignment puts them. A lost, repeated or
  late frame moves what follows; PESQ realigns by itself and forgives that, a caller's ear does not.
"""

import argparse
import dataclasses
import math
import sys

import numpy as np
from pesq import pesq
from pystoi import stoi
from scipy.signal import fftconvolve

from sound import RATE, load, ulaw_decode, ulaw_encode

WINDOW = RATE // 2
# How far from its place a half second is looked for: 15 frames of 20 ms.
SEARCH = RATE * 300 // 1000
SLIP = RATE // 1000
SPEECH_DBFS = -45.0


def find_lag(sent, heard):
    """Samples by which `heard` lies behind `sent`, negative if it starts within it."""
    size = 1 << math.ceil(math.log2(len(sent) + len(heard)))
    cross = np.fft.rfft(heard.astype(float), size) * np.conj(np.fft.rfft(sent.astype(float), size))
    lag = int(np.argmax(np.fft.irfft(cross, size)))
    return lag if lag < size // 2 else lag - size


def speech_windows(sent):
    """Starts of the half seconds that hold speech."""
    starts = range(0, len(sent) - WINDOW + 1, WINDOW)
    floor = 10 ** (SPEECH_DBFS / 20) * 32768
    return [start for start in starts if np.sqrt(np.mean(sent[start : start + WINDOW].astype(float) ** 2)) > floor]


def offset_of(window, place):
    """Where in `place` the samples of `window` fit best, as a start index: the peak of the normalised correlation."""
    window = window.astype(float)
    place = place.astype(float)
    cross = fftconvolve(place, window[::-1], mode="valid")
    energy = fftconvolve(place**2, np.ones(len(window)), mode="valid")
    return int(np.argmax(cross / np.sqrt(np.maximum(energy, 1.0))))


@dataclasses.dataclass
class Judgement:
    """What `judge` found; lengths in samples at 8 kHz unless named otherwise."""

    lag: int
    coverage: float
    slips: int
    windows: int
    identical: float
    pesq: float
    ceiling: float
    stoi: float

    def faults(self, within, coverage=0.98):
        """What is wrong with it, empty if nothing is."""
        found = []
        if self.ceiling - self.pesq > within:
            found.append(f"PESQ is {self.ceiling - self.pesq:.3f} below mu-law alone, allowed {within}")
        if self.coverage < coverage:
            found.append(f"only {self.coverage:.1%} of the speech was heard, needed {coverage:.0%}")
        if self.slips:
            found.append(f"{self.slips} of {self.windows} half seconds slipped by more than 1 ms")
        return found

    def __str__(self):
        return (
            f"PESQ {self.pesq:.3f} (mu-law alone {self.ceiling:.3f}, difference {self.pesq - self.ceiling:+.3f}), "
            f"STOI {self.stoi:.4f}, heard {self.coverage:.1%} of the speech, {self.slips} of {self.windows} half seconds "
            f"slipped, lag {self.lag / RATE * 1000:.1f} ms, samples as after mu-law alone {self.identical:.1%}"
        )


def judge(sent, heard):
    """Compares int16 samples at 8 kHz, sent and heard."""
    lag = find_lag(sent, heard)
    start, end = max(-lag, 0), min(len(sent), len(heard) - lag)
    if end - start < WINDOW:
        raise ValueError("sent and heard have less than half a second in common")
    windows = speech_windows(sent)
    if not windows:
        raise ValueError(f"nothing louder than {SPEECH_DBFS} dBFS was sent")

    covered, slips = 0, 0
    padded = np.pad(heard, SEARCH)
    for at in windows:
        covered += max(0, min(at + WINDOW, end) - max(at, start))
        if start <= at and at + WINDOW <= end:
            place = padded[at + lag : at + lag + WINDOW + 2 * SEARCH]
            slips += abs(offset_of(sent[at : at + WINDOW], place) - SEARCH) > SLIP

    common, other = sent[start:end], heard[start + lag : end + lag]
    after_ulaw = ulaw_decode(ulaw_encode(common))
    return Judgement(
        lag=lag,
        coverage=covered / (len(windows) * WINDOW),
        slips=int(slips),
        windows=len(windows),
        identical=float(np.mean(after_ulaw == other)),
        pesq=float(pesq(RATE, common, other, "nb")),
        ceiling=float(pesq(RATE, common, after_ulaw, "nb")),
        stoi=float(stoi(common.astype(float), other.astype(float), RATE)),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("sent")
    parser.add_argument("heard")
    parser.add_argument("--within", type=float, default=0.05, help="how far below mu-law alone PESQ may be")
    arguments = parser.parse_args()
    found = judge(load(arguments.sent), load(arguments.heard))
    print(found)
    faults = found.faults(arguments.within)
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
