"""The service with its SIP leg, for tests: started, asked how it fares, stopped."""

import json
import os
import pathlib
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request

import soundfile

import ports
import quality
import service

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("TRUNKLINE_BINARY", ROOT / "target" / "debug" / "trunkline"))
FIXTURES = ROOT / "crates" / "sip" / "tests" / "fixtures" / "sip"
SPEECH = ROOT / "tests" / "fixtures" / "speech"
# Recorded speech that this repository cannot hold; `scripts/test speech` brings it.
LONG_SPEECH = pathlib.Path(os.environ.get("TRUNKLINE_SPEECH", ROOT / "target" / "test-speech")) / "demo-congrats.wav"

ECHO, REJECTED, MODEL = "6001", "6003", "6002"
ROUTES = f"""
[[routes]]
match = "{ECHO}"
kind = "echo"

[[routes]]
match = "{REJECTED}"
kind = "reject"

[[routes]]
match = "*"
kind = "model"
"""

# What the service is given to choose from.
RTP_PORTS = 200

# A finished transaction is remembered for 64 * T1 = 32 s (RFC 3261 section 17.2), and a little more, in seconds.
TRANSACTION = 40


class Trunkline(service.Service):
    """The service on free ports of loopback; further settings as `sip__require_srtp="true"`."""

    def __init__(self, log, networks="127.0.0.1/32", **settings):
        self._configuration = tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8")
        self._configuration.write(ROUTES)
        self._configuration.flush()
        rtp = ports.take(RTP_PORTS, 0)
        known = {
            "media__listen": "127.0.0.1:0",
            "admin__listen": "127.0.0.1:0",
            "sip__listen": "127.0.0.1:0",
            "sip__allowed_networks": networks,
            "sip__rtp_ports": f"{rtp}-{rtp + RTP_PORTS - 1}",
            **settings,
        }
        environment = {f"TRUNKLINE__{key.upper()}": value for key, value in known.items()}
        arguments = ["serve", "--config", self._configuration.name]
        self.log_file = pathlib.Path(log)
        super().__init__(BINARY, arguments, {"media", "admin", "sip"}, log, environment)

    def stop(self, patience=10.0):
        code = super().stop(patience)
        self._configuration.close()
        return code

    @property
    def sip(self):
        """(IP, port) of the SIP listener."""
        host, port = self.address["sip"].rsplit(":", 1)
        return host, int(port)

    def get(self, path):
        """The text of a page of the admin listener; None if there is none."""
        try:
            with urllib.request.urlopen(f"http://{self.address['admin']}{path}", timeout=10) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as refusal:
            if refusal.code == 404:
                return None
            raise

    def post(self, path):
        """Asks the admin listener to do something."""
        request = urllib.request.Request(f"http://{self.address['admin']}{path}", method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def call(self, call_id):
        """The CALL of this id, live or ended, with its timeline; None if there is none."""
        text = self.get(f"/admin/calls/{urllib.parse.quote(call_id)}")
        return json.loads(text) if text else None

    def ended(self, call_id):
        """The CALL of this id, once it has ended."""

        def over():
            call = self.call(call_id)
            return call if call and call["state"] == "ended" else None

        return service.wait_for(over, 20, f"the end of call {call_id}")

    def metric(self, name):
        """One number of /metrics."""
        found = re.search(rf"^trunkline_{name} ([0-9.e+]+)$", self.get("/metrics"), re.MULTILINE)
        if not found:
            raise RuntimeError(f"no trunkline_{name} in /metrics")
        return float(found.group(1))

    def held(self):
        """What calls hold, and the ports that none holds."""
        held = {name: self.metric(f"sip_{name}") for name in ("dialogs", "transactions", "ports_free")}
        held["calls"] = len(self.calls(ended=False))
        held["descriptors"] = len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return held


def ulaw(path):
    """A recording as mu-law bytes at 8 kHz."""
    return quality.ulaw_encode(quality.load(path)).tobytes()


def write_wav(path, samples):
    """Writes int16 samples at 8 kHz."""
    soundfile.write(path, samples, quality.RATE, subtype="PCM_16")
