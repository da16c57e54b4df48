"""Runs the comparison that scripts/compare prepares, one bridge after the other, and prints its table."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys

import peers
import survive

OUT = peers.TARGET / "compare"
# What a load run may take beyond its time: building, the ramp, the end of the calls, in seconds.
PATIENCE = 300
COLUMNS = (
    "",
    "with the model",
    "CPU per call",
    "memory per call (all)",
    "turn p50 / p99",
    "audio heard",
    "truncation error p50 / max",
    "model dies: heard, answered again",
    "SIGTERM: calls carried on",
)
VOID = "void: the generator was the bottleneck"
FAILED = "failed, see the logs"
# Figures of a run that was not asked for.
NOT_RUN = {}


def free_port():
    """One that nobody has at the moment, for the model that the load generator serves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def run_within(seconds, command, log):
    """Runs a command with all its output in `log`. Raises `TimeoutExpired`, and leaves no child of it behind."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
    with subprocess.Popen(command, cwd=peers.ROOT, start_new_session=True, **streams) as process:
        try:
            process.wait(seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def put_under_load(peer, arguments, barge):
    """The load generator's figures for one bridge; None if it gave none."""
    run = f"{peer.key}-{'barge' if barge else 'plain'}"
    model, figures = f"127.0.0.1:{free_port()}", OUT / f"{run}.json"
    figures.unlink(missing_ok=True)
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", "load", "--"]
    command += ["--calls", str(arguments.calls), "--secs", str(arguments.secs), "--dialect", "twilio"]
    command += ["--model", model, "--audio", peer.audio, "--json", str(figures), *(["--barge"] if barge else [])]
    try:
        with peer.start(model, OUT / f"{run}-bridge.log") as bridge, open(OUT / f"{run}-load.log", "wb") as log:
            command += ["--target", f"{peers.media_url(bridge)},{bridge.process.pid}"]
            run_within(arguments.secs + PATIENCE, command, log)
        (measured,) = json.loads(figures.read_text())["runs"]
        return measured
    except (RuntimeError, subprocess.TimeoutExpired, OSError, ValueError, KeyError) as problem:
        print(f"{run}: no figures ({problem}), see {OUT / run}-load.log", file=sys.stderr)
        return None


def survival(peer):
    """What survive.py counted; None if calls were not even answered."""
    try:
        return survive.measure(peer, survive.CALLS, OUT / "survive")
    except survive.NotAnswered as problem:
        print(problem, file=sys.stderr)
        return None


def row(title, audio, plain, barge, survived):
    """The cells of one bridge, from the JSON of its runs: None of a run that gave none, `NOT_RUN` of none."""

    def of(figures, cell):
        if figures is None:
            return FAILED
        if figures == NOT_RUN:
            return "not run"
        if figures["refused"]:
            return VOID
        return cell(figures)

    def number(value, digits):
        return "none" if value is None else f"{value:.{digits}f}"

    def pair(figures, low, high, digits):
        return f"{number(figures[low], digits)} / {number(figures[high], digits)} ms"

    def failures(figures):
        return f", {figures['failed_calls']} of {figures['calls']} calls failed" if figures["failed_calls"] else ""

    cells = [
        title,
        audio,
        of(plain, lambda it: f"{number(it['cpu_percent_per_call'], 2)} %{failures(it)}"),
        of(plain, lambda it: f"{number(it['rss_mib_per_call'], 2)} MiB ({number(it['rss_mib'], 0)} MiB)"),
        of(plain, lambda it: pair(it["turn_ms"], "p50", "p99", 1)),
        of(plain, lambda it: f"{number(it['completeness_percent'], 1)} %"),
        of(barge, lambda it: pair(it["truncation_error_ms"], "p50", "max", 0)),
    ]
    if survived is None:
        return cells + [FAILED, FAILED]
    dies, ends = survived["model_dies"], survived["bridge_ends"]
    return cells + [
        f"{dies['heard_within_10_s']} of {dies['calls']}, {dies['answered_within_20_s']} of {dies['calls']}",
        f"{ends['carried_5_s_later']} of {ends['calls']}",
    ]


def table(rows):
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main():
    parser = argparse.ArgumentParser(prog="scripts/compare")
    parser.add_argument("--calls", type=int, default=20, help="calls at the same time (default 20)")
    parser.add_argument("--secs", type=int, default=30, help="how long they talk, each run (default 30)")
    keys = [peer.key for peer in peers.PEERS]
    parser.add_argument("--only", choices=keys, action="append", help="one bridge alone; may be repeated")
    parser.add_argument("--no-load", action="store_true", help="only the deaths of model and bridge")
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)

    results = []
    for peer in peers.PEERS:
        if arguments.only and peer.key not in arguments.only:
            continue
        title = peer.title
        print(f"{title}, {peer.audio} ...", file=sys.stderr, flush=True)
        plain = barge = NOT_RUN
        if not arguments.no_load:
            plain = put_under_load(peer, arguments, barge=False)
            barge = put_under_load(peer, arguments, barge=True)
        survived = survival(peer)
        results.append({"title": title, "audio": peer.audio, "plain": plain, "barge": barge, "survived": survived})

    run = {
        "calls": arguments.calls,
        "secs": arguments.secs,
        "cores": os.cpu_count(),
        "peers": results,
    }
    (OUT / "compare.json").write_text(json.dumps(run, indent=2) + "\n")
    said = table(row(**result) for result in results)
    (OUT / "compare.md").write_text(said + "\n")
    print(said)
    print(f"{run['calls']} calls for {run['secs']} s each, {run['cores']} cores; all of it: {OUT}", file=sys.stderr)
    runs = [result[run] for result in results for run in ("plain", "barge", "survived")]
    return 1 if any(run is None or run.get("refused") for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
