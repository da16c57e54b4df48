"""Sound as a telephone line carries it: int16 samples at 8 kHz, and mu-law."""

import numpy as np
import soundfile
from scipy.signal import resample_poly

RATE = 8_000


def load(path):
    """Reads a mono audio file as int16 samples at 8 kHz."""
    samples, rate = soundfile.read(path, dtype="int16")
    if samples.ndim != 1:
        raise ValueError(f"{path}: {samples.shape[1]} channels, must be mono")
    if rate == RATE:
        return samples
    if rate <= 0 or rate % RATE:
        raise ValueError(f"{path}: {rate} Hz, must be a multiple of {RATE} Hz")
    converted = resample_poly(samples.astype(float), 1, rate // RATE)
    return np.clip(np.rint(converted), -32768, 32767).astype(np.int16)


def ulaw_encode(samples):
    """G.711 mu-law of int16 samples, bit for bit as the ITU-T reference (G.191): negatives by one's complement."""
    wide = samples.astype(np.int32)
    magnitude = np.where(wide < 0, ~wide, wide) >> 2
    magnitude = np.minimum(magnitude + 33, 0x1FFF)
    segment = np.floor(np.log2(magnitude)).astype(np.int32) - 5
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0xF)
    sign = np.where(wide < 0, 0x00, 0x80)
    return (sign | (code ^ 0x7F)).astype(np.uint8)


def ulaw_decode(codes):
    """int16 samples of G.711 mu-law bytes."""
    inverted = ~codes.astype(np.int32) & 0xFF
    segment = (inverted >> 4) & 7
    magnitude = ((((inverted & 0xF) << 3) + 0x84) << segment) - 0x84
    return np.where(inverted & 0x80, -magnitude, magnitude).astype(np.int16)
