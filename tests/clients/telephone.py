"""A caller's side without any Realtime code: a WAV, a clock, and silence when nobody speaks."""

import array
import asyncio
import wave

PACKET_MS = 20


def read_wav(path: str, rate: int) -> bytes:
    """The samples of a mono 16-bit WAV at another rate, by linear interpolation."""
    with wave.open(path) as file:
        assert file.getnchannels() == 1 and file.getsampwidth() == 2, f"{path}: not mono 16-bit"
        own_rate = file.getframerate()
        samples = array.array("h", file.readframes(file.getnframes()))
    out = array.array("h")
    for n in range(len(samples) * rate // own_rate - 1):
        place = n * own_rate / rate
        index = min(int(place), len(samples) - 2)
        share = place - index
        out.append(int(samples[index] * (1 - share) + samples[index + 1] * share))
    return out.tobytes()


class Line:
    """Sends a packet every 20 ms for as long as it lives and remembers every byte."""

    def __init__(self, rate: int, send):
        self.bytes_per_ms = rate * 2 // 1000
        self.sent = bytearray()
        self._send = send
        self._waiting = bytearray()
        self._task = asyncio.create_task(self._run())

    def say(self, pcm: bytes) -> None:
        self._waiting += pcm

    def hush(self) -> None:
        self._waiting.clear()

    def heard(self, from_ms: int, to_ms: int) -> bytes:
        return bytes(self.sent[from_ms * self.bytes_per_ms : to_ms * self.bytes_per_ms])

    async def _run(self) -> None:
        size = PACKET_MS * self.bytes_per_ms
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            packet = bytes(self._waiting[:size]).ljust(size, b"\0")
            del self._waiting[:size]
            self.sent += packet
            try:
                await self._send(packet)
            except Exception:  # the connection ended; the reader reports how
                return
            due += PACKET_MS / 1000
            await asyncio.sleep(max(0, due - loop.time()))

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
