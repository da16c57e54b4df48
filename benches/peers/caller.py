"""A caller of Twilio Media Streams, as its documentation describes them: speaks in real time, hears in real time."""

import asyncio
import base64
import collections
import json

import numpy as np
import websockets

import sound

FRAME_S = 0.02
FRAME = int(sound.RATE * FRAME_S)
SILENCE = b"\xff" * FRAME
# Root mean square above which a frame is no silence: -50 dBFS.
AUDIBLE = 100
ACCOUNT = "AC" + "0" * 32
# Notes of the simulator's tone reply, Hz, in their order.
NOTES = (523, 659, 784)


class Call:
    """One call, from `start` to `stop`.

    What the peer sends is played as Twilio plays it: queued, 20 ms every 20 ms, emptied by `clear`, with marks coming
    back once they are reached. `heard` has (time, mu-law bytes) of each frame in which something played, by the event
    loop's clock.
    """

    def __init__(self, url, number):
        self._url = url
        self._stream, self._call = f"MZ{number:032x}", f"CA{number:032x}"
        self._waiting = bytearray()
        # Bytes of audio and names of marks, in order.
        self._playout = collections.deque()
        self._tasks = []
        self._socket = None
        self.heard = []
        self.clears = 0
        # When it was lost, and with which close code; None while it lives.
        self.lost_at = None
        self.close_code = None

    async def connect(self):
        """Raises `OSError` or `websockets.WebSocketException` if the call is not taken."""
        self._socket = await websockets.connect(self._url, compression=None, ping_interval=None, max_size=None)
        await self._send("connected", protocol="Call", version="1.0.0")
        start = {
            "streamSid": self._stream,
            "accountSid": ACCOUNT,
            "callSid": self._call,
            "tracks": ["inbound"],
            "customParameters": {},
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": sound.RATE, "channels": 1},
        }
        await self._send("start", sequenceNumber="1", start=start, streamSid=self._stream)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._talk())]

    def say(self, speech):
        """Speaks these mu-law bytes next; silence goes out when there is nothing to say."""
        self._waiting += speech

    async def hang_up(self):
        """Ends the call from the caller's side, if it still lives."""
        if self._socket is None:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.lost_at is None:
            try:
                stop = {"accountSid": ACCOUNT, "callSid": self._call}
                await self._send("stop", stop=stop, streamSid=self._stream)
            except websockets.ConnectionClosed:
                pass
        await self._socket.close()

    def quiet_for(self, seconds):
        """Whether nothing has played for that long."""
        now = asyncio.get_running_loop().time()
        return not self._playout and (not self.heard or now - self.heard[-1][0] > seconds)

    def between(self, start, end):
        """What played in that time."""
        return [(when, frame) for when, frame in self.heard if start <= when < end]

    async def _send(self, event, **members):
        await self._socket.send(json.dumps({"event": event, **members}))

    async def _read(self):
        try:
            async for text in self._socket:
                message = json.loads(text)
                match message["event"]:
                    case "media":
                        self._playout.append(base64.b64decode(message["media"]["payload"], validate=True))
                    case "mark":
                        self._playout.append(message["mark"]["name"])
                    case "clear":
                        self.clears += 1
                        marks = [entry for entry in self._playout if isinstance(entry, str)]
                        self._playout.clear()
                        for name in marks:
                            await self._answer_mark(name)
        except websockets.ConnectionClosed:
            pass
        self.lost_at = asyncio.get_running_loop().time()
        self.close_code = self._socket.close_code

    async def _talk(self):
        loop = asyncio.get_running_loop()
        due = loop.time()
        for number in range(1, 1 << 31):
            frame = bytes(self._waiting[:FRAME]).ljust(FRAME, b"\xff")
            del self._waiting[:FRAME]
            media = {
                "track": "inbound",
                "chunk": str(number),
                "timestamp": str(round(number * FRAME_S * 1000)),
                "payload": base64.b64encode(frame).decode(),
            }
            try:
                await self._send("media", sequenceNumber=str(number + 1), media=media, streamSid=self._stream)
                await self._play(loop.time())
            except websockets.ConnectionClosed:
                return
            due += FRAME_S
            await asyncio.sleep(due - loop.time())

    async def _play(self, now):
        frame = b""
        while self._playout and len(frame) < FRAME:
            entry = self._playout.popleft()
            if isinstance(entry, str):
                await self._answer_mark(entry)
                continue
            need = FRAME - len(frame)
            frame += entry[:need]
            if entry[need:]:
                self._playout.appendleft(entry[need:])
        # A mark is reached with the end of the audio before it.
        while self._playout and isinstance(self._playout[0], str):
            await self._answer_mark(self._playout.popleft())
        if frame:
            self.heard.append((now, frame))

    async def _answer_mark(self, name):
        await self._send("mark", sequenceNumber="1", mark={"name": name}, streamSid=self._stream)


def _samples(frames):
    return sound.ulaw_decode(np.frombuffer(b"".join(frame for _, frame in frames), np.uint8)).astype(float)


def first_sound(frames):
    """When the first frame that is no silence played; None if there is none."""
    return next((frame[0] for frame in frames if np.sqrt(np.mean(_samples([frame]) ** 2)) > AUDIBLE), None)


def has_answer(frames):
    """Whether the notes of the simulator's tone reply were heard, one after the other: no speech is as pure."""
    samples = _samples(frames)
    size, found = sound.RATE // 10, 0
    window = np.hanning(size)
    for at in range(0, len(samples) - size + 1, size // 2):
        power = np.abs(np.fft.rfft(samples[at : at + size] * window)) ** 2
        peak = int(np.argmax(power))
        pure = power[max(peak - 2, 0) : peak + 3].sum() > 0.9 * max(power.sum(), 1.0)
        if pure and abs(peak * 10 - NOTES[found]) <= 15:
            found += 1
        if found == len(NOTES):
            return True
    return False
