"""Carries recorded speech through the running service and judges what the caller hears.

usage: run.py BINARY SPEECH_DIR OUT_DIR

SPEECH_DIR holds demo-congrats.wav (8 kHz, 30 s) and librivox_austen_0870_16k.wav (16 kHz, 7 s);
OUT_DIR gets what was sent, what was heard and the service's log. Exit code 1 if a call fails or sounds worse than it may.
"""

import concurrent.futures
import dataclasses
import pathlib
import subprocess
import sys

import soundfile

import quality
import service


@dataclasses.dataclass
class Case:
    """One call: who is called, with what, and how far below mu-law alone PESQ may be."""

    name: str
    to: str
    speech: str
    within: float


# Speech in real time on a busy machine: a telephone that was not given its turn for 20 ms sends late, and what is late
# is heard late. What the service does wrong it does every time.
TRIES = 3

CASES = [
    Case("echo", "6001", "demo-congrats.wav", 0.05),
    Case("parrot", "6002", "librivox_austen_0870_16k.wav", 0.1),
]


def place(binary, running, call_id, to, sent, heard):
    """Runs `trunkline call` to its end."""
    length = soundfile.info(sent).duration
    url = f"ws://{running.address['media']}/ingest?callId={call_id}&to={to}"
    done = subprocess.run(
        [str(binary), "call", "--url", url, "--wav", str(sent), "--out", str(heard)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * length + 60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"trunkline call ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def attempt(binary, running, case, call_id, sent, heard):
    """Places one call and returns (report, faults)."""
    place(binary, running, call_id, case.to, sent, heard)
    found = quality.judge(quality.load(sent), quality.load(heard))
    faults = found.faults(case.within)

    def ended():
        return [call for call in running.calls() if call["callId"] == call_id]

    call = service.wait_for(ended, 20, f"the end of call {call_id}")[0]
    counters = {
        "up.dropped": call["up"]["dropped"],
        "down.dropped": call["down"]["dropped"],
        "down.underruns": call["down"]["underruns"],
    }
    faults += [f"{name} is {value}, must be 0" for name, value in counters.items() if value]
    return f"{found}; call of {call['durationMs'] / 1000:.1f} s, {call['endReason']}", faults


def run(binary, running, case, speech, out):
    """Calls until one call is as it should be. Returns whether one was."""
    sent = out / f"{case.name}-sent.wav"
    # Sent at the line's own rate, so that no resampler but the service's is judged.
    soundfile.write(sent, quality.load(speech / case.speech), quality.RATE, subtype="PCM_16")
    for number in range(1, TRIES + 1):
        heard = out / f"{case.name}-heard-{number}.wav"
        try:
            report, faults = attempt(binary, running, case, f"quality-{case.name}-{number}", sent, heard)
        except (RuntimeError, ValueError, OSError, subprocess.TimeoutExpired) as error:
            report, faults = "no judgement", [str(error)]
        print(*[f"{case.name} {number}: {report}", *(f"  fault: {fault}" for fault in faults)], sep="\n", flush=True)
        if not faults:
            return True
    return False


def main():
    binary, speech, out = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    with service.serve(binary, out / "serve.log") as running, concurrent.futures.ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda case: run(binary, running, case, speech, out), CASES))
    failed = results.count(False)
    if failed:
        log = (out / "serve.log").read_text(encoding="utf-8", errors="replace").splitlines()
        print(f"the last of {out / 'serve.log'}:", *log[-40:], sep="\n  ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
