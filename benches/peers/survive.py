"""What becomes of live calls when the model dies, and when the bridge is told to end.

usage: survive.py trunkline-pcmu|trunkline-pcm16|agents-pcmu|pipecat-pcm16 [--calls N] [--log DIRECTORY]

Callers by Twilio Media Streams talk through the bridge with `trunkline sim` as the model, in real time, in recorded
speech. They are answered once each; then, in a moment when all lines are quiet, one of two things happens, each with a
fresh bridge:

* the model's process is killed, and started again at the same address 5 s later. The callers go on speaking every 5 s.
  Counted are calls that are there after 10 s and heard any sound by then, and calls answered again within 20 s.
* the bridge gets SIGTERM, and the callers speak. Counted are calls that heard an answer within 5 s and are there then.

Prints JSON. Exit code 1 if not every call was answered in the first place: then nothing was measured.
"""

import argparse
import asyncio
import contextlib
import json
import pathlib
import signal
import sys
import tempfile

import websockets

import caller
import peers
import service
import sound

SPEECH = peers.ROOT / "tests" / "fixtures" / "speech" / "librivox_austen_0880_16k.wav"
CALLS = 5
# The first answer may take this long, in seconds: some peers load models with their first call.
FIRST_ANSWER = 30.0
SPEAK_EVERY = 5.0
MODEL_BACK = 5.0
HEARD_WITHIN, ANSWERED_WITHIN = 10.0, 20.0
DRAIN = 5.0


class NotAnswered(Exception):
    """Not every call was answered before anything was done to it."""


def utterance():
    """1.2 s of recorded speech from its first sound on, as mu-law bytes."""
    samples = sound.load(SPEECH)
    first = next(at for at, sample in enumerate(samples) if abs(int(sample)) > 1000)
    return sound.ulaw_encode(samples[first : first + sound.RATE * 12 // 10]).tobytes()


SAID = utterance()


class Scene:
    """A model, a bridge, and calls that were answered once and are quiet."""

    def __init__(self, peer, calls, log):
        self._peer, self._log = peer, log
        self._count = calls
        self.calls = []
        self.model = self.bridge = None

    async def start(self):
        self.model = await self.start_model("127.0.0.1:0")
        self.address = self.model.address["sim"]
        try:
            self.bridge = await asyncio.to_thread(self._peer.start, self.address, self._log / f"{self._peer.key}.log")
            self.calls = [caller.Call(peers.media_url(self.bridge), number) for number in range(1, self._count + 1)]
            await asyncio.gather(*(call.connect() for call in self.calls))
        except (RuntimeError, OSError, websockets.WebSocketException) as problem:
            raise NotAnswered(f"{self._peer.key}: {problem}") from problem
        # What is said before the bridge has its model may be lost.
        await asyncio.sleep(2.0)
        self.speak()
        if not await until(lambda: all(caller.has_answer(call.heard) for call in self.calls), FIRST_ANSWER):
            answered = sum(caller.has_answer(call.heard) for call in self.calls)
            raise NotAnswered(f"{self._peer.key}: {answered} of {self._count} calls were answered, see {self._log}")
        await until(lambda: all(call.quiet_for(1.0) for call in self.calls), FIRST_ANSWER)

    async def start_model(self, address):
        arguments = ["sim", "--listen", address, "--reply", "tone"]
        return await asyncio.to_thread(service.Service, peers.TRUNKLINE, arguments, {"sim"}, self._log / "model.log")

    def speak(self):
        for call in self.calls:
            call.say(SAID)

    async def stop(self):
        await asyncio.gather(*(call.hang_up() for call in self.calls), return_exceptions=True)
        for process in filter(None, (self.bridge, self.model)):
            await asyncio.to_thread(process.stop)


@contextlib.asynccontextmanager
async def scene(peer, calls, log):
    it = Scene(peer, calls, log)
    try:
        await it.start()
        yield it
    finally:
        await it.stop()


async def until(condition, seconds):
    """Whether it came true within that time."""
    deadline = now() + seconds
    while now() < deadline:
        if condition():
            return True
        await asyncio.sleep(0.05)
    return False


def now():
    return asyncio.get_running_loop().time()


def lives(call, when):
    """Whether it had not been lost by then."""
    return call.lost_at is None or call.lost_at >= when


def answered(call, start, end):
    """Whether an answer of the model was heard in that time."""
    return caller.has_answer(call.between(start, end))


def lost(calls, when):
    """How many had been cut by then, and with which close codes."""
    gone = [call for call in calls if not lives(call, when)]
    return {"cut": len(gone), "close_codes": sorted({call.close_code for call in gone if call.close_code is not None})}


async def model_dies(peer, calls, log):
    async with scene(peer, calls, log) as it:
        it.model.process.send_signal(signal.SIGKILL)
        died = now()
        await asyncio.sleep(0.5)
        for number in range(int(ANSWERED_WITHIN / SPEAK_EVERY)):
            it.speak()
            wake = died + 0.5 + (number + 1) * SPEAK_EVERY
            if number == 0:
                await asyncio.sleep(died + MODEL_BACK - now())
                await asyncio.to_thread(it.model.stop)
                it.model = await it.start_model(it.address)
            await asyncio.sleep(min(wake, died + ANSWERED_WITHIN) - now())
    by_10_s, by_20_s = died + HEARD_WITHIN, died + ANSWERED_WITHIN
    first = [caller.first_sound(call.between(died, by_10_s)) for call in it.calls]
    return {
        "calls": calls,
        "heard_within_10_s": sum(at is not None and lives(call, by_10_s) for call, at in zip(it.calls, first)),
        "first_sound_s": sorted(round(at - died, 2) for at in first if at is not None),
        "answered_within_20_s": sum(lives(call, by_20_s) and answered(call, died, by_20_s) for call in it.calls),
        **lost(it.calls, by_20_s),
    }


async def bridge_ends(peer, calls, log):
    async with scene(peer, calls, log) as it:
        it.bridge.process.send_signal(signal.SIGTERM)
        told = now()
        it.speak()
        await asyncio.sleep(DRAIN)
    by_5_s = told + DRAIN
    return {
        "calls": calls,
        "carried_5_s_later": sum(lives(call, by_5_s) and answered(call, told, by_5_s) for call in it.calls),
        **lost(it.calls, by_5_s),
    }


def measure(peer, calls, log):
    """Both, as a dictionary for JSON. Raises `NotAnswered`."""
    log.mkdir(parents=True, exist_ok=True)
    return {
        "peer": peer.key,
        "model_dies": asyncio.run(model_dies(peer, calls, log)),
        "bridge_ends": asyncio.run(bridge_ends(peer, calls, log)),
    }


def main():
    known = {peer.key: peer for peer in peers.PEERS}
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("peer", choices=known)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--log", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "trunkline-survive")
    arguments = parser.parse_args()
    try:
        print(json.dumps(measure(known[arguments.peer], arguments.calls, arguments.log), indent=2))
    except NotAnswered as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
