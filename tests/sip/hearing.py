"""What a listener hears of a line with a jitter buffer: gaps in speech, and speech that moves in time."""

import numpy as np

import quality

HOP = quality.RATE // 100
# How far what is heard may have moved by what a jitter buffer does in pauses: 100 ms both ways, in hops.
MOVED = 10
LOUD_DBFS, FADED = -38.0, 0.1


def levels(samples):
    """Root mean square of every 10 ms."""
    whole = samples[: len(samples) // HOP * HOP].reshape(-1, HOP).astype(float)
    return np.sqrt(np.mean(whole**2, axis=1))


def longest_gap(sent, heard, lag):
    """The longest time in ms in which `heard` is at a tenth of `sent` or below, while `sent` is loud throughout."""
    spoken = np.pad(levels(sent), MOVED)
    around = np.lib.stride_tricks.sliding_window_view(spoken, 2 * MOVED + 1).min(axis=1)
    shifted = heard[lag:] if lag >= 0 else np.concatenate([np.zeros(-lag, dtype=heard.dtype), heard])
    listened = levels(shifted)[: len(around)]
    around = around[: len(listened)]
    is_gap = (around > 10 ** (LOUD_DBFS / 20) * 32768) & (listened < FADED * around)
    worst = run = 0
    for gap in is_gap:
        run = run + 1 if gap else 0
        worst = max(worst, run)
    return worst * 10


def moves(sent, heard, lag):
    """How often the delay changes by over 1 ms between half seconds of speech; a jitter buffer's may, in pauses."""
    padded = np.pad(heard, quality.WINDOW + quality.SEARCH)
    start = lag + quality.WINDOW
    offsets = []
    for at in quality.speech_windows(sent):
        place = padded[max(at + start, 0) : at + start + quality.WINDOW + 2 * quality.SEARCH]
        if len(place) == quality.WINDOW + 2 * quality.SEARCH:
            offsets.append(quality.offset_of(sent[at : at + quality.WINDOW], place) - quality.SEARCH)
    return sum(abs(after - before) > quality.SLIP for before, after in zip(offsets, offsets[1:]))
