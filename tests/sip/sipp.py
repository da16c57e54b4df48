"""sipp, the SIP load generator (Debian package sip-tester), on our own scenarios."""

import pathlib
import subprocess

import ports
import quality
import stand

SCENARIOS = pathlib.Path(__file__).with_name("scenarios")
# What a call of scenarios/call.xml lasts, in seconds, and how much of it is speech.
CALL_S, SPEECH_S = 10, 3.5
# Those of one sipp: four for each of a hundred calls. Of more calls it offers ports beyond them, which matters to nobody if
# nothing else runs.
PORTS = 400


class Sipp:
    """One sipp, calling `to` until `calls` calls are over."""

    def __init__(self, directory, service, to, calls, rate, transport="u1"):
        self.calls = calls
        self.directory = pathlib.Path(directory)
        self.name = f"{to}-{transport}"
        # The path of the sound is part of the scenario: this sipp knows no variable there.
        scenario = self.directory / f"{self.name}.xml"
        text = (SCENARIOS / "call.xml").read_text(encoding="utf-8")
        scenario.write_text(text.replace("[speech]", str(self._speech())), encoding="utf-8")
        self._output = open(self.directory / f"{self.name}.out", "w+", encoding="utf-8", errors="replace")
        options = {
            "-sf": scenario,
            "-s": to,
            "-t": transport,
            "-i": "127.0.0.1",
            "-mi": "127.0.0.1",
            # It binds this one and the second next, and offers those beyond: four for each call.
            "-mp": ports.take(PORTS, 4),
            "-m": calls,
            "-r": rate,
            "-l": 200,
            "-timeout": f"{calls / rate + 60:.0f}",
            "-error_file": self.directory / f"{self.name}.errors",
        }
        self._process = subprocess.Popen(
            [
                *["sipp", f"{service[0]}:{service[1]}", "-nostdin", "-trace_err"],
                *(str(word) for option in options.items() for word in option),
            ],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    def _speech(self):
        """A sentence and silence behind it, as bare mu-law."""
        path = self.directory / f"{self.name}.ulaw"
        speech = stand.ulaw(stand.SPEECH / "librivox_austen_0880_16k.wav")[: int(SPEECH_S * quality.RATE)]
        path.write_bytes(speech.ljust(CALL_S * quality.RATE, b"\xff"))
        return path

    def end(self):
        """Waits for it; says what failed, empty if nothing did."""
        code = self._process.wait(self.calls * 2 + 120)
        self._output.close()
        if code == 0:
            return ""
        # What it says of the scenario, and then of calls.
        names = (f"{self.name}.out", f"{self.name}.errors")
        paths = [path for path in map(self.directory.joinpath, names) if path.exists()]
        said = "".join(path.read_text(encoding="utf-8", errors="replace")[-1_500:] for path in paths)
        return f"sipp to {self.name} ended with {code}: {said}"

    def kill(self):
        """Ends it at once, if it runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()
