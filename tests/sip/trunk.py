"""A Voice Connector as the service meets it: INVITE to BYE over UDP, in the shape of the fixtures."""

import contextlib
import select
import socket
import time

import media
import messages
from messages import Message

SIGNALLING_S = 5.0


class Trunk:
    """Sends from one port and wants the service's own requests at another: the one of its Record-Route."""

    def __init__(self, service, ip="127.0.0.1"):
        self.service = service
        self.ip = ip
        self._sockets = {name: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for name in ("source", "route")}
        for udp in self._sockets.values():
            udp.bind((ip, 0))
        self.source = self._sockets["source"].getsockname()
        self.route = self._sockets["route"].getsockname()
        # Every message that came, and those that nobody asked for yet.
        self.seen = []
        self._waiting = []

    def close(self):
        for udp in self._sockets.values():
            udp.close()

    def send(self, message):
        """Sends a message, or bytes as they are, from the source port."""
        data = message if isinstance(message, bytes) else message.to_bytes()
        self._sockets["source"].sendto(data, self.service)

    def _read(self, seconds):
        """Takes what comes within that time; whether something came."""
        ready, _, _ = select.select(list(self._sockets.values()), [], [], max(0.0, seconds))
        for name, udp in self._sockets.items():
            if udp in ready:
                message = Message.parse(udp.recvfrom(65_535)[0])
                message.came_to = name
                self.seen.append(message)
                self._waiting.append(message)
        return bool(ready)

    def wait(self, wanted, what, seconds=SIGNALLING_S):
        """The first message that is `wanted` and was not waited for before."""
        deadline = time.monotonic() + seconds
        while True:
            for message in self._waiting:
                if wanted(message):
                    self._waiting.remove(message)
                    return message
            if not self._read(deadline - time.monotonic()) and time.monotonic() >= deadline:
                raise AssertionError(f"{what}: not within {seconds} s; came: {[m.start for m in self.seen]}")

    def final(self, request, seconds=SIGNALLING_S):
        """The final answer to a request."""

        def is_it(message):
            return (
                (message.status or 0) >= 200
                and message.get("Call-ID") == request.get("Call-ID")
                and message.get("CSeq") == request.get("CSeq")
            )

        return self.wait(is_it, f"an answer to {request.start}", seconds)

    def asked(self, method, call_id, seconds=SIGNALLING_S):
        """A request of the service's in a call."""

        def is_it(message):
            return message.method == method and message.get("Call-ID") == call_id

        return self.wait(is_it, f"a {method} of the service", seconds)

    def settle(self):
        """Waits until the service has answered all that was sent before: it works off one socket in order."""
        self.final(self.ask("OPTIONS"))

    def new_request(self, method, to="trunkline"):
        """A request outside of calls."""
        host = f"{self.service[0]}:{self.service[1]}"
        headers = [
            ("Via", f"SIP/2.0/UDP {self.source[0]}:{self.source[1]};branch={messages.branch()}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.ip}>;tag={messages.branch()[7:]}"),
            ("To", f"<sip:{to}@{host}>"),
            ("Call-ID", messages.branch()[7:]),
            ("CSeq", f"1 {method}"),
            ("User-Agent", "VineProx-v2.3"),
        ]
        return Message(f"{method} sip:{to}@{host} SIP/2.0", headers)

    def ask(self, method, to="trunkline"):
        """Sends one, and returns it."""
        request = self.new_request(method, to)
        self.send(request)
        return request

    def invite(self, to, sdp, fixture="invite-number-on-vc.sip", headers=()):
        """An INVITE that is not sent yet."""
        message = messages.invite(fixture, self.service, self.source, self.route, to, sdp)
        message.headers.extend(headers)
        return message

    def place(self, to, fixture="invite-number-on-vc.sip", headers=()):
        """A call that is up, with media both ways."""
        line = media.Line(self.ip)
        call = Call(self, line, self.invite(to, messages.offer(*line.address), fixture, headers))
        try:
            self.send(call.invite)
            call.answered(self.final(call.invite))
            call.acknowledge()
            line.speak_to(call.answer.media())
        except BaseException:
            line.close()
            raise
        return call

    @contextlib.contextmanager
    def placed(self, *arguments, **keywords):
        """The same, hung up in the end if it is not over by then."""
        call = self.place(*arguments, **keywords)
        try:
            yield call
        finally:
            call.end()


class Call:
    """One call of a trunk."""

    def __init__(self, trunk, line, invite):
        self.trunk = trunk
        self.line = line
        self.invite = invite
        self.call_id = invite.get("Call-ID")
        self.answer = None
        self.is_over = False
        self._cseq = int(invite.get("CSeq").split()[0])

    def answered(self, answer):
        """Takes the answer to the INVITE."""
        if answer.status != 200:
            self.acknowledge_refusal(answer)
            raise AssertionError(f"the call was answered with {answer.start}")
        self.answer = answer

    def _request(self, method, number):
        source = self.trunk.source
        contact = self.answer.get("Contact").strip("<>")
        headers = [
            ("Via", f"SIP/2.0/UDP {source[0]}:{source[1]};branch={messages.branch()}"),
            ("Via", self.invite.all("Via")[1]),
            ("Max-Forwards", "69"),
            ("From", self.invite.get("From")),
            ("To", self.answer.get("To")),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
        ]
        return Message(f"{method} {contact} SIP/2.0", headers)

    def request(self, method, sdp=None, headers=()):
        """A further request of this call, not sent yet."""
        self._cseq += 1
        request = self._request(method, self._cseq)
        if method in ("INVITE", "UPDATE"):
            request.headers.append(("Contact", self.invite.get("Contact")))
        if sdp:
            request.headers.append(("Content-Type", "application/sdp"))
            request.body = sdp
        request.headers.extend(headers)
        return request

    def again(self):
        """The INVITE is to be sent once more, as another request."""
        self._cseq += 1
        self.invite.put("CSeq", f"{self._cseq} INVITE")

    def acknowledge(self, number=None):
        """The ACK of a 200."""
        self.trunk.send(self._request("ACK", number or self._cseq))

    def acknowledge_refusal(self, refusal):
        """The ACK of anything else: of the INVITE's own branch."""
        kept = ("via", "from", "call-id", "max-forwards")
        ack = Message(
            self.invite.start.replace("INVITE", "ACK", 1), [h for h in self.invite.headers if h[0].lower() in kept]
        )
        ack.put("To", refusal.get("To"))
        ack.put("CSeq", f"{self._cseq} ACK")
        self.trunk.send(ack)

    def change(self, sdp, method="INVITE"):
        """Asks for other media; the answer, acknowledged."""
        request = self.request(method, sdp)
        self.trunk.send(request)
        answer = self.trunk.final(request)
        if method == "INVITE":
            self.acknowledge()
        return answer

    def hang_up(self):
        """BYE, answered."""
        request = self.request("BYE")
        self.trunk.send(request)
        answer = self.trunk.final(request)
        self.is_over = True
        return answer

    def hung_up(self, seconds=SIGNALLING_S):
        """The BYE of the service, answered."""
        bye = self.trunk.asked("BYE", self.call_id, seconds)
        self.trunk.send(messages.answer(bye, 200, "OK"))
        self.is_over = True
        return bye

    def end(self):
        """Over, whoever ends it."""
        if not self.is_over:
            self.hang_up()
        self.line.close()
