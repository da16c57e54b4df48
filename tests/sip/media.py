"""RTP (RFC 3550) of one call, from outside: an even clock of packets out, every packet that comes in kept."""

import dataclasses
import secrets
import socket
import struct
import threading
import time

import numpy as np

import quality

FRAME = 160
FRAME_S = 0.020
PCMU, EVENTS = 0, 101
KEYS = "0123456789*#ABCD"
# A struct timespec of the kernel, when the packet came (socket(7), SO_TIMESTAMPNS).
SO_TIMESTAMPNS = 35


@dataclasses.dataclass
class Packet:
    """One that came: when (s), from whom, and what."""

    at: float
    source: tuple
    kind: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(at, source, data):
    """None if it is no RTP."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    first, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
    return Packet(
        at, source, second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, data[12 + 4 * (first & 0xF) :]
    )


def receive(udp):
    """(when, from whom, what): waits for one datagram."""
    data, ancillary, _, source = udp.recvmsg(2048, 64)
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("qq", value[:16])
            return seconds + nanoseconds / 1e9, source, data
    raise RuntimeError("the kernel does not tell when packets come")


def bound(ip, port=0):
    """A UDP socket that knows when its packets came."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    try:
        udp.bind((ip, port))
    except OSError:
        udp.close()
        raise
    return udp


def bound_pair(ip):
    """Two of them, for RTP and RTCP: an even port and the next."""
    while True:
        first = bound(ip)
        port = first.getsockname()[1]
        try:
            if port % 2 == 0:
                return first, bound(ip, port + 1)
        except OSError:
            pass
        first.close()


class Line:
    """The sound of one call. What is said goes out on the 20 ms clock, silence where nothing is."""

    def __init__(self, ip="127.0.0.1"):
        self.rtp, self.rtcp = bound_pair(ip)
        self.address = self.rtp.getsockname()
        self.packets = []
        self.reports = []
        self._said = b""
        self._keys = []
        self._to = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._listen, args=(self.rtp, self._rtp), daemon=True),
            threading.Thread(target=self._listen, args=(self.rtcp, self._rtcp), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self):
        """Ends both directions."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.rtp.close()
        self.rtcp.close()

    def speak_to(self, address):
        """Begins to send there, silence first."""
        self._to = address
        thread = threading.Thread(target=self._speak, daemon=True)
        self._threads.append(thread)
        thread.start()

    def say(self, sound):
        """Says mu-law bytes once all said before is out."""
        with self._lock:
            self._said += sound

    def press(self, key):
        """Presses a key for 100 ms (RFC 4733)."""
        with self._lock:
            self._keys.append(key)

    def is_silent(self):
        """Whether all is said."""
        with self._lock:
            return not self._said and not self._keys

    def heard(self):
        """The sound that came, as int16 samples, each frame where its timestamp puts it; what never came is zero."""
        audio = [packet for packet in self.packets if packet.kind == PCMU]
        return place(audio)

    def _rtp(self, *received):
        packet = parse(*received)
        # A port may have been another call's a moment ago, whose other side does not know yet that it is gone.
        if packet and self._to in (None, packet.source):
            self.packets.append(packet)

    def _rtcp(self, *received):
        self.reports.append(received)

    def _listen(self, udp, keep):
        udp.settimeout(0.1)
        while not self._over.is_set():
            try:
                received = receive(udp)
            except TimeoutError:
                continue
            keep(*received)

    def _speak(self):
        ssrc, sequence, timestamp = secrets.randbits(32), secrets.randbits(15), secrets.randbits(31)
        event, is_first = None, True
        start = time.monotonic()
        for tick in range(1 << 31):
            if self._over.wait(max(0.0, start + tick * FRAME_S - time.monotonic())):
                return
            with self._lock:
                if event is None and self._keys:
                    # The code, where it began, and how many packets of it are out.
                    event = [KEYS.index(self._keys.pop(0)), timestamp, 0]
                frame = b""
                if event is None:
                    frame, self._said = self._said[:FRAME], self._said[FRAME:]
            if event is None:
                self._send(PCMU, is_first, sequence, timestamp, ssrc, frame.ljust(FRAME, b"\xff"))
                sequence += 1
                is_first = False
            else:
                code, began, count = event
                is_last = count == 4
                payload = struct.pack("!BBH", code, 0x8A if is_last else 0x0A, (count + 1) * FRAME)
                for _ in range(3 if is_last else 1):
                    self._send(EVENTS, count == 0, sequence, began, ssrc, payload)
                    sequence += 1
                event = None if is_last else [code, began, count + 1]
            timestamp += FRAME

    def _send(self, kind, marker, sequence, timestamp, ssrc, payload):
        second = kind | marker << 7
        head = struct.pack("!BBHII", 0x80, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        self.rtp.sendto(head + payload, self._to)


def place(audio):
    """int16 samples of packets of mu-law, each where its timestamp puts it; what never came is zero."""
    if not audio:
        return np.zeros(0, dtype=np.int16)
    first = audio[0].timestamp
    offsets = [(packet.timestamp - first) & 0xFFFFFFFF for packet in audio]
    samples = np.zeros(max(offsets) + FRAME, dtype=np.int16)
    for packet, offset in zip(audio, offsets):
        sound = quality.ulaw_decode(np.frombuffer(packet.payload, dtype=np.uint8))
        samples[offset : offset + len(sound)] = sound
    return samples


@dataclasses.dataclass
class Clock:
    """How even packets came: steps between neighbours that are no 160 units, and packets a second of arrival."""

    packets: int
    odd_steps: list
    rate: float

    def __str__(self):
        return f"{self.packets} packets, {self.rate:.3f} a second, {len(self.odd_steps)} odd steps of the timestamp"


def clock_of(audio):
    """The sender's clock by the kernel's times of arrival: the slope of the whole run, which no late packet bends."""
    steps = [
        (after.timestamp - before.timestamp) & 0xFFFFFFFF
        for before, after in zip(audio, audio[1:])
        if (after.sequence - before.sequence) & 0xFFFF == 1
    ]
    arrivals = np.array([packet.at for packet in audio])
    numbers = np.array([((packet.timestamp - audio[0].timestamp) & 0xFFFFFFFF) / FRAME for packet in audio])
    slope, _ = np.polyfit(arrivals - arrivals[0], numbers, 1)
    return Clock(len(audio), [step for step in steps if step != FRAME], float(slope))
