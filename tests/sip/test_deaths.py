"""For each way a model dies: how soon a caller by SIP hears a prompt, how long the line is silent, how it ends."""

import concurrent.futures
import dataclasses
import datetime
import os
import pathlib
import socket
import struct
import tempfile
import threading
import time
import unittest
import unittest.mock
import uuid

import deaths
import media
import quality
import service
import stand
from deaths import BOUND, GOODBYE, PROMPTS, SAID, Ear
from trunk import Trunk

# Quiet between two prompts, and for how long the model's address is dead after a session that died, in seconds.
PAUSE, AWAY = 1.0, 5.0
# Longest anything is waited for.
PATIENCE = 45.0
CELLS_AT_ONCE = 6
# The application begins to speak this long after it was asked, and so many characters a second.
SPEAKS_AFTER, SPEAKS = 0.15, 15
DIES_AFTER = ("--die-after", "3s", "--die-sessions", "1", "--die-mode")


@dataclasses.dataclass(frozen=True)
class Row:
    """A way to die. `at_first`: the first connect fails, and the session is dead from the moment it is asked for."""

    name: str
    faults: tuple
    at_first: bool = False
    recovers: bool = True

    @property
    def is_away(self):
        """The model's address is dead for a while, too."""
        return self.recovers and not self.at_first


ROWS = [
    Row("closed", (*DIES_AFTER, "close")),
    Row("TCP abort", (*DIES_AFTER, "abort")),
    Row("stalls", (*DIES_AFTER, "stall")),
    Row("mute", (*DIES_AFTER, "mute")),
    Row("session_expired", (*DIES_AFTER, "expire")),
    Row("every response fails", ("--fail-responses", "server_error"), recovers=False),
    Row("garbage", ("--garbage", "1", "--die-sessions", "1")),
    Row("refused, 401", ("--refuse", "401"), at_first=True, recovers=False),
    Row("refused, 429", ("--refuse", "429", "--refuse-first", "3"), at_first=True),
    Row("refused, 503", ("--refuse", "503", "--refuse-first", "3"), at_first=True),
]


@dataclasses.dataclass(frozen=True)
class Column:
    """Who speaks with the caller: `fallback.channel`, and what the application's API answers if there is one."""

    name: str
    channel: str
    status: int | None


COLUMNS = [
    Column("sma", "sma", 202),
    Column("media", "media", None),
    Column("auto, SMA throttled", "auto", 429),
]


class Relay:
    """The way to a model. It is down for a while once its first connection has ended."""

    def __init__(self, model):
        host, port = model.rsplit(":", 1)
        self._model = host, int(port)
        self._sockets = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._sockets.getsockname())
        # When the first connection ended; None while there was none.
        self._up_from = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._sockets.shutdown(socket.SHUT_RDWR)
        self._sockets.close()

    def _accept(self):
        is_first = True
        while True:
            try:
                caller, _ = self._sockets.accept()
            except OSError:
                return
            if not is_first and (self._up_from is None or time.monotonic() < self._up_from):
                caller.close()
                continue
            threading.Thread(target=self._carry, args=(caller, is_first), daemon=True).start()
            is_first = False

    def _carry(self, caller, is_first):
        ends = threading.Event()
        with caller, socket.create_connection(self._model) as model:
            for pair in ((caller, model), (model, caller)):
                threading.Thread(target=self._pump, args=(*pair, ends), daemon=True).start()
            ends.wait()
            if is_first:
                self._up_from = time.monotonic() + AWAY
            # Wakes whoever still reads.
            for side in (caller, model):
                try:
                    side.shutdown(socket.SHUT_RD)
                except OSError:
                    pass

    def _pump(self, source, to, ends):
        try:
            while data := source.recv(65_536):
                to.sendall(data)
        except ConnectionResetError:
            # A reset is passed on as one.
            to.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        ends.set()


@dataclasses.dataclass
class Measured:
    """What one cell came to: first prompt and longest quiet beyond the pause, in seconds."""

    first_prompt: float
    dead_air: float

    def __str__(self):
        return f"{self.first_prompt:.2f} s, {self.dead_air:.2f} s"


class Cell:
    """One call whose model dies."""

    def __init__(self, row, column, directory):
        self.row, self.column = row, column
        self.name = f"{row.name}, {column.name}"
        self._directory = directory / f"{ROWS.index(row)}-{COLUMNS.index(column)}"
        self._directory.mkdir()

    def run(self):
        """Plays it through, checks it and gives what was measured."""
        to_close = []
        try:
            return self._run(to_close)
        except (AssertionError, RuntimeError) as error:
            log = (self._directory / "log").read_text() if (self._directory / "log").exists() else ""
            raise AssertionError(f"{self.name}: {error}\n{log[-2_000:]}") from error
        finally:
            for close in reversed(to_close):
                close()

    def _run(self, to_close):
        row, column = self.row, self.column
        model = deaths.Model(self._directory, *row.faults)
        to_close.append(model.stop)
        way = model
        if row.is_away:
            way = Relay(model.address)
            to_close.append(way.close)
        api = None
        headers = []
        if column.status:
            api = deaths.Chime(column.status)
            to_close.append(api.close)
            headers = [("X-Trunkline-Transaction", str(uuid.uuid4()))]
        trunkline = deaths.serve(
            self._directory / "log",
            way.address,
            api,
            fallback__channel=column.channel,
            fallback__pause=f"{PAUSE * 1000:.0f}ms",
            fallback__max_duration="15s",
            realtime__ping="1s",
            realtime__stall_timeout="3s",
            realtime__response_timeout="3s",
            realtime__reconnect__first="1s" if row.at_first else "250ms",
            realtime__reconnect__max="4s" if row.at_first else "1s",
        )
        to_close.append(trunkline.stop)
        trunk = Trunk(trunkline.sip)
        to_close.append(trunk.close)
        fixture = "invite-from-sma-callandbridge.sip" if api else "invite-number-on-vc.sip"
        with trunk.placed(stand.MODEL, fixture, headers) as call:
            answered = time.time()
            call.line.say((quality.ulaw_encode(SAID).tobytes() + b"\xff" * (quality.RATE * 7 // 2)) * 20)
            ear = Ear(call.line)
            dead = answered if row.at_first else None
            dead = dead or self._told(trunkline, call, "entered")
            if row.recovers:
                end = self._told(trunkline, call, "recovered")
                after = Ear(call.line)
                service.wait_for(after.says_back, PATIENCE, "an answer after the outage")
            else:
                end = self._told(trunkline, call, "gave_up")
                call.hung_up(PATIENCE)
            deaths.unbroken(call.line.packets)
        reason = "caller_hangup" if row.recovers else "fallback_exhausted"
        if (ended := trunkline.ended(call.call_id)["endReason"]) != reason:
            raise AssertionError(f"the call ended by {ended}")
        return self._measure(ear, api, dead, end)

    def _told(self, trunkline, call, state):
        """When the fallback came to that state, by the call's timeline."""

        def reached():
            shown = trunkline.call(call.call_id)
            start = datetime.datetime.fromisoformat(shown["startedAt"]).timestamp()
            texts = [entry for entry in shown["timeline"] if entry["kind"] == "fallback"]
            return next((start + entry["atMs"] / 1000 for entry in texts if entry["text"].startswith(state)), None)

        try:
            return service.wait_for(reached, PATIENCE, f"fallback {state}")
        except RuntimeError as error:
            raise AssertionError(f"{error}; {trunkline.call(call.call_id)}") from error

    def _measure(self, ear, api, dead, end):
        packets = ear.packets()
        ours = [packets[first].at for recording in (*PROMPTS, GOODBYE) for first, _ in ear.places(recording)]
        theirs = spoken(api)
        is_sma = self.column.channel == "sma"
        if bool(ours) == is_sma or bool(theirs) != is_sma:
            raise AssertionError(f"{len(ours)} prompts in the call's own media, {len(theirs)} by the application")
        if not self.row.recovers and not is_sma and len(ear.places(GOODBYE)) != 1:
            raise AssertionError("the goodbye is not heard to its end")
        loud = [packet.at for packet in packets if packet.payload.strip(deaths.SILENCE)]
        both = [at for at in loud if any(since <= at < until for since, until in theirs)]
        if both:
            raise AssertionError(f"{len(both)} frames over the application, {both[0] - dead:.2f} s after the death")
        first = min(ours + [since for since, _ in theirs])
        # Two voices as the times in which something is heard.
        heard = sorted([(at, at + media.FRAME_S) for at in loud] + theirs)
        heard = [(since, until) for since, until in heard if until > first]
        if not self.row.recovers:
            end = min(end, heard[-1][1])
        quiet, last = 0.0, first
        for since, until in heard:
            quiet = max(quiet, min(since, end) - last)
            last = max(last, until)
        measured = Measured(first - dead, max(0.0, max(quiet, end - last) - PAUSE))
        if max(measured.first_prompt, measured.dead_air) > BOUND:
            raise AssertionError(f"first prompt after {first - dead:.2f} s, {measured.dead_air:.2f} s of dead air")
        return measured


def spoken(api):
    """(from, until) of what the application says; whatever it is asked next cuts it short."""
    if not api or api.status != 202:
        return []
    spans = []
    for at, _, _, arguments in api.asked:
        starts = at + SPEAKS_AFTER
        if spans:
            spans[-1] = spans[-1][0], min(spans[-1][1], starts)
        if text := arguments.get("text"):
            spans.append((starts, starts + len(text) / SPEAKS))
    return spans


class Table(unittest.TestCase):
    def test_however_a_model_dies_the_caller_is_kept_company_and_no_call_is_lost(self):
        self.enterContext(unittest.mock.patch.dict(os.environ, deaths.CREDENTIALS))
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        with concurrent.futures.ThreadPoolExecutor(CELLS_AT_ONCE) as cells:
            table = [[cells.submit(Cell(row, column, directory).run) for column in COLUMNS] for row in ROWS]
        lines = [f"| the session is | {' | '.join(column.name for column in COLUMNS)} | ends |"]
        failed = []
        for row, line in zip(ROWS, table):
            failed += [str(cell.exception()) for cell in line if cell.exception()]
            shown = ["failed" if cell.exception() else str(cell.result()) for cell in line]
            lines.append(f"| {row.name} | {' | '.join(shown)} | {'recovered' if row.recovers else 'goodbye'} |")
        print("\n".join(lines))
        self.assertFalse(failed, "\n\n".join(failed))


if __name__ == "__main__":
    unittest.main()
