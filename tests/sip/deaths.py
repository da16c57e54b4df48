"""The model dies under a call by SIP: the model as a process, the application's API, an ear on the line."""

import http.server
import json
import re
import threading
import time

import numpy as np

import hearing
import media
import quality
import service
import stand

APPLICATION = "2f9d7c1a-6f3e-4b7d-9c55-7a1e3f0b8d21"
VOICE_CONNECTOR = "arn:aws:chime:us-east-1:111122223333:vc/fx7q2mvbd9k3htn5wz1rgy"
WEBHOOK_SECRET = "webhook-4714"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}
# What the first prompt may take and the line may be quiet beyond the pause, in seconds.
BOUND = 2.0
# Both zeros of mu-law.
SILENCE = b"\xff\x7f"

PROMPTS = [stand.ulaw(stand.ROOT / "config" / "prompts" / f"keepalive-{number}.wav") for number in (1, 2, 3)]
GOODBYE = stand.ulaw(stand.ROOT / "config" / "prompts" / "goodbye.wav")


def utterance():
    """A second of recorded speech as int16 samples, from its first sound on."""
    speech = quality.load(stand.SPEECH / "librivox_austen_0870_16k.wav")
    first = int(np.argmax(hearing.levels(speech) > 300)) * hearing.HOP
    return speech[first : first + quality.RATE]


SAID = utterance()


def voiced(recording):
    """(offset, bytes) of a recording without its silent edges."""
    sound = [at for at, code in enumerate(recording) if code not in SILENCE]
    return sound[0], recording[sound[0] : sound[-1] + 1]


class Ear:
    """What a line heard since a moment, packet by packet."""

    def __init__(self, line):
        self._line = line
        self._from = len(line.packets)

    def packets(self):
        return [packet for packet in self._line.packets[self._from :] if packet.kind == media.PCMU]

    def places(self, recording):
        """(first, last) packet of every time a recording is heard to its end, sample by sample."""
        sound = b"".join(packet.payload for packet in self.packets())
        _, voice = voiced(recording)
        found = (match.start() for match in re.finditer(re.escape(voice), sound))
        return [(at // media.FRAME, (at + len(voice) - 1) // media.FRAME) for at in found]

    def says_back(self):
        """Whether the model's reply is heard: the loudness over time of what was said."""
        heard, said = hearing.levels(media.place(self.packets())), hearing.levels(SAID)
        if len(heard) < len(said):
            return False
        windows = np.lib.stride_tricks.sliding_window_view(heard, len(said))
        windows = windows - windows.mean(axis=1, keepdims=True)
        said = said - said.mean()
        power = np.sqrt((windows**2).sum(axis=1) * (said**2).sum())
        return bool(((windows @ said) / np.maximum(power, 1.0)).max() > 0.9)

    def loud(self, first=0, last=None):
        """Numbers of the packets that are no silence."""
        numbered = list(enumerate(self.packets()))[first:last]
        return [number for number, packet in numbered if packet.payload.strip(SILENCE)]


class Model:
    """The simulator as a process that can be killed, and comes back at the same address."""

    def __init__(self, directory, *faults):
        self._log, self._faults = directory / "model", faults
        self._sim = None
        self.address = "127.0.0.1:0"
        self.start()

    def start(self):
        arguments = ["sim", "--listen", self.address, *self._faults]
        self._sim = service.Service(stand.BINARY, arguments, {"sim"}, self._log)
        self.address = self._sim.address["sim"]

    def kill(self):
        """When it was killed, by the clock of the packets."""
        now = time.time()
        self._sim.process.kill()
        self._sim.process.wait()
        self._sim.stop()
        return now

    def stop(self):
        self._sim.stop()


class Chime(http.server.ThreadingHTTPServer):
    """UpdateSipMediaApplicationCall, in its wire shape: each request is kept, and answered with the same status."""

    def __init__(self, status=202):
        super().__init__(("127.0.0.1", 0), Updates)
        self.status = status
        # (when, path, Authorization, Arguments)
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def commands(self):
        return [arguments["command"] for _, _, _, arguments in self.asked]


class Updates(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((time.time(), self.path, self.headers["Authorization"], body["Arguments"]))
        transaction = self.path.rsplit("/", 1)[1]
        answer = json.dumps({"SipMediaApplicationCall": {"TransactionId": transaction}}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def serve(log, model, api=None, **settings):
    """The service with a model at that address and, at `api`, the SIP media application."""
    known = {
        "realtime__url": f"ws://{model}/openai/v1/realtime?model=gpt-realtime",
        "realtime__api_key": "not-a-secret",
        "realtime__turn_detection__silence_duration_ms": "300",
        "sma__webhook_secret": WEBHOOK_SECRET,
        "sma__voice_connector_arn": VOICE_CONNECTOR,
        **settings,
    }
    if api:
        known["sma__application_id"] = APPLICATION
        known["sma__region"] = "us-east-1"
        known["sma__endpoint_url"] = f"http://127.0.0.1:{api.server_address[1]}"
    return stand.Trunkline(log, **known)


def unbroken(packets):
    """Fails unless there is one frame every 20 ms: by number, by time stamp and by the clock on the wall."""
    for before, after in zip(packets, packets[1:]):
        steps = (after.sequence - before.sequence) & 0xFFFF, (after.timestamp - before.timestamp) & 0xFFFFFFFF
        if steps != (1, media.FRAME):
            raise AssertionError(f"packet {before.sequence}: the next is {steps[0]} on, {steps[1]} samples later")
    if len({packet.ssrc for packet in packets}) != 1:
        raise AssertionError("more than one SSRC")
    due = (packets[-1].at - packets[0].at) / media.FRAME_S
    if abs(len(packets) - 1 - due) > max(10, len(packets) * 0.01):
        raise AssertionError(f"{len(packets)} packets came in the time of {due:.0f}")
