"""Tests of what the comparison counts, without any bridge: python -m unittest discover benches/peers."""

import asyncio
import base64
import json
import unittest

import numpy as np
import websockets

import caller
import compare
import sound
import survive


def tone(hz, ms):
    places = np.arange(sound.RATE * ms // 1000)
    return sound.ulaw_encode((9000 * np.sin(2 * np.pi * hz * places / sound.RATE)).astype(np.int16)).tobytes()


ANSWER = b"".join(tone(hz, 300) for hz in caller.NOTES)


def frames(codes):
    return [(float(at), codes[at : at + caller.FRAME]) for at in range(0, len(codes), caller.FRAME)]


class Hearing(unittest.TestCase):
    def test_an_answer_is_its_three_notes_in_order(self):
        self.assertTrue(caller.has_answer(frames(caller.SILENCE * 7 + ANSWER)))
        self.assertFalse(caller.has_answer(frames(ANSWER[: len(ANSWER) * 2 // 3])))
        self.assertFalse(caller.has_answer(frames(b"".join(tone(hz, 300) for hz in reversed(caller.NOTES)))))

    def test_speech_is_no_answer_but_sound(self):
        said = sound.ulaw_encode(sound.load(survive.SPEECH)).tobytes()
        self.assertFalse(caller.has_answer(frames(said)))
        self.assertIsNotNone(caller.first_sound(frames(said)))

    def test_notes_among_other_sound_are_no_answer(self):
        noise = np.random.default_rng(1).normal(0, 2500, len(ANSWER))
        mixed = sound.ulaw_decode(np.frombuffer(ANSWER, np.uint8)) + noise
        self.assertFalse(caller.has_answer(frames(sound.ulaw_encode(mixed.astype(np.int16)).tobytes())))

    def test_silence_is_no_sound(self):
        self.assertIsNone(caller.first_sound(frames(caller.SILENCE * 50 + b"\x7f" * caller.FRAME)))
        self.assertEqual(caller.first_sound(frames(caller.SILENCE * 2 + tone(500, 20))), 2.0 * caller.FRAME)


class Bridge:
    """A bridge that does with one call what a test says; `marks` has (name, ms since the start) of those answered."""

    def __init__(self, script):
        self._script = script
        self.marks = []

    async def __aenter__(self):
        self._server = await websockets.serve(self._serve, "127.0.0.1", 0, compression=None)
        host, port = self._server.sockets[0].getsockname()
        return caller.Call(f"ws://{host}:{port}/media-stream", 1)

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, socket):
        loop = asyncio.get_running_loop()
        async for text in socket:
            message = json.loads(text)
            if message["event"] == "start":
                began = loop.time()
                await self._script(socket)
            elif message["event"] == "mark":
                self.marks.append((message["mark"]["name"], (loop.time() - began) * 1000))


async def play(socket, audio, mark):
    await socket.send(json.dumps({"event": "media", "media": {"payload": base64.b64encode(audio).decode()}}))
    await socket.send(json.dumps({"event": "mark", "mark": {"name": mark}}))


class Calling(unittest.IsolatedAsyncioTestCase):
    async def test_a_burst_is_heard_in_real_time_and_its_mark_answered_at_its_end(self):
        bridge = Bridge(lambda socket: play(socket, ANSWER, "end"))
        async with bridge as call:
            await call.connect()
            self.assertTrue(await survive.until(lambda: bridge.marks, 10))
            await call.hang_up()
        (name, after_ms), = bridge.marks
        self.assertEqual(name, "end")
        self.assertGreater(after_ms, 860)
        self.assertEqual(b"".join(frame for _, frame in call.heard), ANSWER)
        self.assertIsNone(call.lost_at)

    async def test_clear_empties_the_line_and_gives_marks_back_at_once(self):
        async def script(socket):
            await play(socket, tone(500, 60_000), "end")
            await socket.send(json.dumps({"event": "clear"}))

        bridge = Bridge(script)
        async with bridge as call:
            await call.connect()
            self.assertTrue(await survive.until(lambda: bridge.marks, 10))
            self.assertTrue(call.quiet_for(-1.0))
            await call.hang_up()
        self.assertEqual(call.clears, 1)

    async def test_a_cut_call_is_lost_with_its_code(self):
        async with Bridge(lambda socket: socket.close(1012)) as call:
            await call.connect()
            self.assertTrue(await survive.until(lambda: call.lost_at is not None, 10))
            self.assertEqual(survive.lost([call], survive.now()), {"cut": 1, "close_codes": [1012]})
            self.assertEqual(survive.lost([call], call.lost_at), {"cut": 0, "close_codes": []})
            await call.hang_up()


LOAD = {
    "cpu_percent_per_call": 0.234,
    "rss_mib": 51.2,
    "rss_mib_per_call": 0.19,
    "turn_ms": {"p50": 13.1, "p99": 17.85},
    "completeness_percent": 100.0,
    "truncation_error_ms": {"p50": 4, "max": 19.6},
    "calls": 20,
    "failed_calls": 0,
    "refused": False,
}
SURVIVED = {
    "model_dies": {"calls": 5, "heard_within_10_s": 5, "answered_within_20_s": 4},
    "bridge_ends": {"calls": 5, "carried_5_s_later": 3},
}


class Table(unittest.TestCase):
    def test_a_row_says_what_was_measured(self):
        cells = compare.row("it 1.0", "pcmu", LOAD, LOAD, SURVIVED)
        self.assertEqual(len(cells), len(compare.COLUMNS))
        figures = ["0.23 %", "0.19 MiB (51 MiB)", "13.1 / 17.9 ms", "100.0 %", "4 / 20 ms", "5 of 5, 4 of 5", "3 of 5"]
        self.assertEqual(cells, ["it 1.0", "pcmu", *figures])

    def test_what_is_void_missing_or_partly_failed_is_said(self):
        cells = compare.row("it", "pcmu", {**LOAD, "refused": True}, None, None)
        self.assertEqual(cells[2:6], [compare.VOID] * 4)
        self.assertEqual(cells[6:], [compare.FAILED] * 3)
        cells = compare.row("it", "pcmu", {**LOAD, "failed_calls": 2}, compare.NOT_RUN, SURVIVED)
        self.assertEqual(cells[2], "0.23 %, 2 of 20 calls failed")
        self.assertEqual(cells[6], "not run")
        cells = compare.row("it", "pcmu", {**LOAD, "turn_ms": {"p50": None, "p99": None}}, LOAD, SURVIVED)
        self.assertEqual(cells[4], "none / none ms")


if __name__ == "__main__":
    unittest.main()
