"""Starts the built `trunkline` for tests, and stops it again."""

import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.request


class Service:
    """A running `trunkline` command, with ports of its own choice.

    Waits for the `listening NAME ADDR` lines of all `names`; `address[NAME]` has them then. It runs in an empty
    directory, so that no local configuration file is read.
    """

    def __init__(self, binary, arguments, names, log, settings=None, start_timeout=20.0):
        self.address = {}
        self._ready = threading.Event()
        self._names = set(names)
        self._directory = tempfile.TemporaryDirectory(prefix="trunkline-")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("TRUNKLINE")}
        environment.update(settings or {})
        self._log = open(log, "w", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(binary), *arguments],
            cwd=self._directory.name,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()
        if not self._ready.wait(start_timeout) or not self._names <= self.address.keys():
            missing = ", ".join(sorted(self._names - self.address.keys()))
            self.stop()
            raise RuntimeError(f"not listening after {start_timeout:.0f} s: {missing}; see {log}")

    def _read(self):
        for line in self.process.stdout:
            words = line.split()
            if len(words) == 3 and words[0] == "listening":
                self.address[words[1]] = words[2]
                if self._names <= self.address.keys():
                    self._ready.set()
        self._ready.set()
        self.process.stdout.close()

    def calls(self, ended=True):
        """The CALL objects of the admin listener."""
        query = "?state=ended" if ended else ""
        with urllib.request.urlopen(f"http://{self.address['admin']}/admin/calls{query}", timeout=10) as answer:
            return json.load(answer)["calls"]

    def stop(self, patience=10.0):
        """Ends it: politely twice (the second time cuts live calls), then for good. Returns the exit code."""
        for _ in range(2):
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(patience / 2)
                except subprocess.TimeoutExpired:
                    pass
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log.close()
        self._directory.cleanup()
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def serve(binary, log, settings=None):
    """`trunkline serve` on free loopback ports, with the embedded simulator as its model."""
    return Service(
        binary,
        ["serve"],
        {"media", "admin"},
        log,
        {"TRUNKLINE__MEDIA__LISTEN": "127.0.0.1:0", "TRUNKLINE__ADMIN__LISTEN": "127.0.0.1:0", **(settings or {})},
    )


def wait_for(condition, seconds, what):
    """Polls `condition` until it gives something true, and returns that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise RuntimeError(f"{what}: not within {seconds} s")
