"""The bridges of the comparison, and how each is started: Twilio Media Streams in, OpenAI's Realtime protocol out."""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import service

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
TRUNKLINE = pathlib.Path(os.environ.get("TRUNKLINE_BINARY", TARGET / "release" / "trunkline")).resolve()
# Node looks for packages beside the script that it runs: scripts/compare copies agents.mjs to its packages.
NODE = TARGET / "compare-node"
AGENTS = ("@openai/agents", "@openai/agents-extensions")
# In seconds; pipecat's imports take long.
START_TIMEOUT = 120.0


def model_url(address):
    return f"ws://{address}/openai/v1/realtime?model=gpt-realtime"


@dataclasses.dataclass(frozen=True)
class Peer:
    """One bridge in one configuration."""

    name: str
    # What it speaks with the model: `pcmu` or `pcm16`.
    audio: str

    @property
    def title(self):
        """Its name and version, for people."""
        match self.name:
            case "trunkline":
                asked = subprocess.run([TRUNKLINE, "--version"], capture_output=True, text=True, check=True)
                return asked.stdout.strip()
            case "agents":
                packages = (NODE / "node_modules" / name / "package.json" for name in AGENTS)
                versions = (json.loads(package.read_text())["version"] for package in packages)
                return ", ".join(f"{name} {version}" for name, version in zip(AGENTS, versions))
            case _:
                return f"pipecat-ai {importlib.metadata.version('pipecat-ai')}"

    @property
    def key(self):
        return f"{self.name}-{self.audio}"

    def start(self, model, log):
        """A `service.Service`, whose calls come to `media_url` and whose model is at that address."""
        url = model_url(model)
        names, settings = {"media"}, {}
        match self.name:
            case "trunkline":
                command = [TRUNKLINE, "serve"]
                names = {"media", "admin"}
                settings = {
                    "TRUNKLINE__MEDIA__LISTEN": "127.0.0.1:0",
                    "TRUNKLINE__ADMIN__LISTEN": "127.0.0.1:0",
                    "TRUNKLINE__REALTIME__URL": url,
                    "TRUNKLINE__REALTIME__API_KEY": "compare",
                    "TRUNKLINE__REALTIME__AUDIO": self.audio,
                    "TRUNKLINE__LOG__FILTER": "warn",
                }
            case "agents":
                command = ["node", NODE / "agents.mjs", url]
                # It would send traces to its maker.
                settings = {"OPENAI_AGENTS_DISABLE_TRACING": "1", "NODE_ENV": "production"}
            case _:
                command = [sys.executable, ROOT / "benches" / "peers" / "pipecat_bot.py", url]
        return service.Service(command[0], command[1:], names, log, settings, START_TIMEOUT)


# In the order of the table. agents passes mu-law through and has no other way; pipecat always speaks PCM at 24 kHz.
PEERS = (Peer("trunkline", "pcmu"), Peer("trunkline", "pcm16"), Peer("agents", "pcmu"), Peer("pipecat", "pcm16"))


def media_url(bridge):
    return f"ws://{bridge.address['media']}/media-stream"
