"""What stands around the service here: a collector of traces, an HTTP tool, and a model that keeps to a script."""

import asyncio
import base64
import collections
import http.server
import json
import threading

import websockets.asyncio.server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse

Received = collections.namedtuple("Received", "path headers body")


class Listener(http.server.ThreadingHTTPServer):
    """Keeps every POST; answers with `answer`."""

    def __init__(self, answer, kind="application/json"):
        self.received = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.received.append(Received(self.path, dict(self.headers.items()), body))
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path=""):
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def close(self):
        self.shutdown()
        self.server_close()


class Collector(Listener):
    """An OTLP receiver over HTTP: reads what it is sent with the messages that OpenTelemetry publishes."""

    def __init__(self):
        super().__init__(ExportTraceServiceResponse().SerializeToString(), "application/x-protobuf")

    def resources(self):
        """Attributes of every resource that sent something."""
        return [attributes(group.resource.attributes) for group in self._groups()]

    def spans(self):
        """All spans so far."""
        return [span for group in self._groups() for scope in group.scope_spans for span in scope.spans]

    def _groups(self):
        requests = [ExportTraceServiceRequest.FromString(post.body) for post in self.received]
        return [group for request in requests for group in request.resource_spans]


def attributes(pairs):
    """As a dictionary. A key that stands twice is against the protocol."""
    keys = [pair.key for pair in pairs]
    assert len(keys) == len(set(keys)), f"keys stand more than once: {keys}"
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


class Model:
    """A speech model of the Realtime API. `script(socket)` runs when a session is set up.

    Each connection takes the next of `scripts`, and the last one serves all that follow. None turns it away.
    """

    def __init__(self, *scripts):
        self._scripts = list(scripts)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = None
        self._port = None
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def url(self):
        return f"ws://127.0.0.1:{self._port}/openai/v1/realtime?model=gpt-realtime"

    def close(self):
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self):
        self._over = asyncio.Event()
        async with websockets.asyncio.server.serve(self._session, "127.0.0.1", 0) as server:
            self._port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._over.wait()

    async def _session(self, socket):
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        if script is None:
            await socket.close(1013, "try again later")
            return
        await send(socket, "session.created", session={"id": "sess_1", "type": "realtime"})
        update = await expect(socket, "session.update")
        await send(socket, "session.updated", session={"id": "sess_1", **update["session"]})
        await script(socket)
        await socket.wait_closed()


async def send(socket, kind, **rest):
    """One event of the model's."""
    await socket.send(json.dumps({"type": kind, "event_id": "event_1", **rest}))


async def expect(socket, kind):
    """The next event of that kind."""
    async for message in socket:
        event = json.loads(message)
        if event["type"] == kind or event.get("item", {}).get("type") == kind:
            return event
    raise AssertionError(f"the service left before {kind}")


async def turn(socket, item):
    """The caller spoke, and is silent now."""
    await send(socket, "input_audio_buffer.speech_started", item_id=item, audio_start_ms=0)
    await send(socket, "input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=100)
    await send(socket, "input_audio_buffer.committed", item_id=item, previous_item_id=None)


async def answer(socket, response, seconds):
    """Silence that long, as an answer; not its end."""
    item = f"item_of_{response}"
    await send(socket, "response.created", response={"id": response, "status": "in_progress", "output": []})
    await send(
        socket,
        "response.output_item.added",
        response_id=response,
        output_index=0,
        item={"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []},
    )
    place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
    delta = base64.b64encode(bytes(int(48_000 * seconds))).decode()
    await send(socket, "response.output_audio.delta", delta=delta, **place)
    await send(socket, "response.output_audio.done", **place)


async def done(socket, response, status="completed", output=()):
    """The end of an answer."""
    await send(socket, "response.done", response={"id": response, "status": status, "output": list(output)})
