"""The official Azure Voice Live client against a Realtime server, with 16 kHz audio both ways.

    voicelive_client.py ws://127.0.0.1:8090 SPEECH.wav

The server must end its sessions after 25 to 120 seconds, see openai_client.py. Exit 0 only if everything held.
"""

import asyncio
import base64
import json
import sys
import time

from azure.ai.voicelive.aio import ConnectionClosed, connect
from azure.ai.voicelive.models import (
    FunctionCallOutputItem,
    FunctionTool,
    InputAudioFormat,
    InputTextContentPart,
    Modality,
    OpenAIVoice,
    OutputAudioFormat,
    RequestSession,
    ServerEventType,
    ServerVad,
    UserMessageItem,
)
from azure.core.credentials import AzureKeyCredential

from telephone import Line, read_wav

RATE = 16_000


async def until(connection, kind, seen=None, seconds=30):
    """The next event of this type; those on the way go to `seen`."""
    async with asyncio.timeout(seconds):
        while True:
            event = await connection.recv()
            if seen is not None:
                seen.append(event)
            assert event.type != ServerEventType.ERROR or kind == ServerEventType.ERROR, f"waiting for {kind}: {event}"
            if event.type == kind:
                return event


def audio_of(seen):
    deltas = (event.delta for event in seen if event.type == ServerEventType.RESPONSE_AUDIO_DELTA)
    return b"".join(delta if isinstance(delta, bytes) else base64.b64decode(delta) for delta in deltas)


async def set_up(connection):
    created = await until(connection, ServerEventType.SESSION_CREATED)
    detection = ServerVad(
        threshold=0.5, prefix_padding_ms=300, silence_duration_ms=700, create_response=True, interrupt_response=True
    )
    tool = FunctionTool(name="end_call", description="Hang up.", parameters={"type": "object", "properties": {}})
    session = RequestSession(
        modalities=[Modality.TEXT, Modality.AUDIO],
        instructions="Answer briefly.",
        voice=OpenAIVoice(name="alloy"),
        input_audio_format=InputAudioFormat.PCM16,
        input_audio_sampling_rate=RATE,
        output_audio_format=OutputAudioFormat.PCM16_16000_HZ,
        turn_detection=detection,
        tools=[tool],
    )
    await connection.session.update(session=session)
    updated = (await until(connection, ServerEventType.SESSION_UPDATED)).session
    assert updated.input_audio_sampling_rate == RATE, updated
    assert updated.output_audio_format == OutputAudioFormat.PCM16_16000_HZ, updated
    assert updated.turn_detection.silence_duration_ms == 700, updated
    return created.session["expires_at"]


async def spoken_turn(connection, line, speech):
    line.say(speech)
    seen = []
    started = await until(connection, ServerEventType.INPUT_AUDIO_BUFFER_SPEECH_STARTED, seen)
    stopped = await until(connection, ServerEventType.INPUT_AUDIO_BUFFER_SPEECH_STOPPED, seen)
    await until(connection, ServerEventType.INPUT_AUDIO_BUFFER_COMMITTED, seen)
    done = await until(connection, ServerEventType.RESPONSE_DONE, seen)
    assert done.response.status == "completed", done
    heard = line.heard(started.audio_start_ms, stopped.audio_end_ms)
    assert audio_of(seen) == heard, "the parrot says exactly what it heard"
    print(f"turn: {len(heard) / line.bytes_per_ms / 1000:.2f} s heard and said back at 16 kHz")


async def barge_in(connection, line, speech):
    line.say(speech * (1 + 8_000 * line.bytes_per_ms // len(speech)))
    delta = await until(connection, ServerEventType.RESPONSE_AUDIO_DELTA)
    line.hush()
    line.say(speech)
    seen = [delta]
    await until(connection, ServerEventType.INPUT_AUDIO_BUFFER_SPEECH_STARTED, seen)
    received = len(audio_of(seen)) // line.bytes_per_ms
    played = min(400, received)
    await connection.conversation.item.truncate(item_id=delta.item_id, content_index=0, audio_end_ms=played)
    tail = []
    kinds = set()
    while not {ServerEventType.RESPONSE_DONE, ServerEventType.CONVERSATION_ITEM_TRUNCATED} <= kinds:
        event = await asyncio.wait_for(connection.recv(), 10)
        assert event.type != ServerEventType.ERROR, event
        tail.append(event)
        kinds.add(event.type)
    truncated = next(event for event in tail if event.type == ServerEventType.CONVERSATION_ITEM_TRUNCATED)
    assert truncated.item_id == delta.item_id and truncated.audio_end_ms == played
    done = next(event for event in tail if event.type == ServerEventType.RESPONSE_DONE)
    assert done.response.status == "cancelled" and done.response.status_details.reason == "turn_detected", done
    answered = await until(connection, ServerEventType.RESPONSE_DONE)
    assert answered.response.status == "completed", answered
    print(f"barge-in: cancelled, truncated at {played} of {received} ms, new turn answered")


async def tool_call(connection):
    text = InputTextContentPart(text='#tool end_call {"reason": "done"}')
    await connection.conversation.item.create(item=UserMessageItem(content=[text]))
    await connection.response.create()
    call = await until(connection, ServerEventType.RESPONSE_FUNCTION_CALL_ARGUMENTS_DONE)
    assert call.name == "end_call" and json.loads(call.arguments) == {"reason": "done"}, call
    await until(connection, ServerEventType.RESPONSE_DONE)
    output = FunctionCallOutputItem(call_id=call.call_id, output='{"ok": true}')
    await connection.conversation.item.create(item=output)
    await connection.response.create()
    seen = []
    await until(connection, ServerEventType.RESPONSE_DONE, seen)
    assert audio_of(seen), "the tool's output is answered in sound"
    print("tool: called, answered")


async def expiry(connection, expires_at):
    assert expires_at - time.time() < 120, "the server's sessions live too long for this test"
    error = await until(connection, ServerEventType.ERROR, seconds=expires_at - time.time() + 10)
    assert error.error.code == "session_expired", error
    assert abs(time.time() - expires_at) < 3, "expires_at was not true"
    try:
        await connection.recv()
        raise AssertionError("an event after expiry")
    except ConnectionClosed as closed:
        assert closed.code == 1001, closed
    print("expiry: announced, kept, closed with 1001")


async def main():
    endpoint, speech = sys.argv[1].replace("ws://", "http://"), read_wav(sys.argv[2], RATE)
    async with connect(endpoint=endpoint, credential=AzureKeyCredential("any"), model="gpt-realtime") as connection:
        expires_at = await set_up(connection)

        async def send(packet):
            await connection.input_audio_buffer.append(audio=base64.b64encode(packet).decode())

        line = Line(RATE, send)
        await spoken_turn(connection, line, speech)
        await barge_in(connection, line, speech)
        await tool_call(connection)
        await expiry(connection, expires_at)
        await line.stop()


asyncio.run(main())
