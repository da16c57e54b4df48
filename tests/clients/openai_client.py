"""The official OpenAI client against a Realtime server, GA shape, Azure and OpenAI addresses.

    openai_client.py ws://127.0.0.1:8090 SPEECH.wav

The server must end its sessions after 25 to 120 seconds (`trunkline sim --die-after 40s --die-mode expire`): the last step waits for
that. Exit 0 only if everything held.
"""

import asyncio
import base64
import json
import sys
import time

from openai import AsyncOpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus

from telephone import Line, read_wav

RATE = 24_000
TOOL = {
    "type": "function",
    "name": "end_call",
    "description": "Hang up.",
    "parameters": {"type": "object", "properties": {"reason": {"type": "string"}}},
}


async def until(connection, kind, seen=None, seconds=30):
    """The next event of this type; those on the way go to `seen`."""
    async with asyncio.timeout(seconds):
        while True:
            event = await connection.recv()
            if seen is not None:
                seen.append(event)
            assert event.type != "error" or kind == "error", f"error while waiting for {kind}: {event}"
            if event.type == kind:
                return event


def audio_of(seen):
    return b"".join(base64.b64decode(event.delta) for event in seen if event.type == "response.output_audio.delta")


async def set_up(connection):
    created = await until(connection, "session.created")
    assert created.session.type == "realtime" and created.session.expires_at > time.time()
    pcm = {"type": "audio/pcm", "rate": RATE}
    detection = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 700,
        "create_response": True,
        "interrupt_response": True,
    }
    await connection.session.update(
        session={
            "type": "realtime",
            "instructions": "Answer briefly.",
            "output_modalities": ["audio"],
            "audio": {
                "input": {"format": pcm, "transcription": {"model": "whisper-1"}, "turn_detection": detection},
                "output": {"format": pcm, "voice": "marin"},
            },
            "tools": [TOOL],
        }
    )
    updated = (await until(connection, "session.updated")).session
    assert updated.audio.input.format.rate == RATE and updated.audio.output.voice == "marin", updated
    assert updated.audio.input.turn_detection.silence_duration_ms == 700
    return created.session.expires_at


async def spoken_turn(connection, line, speech):
    line.say(speech)
    seen = []
    started = await until(connection, "input_audio_buffer.speech_started", seen)
    stopped = await until(connection, "input_audio_buffer.speech_stopped", seen)
    committed = await until(connection, "input_audio_buffer.committed", seen)
    assert started.item_id == stopped.item_id == committed.item_id
    done = await until(connection, "response.done", seen)
    assert done.response.status == "completed", done
    heard = line.heard(started.audio_start_ms, stopped.audio_end_ms)
    assert audio_of(seen) == heard, "the parrot says exactly what it heard"
    if not any(event.type.endswith("transcription.completed") for event in seen):
        await until(connection, "conversation.item.input_audio_transcription.completed")
    print(f"turn: {len(heard) / line.bytes_per_ms / 1000:.2f} s heard and said back")


async def barge_in(connection, line, speech):
    line.say(speech * (1 + 8_000 * line.bytes_per_ms // len(speech)))
    delta = await until(connection, "response.output_audio.delta")
    line.hush()
    line.say(speech)
    seen = [delta]
    await until(connection, "input_audio_buffer.speech_started", seen)
    received = len(audio_of(seen)) // line.bytes_per_ms
    played = min(400, received)
    await connection.conversation.item.truncate(item_id=delta.item_id, content_index=0, audio_end_ms=played)
    tail = []
    truncated = None
    while not (truncated and any(event.type == "response.done" for event in tail)):
        event = await connection.recv()
        assert event.type != "error", event
        tail.append(event)
        if event.type == "conversation.item.truncated":
            truncated = event
    assert truncated.item_id == delta.item_id and truncated.audio_end_ms == played
    done = next(event for event in tail if event.type == "response.done")
    assert done.response.status == "cancelled" and done.response.status_details.reason == "turn_detected", done
    answered = await until(connection, "response.done")
    assert answered.response.status == "completed"
    print(f"barge-in: cancelled, truncated at {played} of {received} ms, new turn answered")


async def tool_call(connection):
    content = [{"type": "input_text", "text": '#tool end_call {"reason": "done"}'}]
    await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
    await connection.response.create()
    call = await until(connection, "response.function_call_arguments.done")
    assert json.loads(call.arguments) == {"reason": "done"}
    done = await until(connection, "response.done")
    assert done.response.output[0].type == "function_call" and done.response.output[0].name == "end_call"
    output = {"type": "function_call_output", "call_id": call.call_id, "output": '{"ok": true}'}
    await connection.conversation.item.create(item=output)
    await connection.response.create()
    seen = []
    await until(connection, "response.done", seen)
    assert audio_of(seen), "the tool's output is answered in sound"
    print("tool: called, answered")


async def expiry(connection, expires_at):
    assert expires_at - time.time() < 120, "the server's sessions live too long for this test"
    error = await until(connection, "error", seconds=expires_at - time.time() + 10)
    assert error.error.code == "session_expired", error
    assert abs(time.time() - expires_at) < 3, "expires_at was not true"
    try:
        await connection.recv()
        raise AssertionError("an event after expiry")
    except ConnectionClosed as closed:
        assert closed.rcvd is not None and closed.rcvd.code == 1001, closed
    print("expiry: announced, kept, closed with 1001")


async def on_azure(base, speech):
    client = AsyncOpenAI(api_key="any", websocket_base_url=f"{base}/openai/v1")
    async with client.realtime.connect(model="gpt-realtime", extra_headers={"api-key": "any"}) as connection:
        expires_at = await set_up(connection)

        async def send(packet):
            await connection.input_audio_buffer.append(audio=base64.b64encode(packet).decode())

        line = Line(RATE, send)
        await spoken_turn(connection, line, speech)
        await barge_in(connection, line, speech)
        await tool_call(connection)
        await expiry(connection, expires_at)
        await line.stop()


async def on_openai(base):
    client = AsyncOpenAI(api_key="any", websocket_base_url=f"{base}/v1")
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await set_up(connection)
        content = [{"type": "input_text", "text": "hello"}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await connection.response.create()
        limits = await until(connection, "rate_limits.updated")
        assert limits.rate_limits[0].name == "tokens"
        await connection.response.cancel()
        error = await until(connection, "error")
        assert error.error.code == "response_cancel_not_active"
    try:
        async with client.realtime.connect(model="gpt-realtime", extra_query={"api-version": "2025-04-01-preview"}):
            raise AssertionError("GA path with api-version was let in")
    except InvalidStatus as refused:
        assert refused.response.status_code == 404, refused
    print("OpenAI address: answered, rate limits told, mixed address refused")


async def main():
    base, wav = sys.argv[1].rstrip("/"), sys.argv[2]
    await on_openai(base)
    await on_azure(base, read_wav(wav, RATE))


asyncio.run(main())
