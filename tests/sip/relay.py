"""A bad network between a telephone and the service: seeded loss, delay and copies of what the telephone says.

The telephone calls the relay. Its SDP and the service's are rewritten, so that media pass here; what the service says
passes untouched and is kept, as it came.
"""

import dataclasses
import functools
import heapq
import itertools
import random
import re
import selectors
import threading
import time

import media
import messages


@dataclasses.dataclass
class Network:
    """What becomes of packets: parts of one, and seconds."""

    loss: float = 0.0
    jitter: float = 0.0
    copies: float = 0.0
    # Part of the packets that are held back by `held_back`, behind those that follow.
    reordered: float = 0.0
    held_back: float = 0.050


class Relay:
    """Between one telephone and `service`; runs until it is closed."""

    def __init__(self, service, network, seed, ip="127.0.0.1"):
        self.service = service
        self.network = network
        self.chance = random.Random(seed)
        # What the service said and the telephone said, as it came here.
        self.heard, self.said = [], []
        self.lost = 0
        self._ip = ip
        self._telephone = None
        # A pair of ports for each side, as (address, socket) of the side, RTP and RTCP.
        self._to = {}
        self._late, self._number = [], itertools.count()
        self._signalling = media.bound(ip)
        self.address = self._signalling.getsockname()
        self._near, self._far = media.bound_pair(ip), media.bound_pair(ip)
        self._selector = selectors.DefaultSelector()
        self._register(self._signalling, self._signal)
        for near, far in zip(self._near, self._far):
            self._register(near, functools.partial(self._from_telephone, far))
            self._register(far, functools.partial(self._from_service, near, far))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _register(self, udp, taken):
        self._selector.register(udp, selectors.EVENT_READ, taken)

    def close(self):
        self._over.set()
        self._thread.join()
        for udp in (self._signalling, *self._near, *self._far):
            udp.close()

    def _run(self):
        while not self._over.is_set():
            wait = self._late[0][0] - time.monotonic() if self._late else 0.1
            for key, _ in self._selector.select(min(max(wait, 0), 0.1)):
                key.data(*media.receive(key.fileobj))
            while self._late and self._late[0][0] <= time.monotonic():
                _, _, udp, to, data = heapq.heappop(self._late)
                udp.sendto(data, to)

    def _signal(self, _at, source, data):
        if source == self.service:
            self._forward(data, self._near, self._far, self._telephone)
        else:
            self._telephone = source
            self._forward(data, self._far, self._near, self.service)

    def _forward(self, data, ours, theirs, to):
        """Passes a message on; media that it wants at its sender's come to `ours` and go on by `theirs`."""
        message = messages.Message.parse(data)
        if message.body.startswith(b"v=0"):
            ip, port = message.media()
            for number, udp in enumerate(theirs):
                self._to[udp] = (ip, port + number)
            body = message.body.decode()
            rtp, rtcp = (udp.getsockname()[1] for udp in ours)
            body = re.sub(r"m=audio \d+", f"m=audio {rtp}", body)
            body = re.sub(r"a=rtcp:\d+[^\r]*", f"a=rtcp:{rtcp}", body)
            message.body = re.sub(r"c=IN IP4 \S+", f"c=IN IP4 {self._ip}", body).encode()
        self._signalling.sendto(message.to_bytes(), to)

    def _from_telephone(self, far, at, source, data):
        packet = media.parse(at, source, data)
        if packet and far is self._far[0]:
            self.said.append(packet)
        if far not in self._to:
            return
        network = self.network
        if self.chance.random() < network.loss:
            self.lost += far is self._far[0]
            return
        for _ in range(2 if self.chance.random() < network.copies else 1):
            wait = self.chance.uniform(0, network.jitter)
            if self.chance.random() < network.reordered:
                wait += network.held_back
            heapq.heappush(self._late, (time.monotonic() + wait, next(self._number), far, self._to[far], data))

    def _from_service(self, near, far, at, source, data):
        packet = media.parse(at, source, data)
        if packet and far is self._far[0]:
            self.heard.append(packet)
        if near in self._to:
            near.sendto(data, self._to[near])
