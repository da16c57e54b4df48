"""SIP messages (RFC 3261): read, and written in the shape of a Voice Connector's."""

import hashlib
import re
import secrets
import uuid

import stand


class Message:
    """A start line, headers in order, a body."""

    def __init__(self, start, headers, body=b""):
        self.start = start
        self.headers = headers
        self.body = body
        # Whom it came to, where that matters: the name of a socket.
        self.came_to = None

    @classmethod
    def parse(cls, data):
        head, _, body = data.partition(b"\r\n\r\n")
        # Strangers' bytes come back in answers to what cannot be read.
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = []
        for line in lines:
            name, _, value = line.partition(":")
            headers.append((name.strip(), value.strip()))
        return cls(start, headers, body)

    @property
    def status(self):
        """The status of an answer; None for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else None

    @property
    def method(self):
        """The method of a request; None for an answer."""
        return None if self.status else self.start.split()[0]

    def all(self, name):
        """The values of all headers of that name, in order."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name):
        """The first of them; None if there is none."""
        return next(iter(self.all(name)), None)

    def put(self, name, value):
        """Sets a header, in its place or at the end."""
        for position, (known, _) in enumerate(self.headers):
            if known.lower() == name.lower():
                self.headers[position] = (known, value)
                return
        self.headers.append((name, value))

    def tag(self, name):
        """The tag of From or To; None if it has none."""
        _, found, tag = self.get(name).partition(";tag=")
        return tag.split(";")[0] if found else None

    def media(self):
        """(IP, port) where the SDP wants its audio."""
        lines = self.body.decode().splitlines()
        address = next(line for line in lines if line.startswith("c=")).split()[2]
        port = next(line for line in lines if line.startswith("m=audio ")).split()[1]
        return address, int(port)

    def to_bytes(self):
        self.put("Content-Length", str(len(self.body)))
        lines = [self.start, *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body


def branch():
    return f"z9hG4bK{secrets.token_hex(8)}"


def offer(ip, port, direction="sendrecv", codecs=("0 PCMU/8000",), version=271828):
    """SDP as a Voice Connector offers it, with other codecs or another direction."""
    types = " ".join(codec.split()[0] for codec in codecs)
    lines = [
        "v=0",
        f"o=Sonus_UAC 412345 {version} IN IP4 {ip}",
        "s=SIP Media Capabilities",
        f"c=IN IP4 {ip}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {types} 101",
        *(f"a=rtpmap:{codec}" for codec in codecs),
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-15",
        f"a={direction}",
        f"a=rtcp:{port + 1}",
        "a=ptime:20",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def invite(fixture, service, source, route, to, sdp):
    """The INVITE of a fixture, from and to other addresses: (IP, port) each."""
    message = Message.parse((stand.FIXTURES / fixture).read_bytes())
    host = f"{service[0]}:{service[1]}"
    message.start = f"INVITE sip:{to}@{host};transport=UDP SIP/2.0"
    vias = iter([f"SIP/2.0/UDP {source[0]}:{source[1]};branch={branch()}", None])
    message.headers = [
        (name, (next(vias) or value) if name == "Via" else value) for name, value in message.headers
    ]
    _, parameters = message.get("Record-Route").split(";", 1)
    message.put("Record-Route", f"<sip:{route[0]}:{route[1]};{parameters}")
    message.put("From", message.get("From").split(";tag=")[0] + f";tag={secrets.token_hex(4)}")
    message.put("To", f"<sip:{to}@{host}>;transport=UDP")
    message.put("Call-ID", str(uuid.uuid4()))
    message.body = sdp
    return message


def answer(request, status, phrase, tag=None, headers=()):
    """An answer to a request."""
    kept = ("via", "record-route", "from", "to", "call-id", "cseq")
    answer = Message(f"SIP/2.0 {status} {phrase}", [h for h in request.headers if h[0].lower() in kept])
    if tag and not request.tag("To"):
        answer.put("To", f"{request.get('To')};tag={tag}")
    answer.headers.extend(headers)
    return answer


def credentials(challenge, username, password, request):
    """The Authorization that answers a WWW-Authenticate (RFC 7616, with qop=auth)."""
    found = re.findall(r'([\w-]+)=(?:"([^"]*)"|([^\s,]+))', challenge)
    told = {name.lower(): quoted or bare for name, quoted, bare in found}
    algorithm = told.get("algorithm", "MD5")
    digest = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[algorithm]
    method, uri, _ = request.start.split(" ")
    client = secrets.token_hex(8)

    def hashed(*parts):
        return digest(":".join(parts).encode()).hexdigest()

    secret, what = hashed(username, told["realm"], password), hashed(method, uri)
    response = hashed(secret, told["nonce"], "00000001", client, "auth", what)
    known = {"username": username, "realm": told["realm"], "nonce": told["nonce"], "uri": uri, "response": response}
    quoted = [f'{name}="{value}"' for name, value in {**known, "cnonce": client}.items()]
    return "Digest " + ", ".join([*quoted, f"algorithm={algorithm}", "qop=auth", "nc=00000001"])
