"""Calls by sipp, 5 a second, 50 at a time: none may fail, and none may leave anything behind.

usage: load.py [--calls N] [--rate R]
"""

import argparse
import collections
import pathlib
import sys
import tempfile
import threading
import time

import service
import sipp
import stand

# A few may be under way when the call ends, or not sent in time.
PACKETS = sipp.CALL_S * 50
SLACK = 15


class Watch:
    """The most calls at a time, as the service counts them."""

    def __init__(self, trunkline):
        self.most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(trunkline,), daemon=True)
        self._thread.start()

    def _run(self, trunkline):
        while not self._over.wait(0.5):
            self.most = max(self.most, int(trunkline.metric("sip_dialogs")))

    def end(self):
        self._over.set()
        self._thread.join()


def faults_of(call):
    """What is wrong with a call that sipp placed."""
    found = []
    if call["endReason"] != "caller_hangup":
        found.append(f"ended as {call['endReason']}")
    if call["rtp"]["packets"] < PACKETS - SLACK:
        found.append("too few packets came")
    if call["down"]["frames"] < PACKETS - SLACK:
        found.append("too few frames went out")
    # A machine with more to do than it can drops a frame now and then, and says so.
    if call["up"]["dropped"] + call["down"]["dropped"] > SLACK:
        found.append("many frames dropped")
    if call["route"] == "*" and not call["model"]["responses"]:
        found.append("the model never answered")
    return found


def sums(ended):
    """What became of the packets of all calls."""
    rtp = collections.Counter()
    for call in ended:
        rtp.update({name: call["rtp"][name] for name in ("packets", "lost", "late", "concealedMs")})
        rtp.update({"dropped": call["up"]["dropped"] + call["down"]["dropped"], "underruns": call["down"]["underruns"]})
    return ", ".join(f"{count} {name}" for name, count in rtp.items())


def run(trunkline, directory, calls, rate):
    """Returns (report, faults)."""
    before = trunkline.held()
    begun = time.monotonic()
    watch = Watch(trunkline)
    # TCP has one connection for all, as a Voice Connector's.
    few = max(1, calls // 10)
    share = (calls - few) / calls
    makers = [
        sipp.Sipp(directory, trunkline.sip, stand.ECHO, (calls - few) // 2, rate * share / 2),
        sipp.Sipp(directory, trunkline.sip, stand.MODEL, (calls - few + 1) // 2, rate * share / 2),
        sipp.Sipp(directory, trunkline.sip, stand.ECHO, few, rate * (1 - share), transport="t1"),
    ]
    try:
        faults = [fault for fault in [maker.end() for maker in makers] if fault]
    finally:
        for maker in makers:
            maker.kill()
        watch.end()
    try:
        service.wait_for(lambda: not trunkline.calls(ended=False), 20, "the end of all calls")
    except RuntimeError as error:
        faults.append(str(error))
    ended = trunkline.calls()
    if trunkline.metric("sip_invites_total") != calls:
        faults.append(f"{trunkline.metric('sip_invites_total'):.0f} INVITEs came, of {calls}")
    of_calls = collections.Counter(fault for call in ended for fault in faults_of(call))
    faults += [f"{count} calls: {fault}" for fault, count in of_calls.items()]
    report = f"{calls} calls by sipp in {time.monotonic() - begun:.0f} s, {watch.most} at a time; {sums(ended)}"

    def clean():
        now = trunkline.held()
        # What the service opened for itself meanwhile it may close.
        now["descriptors"] = max(now["descriptors"], before["descriptors"])
        return now == before

    try:
        service.wait_for(clean, stand.TRANSACTION, "that nothing is held")
    except RuntimeError:
        faults.append(f"left behind: {trunkline.held()}, before: {before}")
    return report, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rate", type=float, default=5, help="calls a second; each lasts 10 s")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        log = pathlib.Path(directory) / "serve.log"
        settings = {"calls__history_max": "10000"}
        with stand.Trunkline(log, **settings) as trunkline:
            report, faults = run(trunkline, directory, arguments.calls, arguments.rate)
        if faults:
            print(*log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:], sep="\n  ", file=sys.stderr)
    print(report)
    for fault in faults:
        print(f"fault: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
