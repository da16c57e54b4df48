"""pipecat with its Twilio serializer and OpenAI's Realtime service, wired as its documentation and Twilio example are.

    python pipecat_bot.py ws://127.0.0.1:8090/openai/v1/realtime?model=gpt-realtime

Calls come to /media-stream, each with a pipeline of its own. Prints `listening media ADDR`. Two things of the example
are left out: the hang-up by Twilio's REST API, since there is no Twilio, and the greeting, since no other peer greets.
"""

import contextlib
import socket
import sys
import urllib.parse

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner


def model(url):
    """The service for one call. It joins address and model by itself."""
    address, query = url.split("?")
    return OpenAIRealtimeLLMService(
        api_key="compare",
        base_url=address,
        settings=OpenAIRealtimeLLMService.Settings(
            model=urllib.parse.parse_qs(query)["model"][0],
            system_instruction="You are a helpful agent on the telephone.",
        ),
    )


async def converse(websocket, url):
    """One call, from its first message to its last."""
    _, call = await parse_telephony_websocket(websocket)
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=TwilioFrameSerializer(
                stream_sid=call["stream_id"],
                call_sid=call["call_id"],
                params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
            ),
        ),
    )
    user, assistant = LLMContextAggregatorPair(LLMContext())
    worker = PipelineWorker(
        Pipeline([transport.input(), user, model(url), transport.output(), assistant]),
        # As the example has it for Twilio: one resampling each way, the least there is.
        params=PipelineParams(audio_in_sample_rate=8000, audio_out_sample_rate=8000),
    )

    @transport.event_handler("on_client_disconnected")
    async def on_client_disconnected(transport, client):
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


def main():
    (url,) = sys.argv[1:]
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    # It takes connections from here on; they wait until the server reads them.
    listener = socket.create_server(("127.0.0.1", 0))

    @contextlib.asynccontextmanager
    async def announce(_):
        print("listening media 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
        yield

    app = FastAPI(lifespan=announce)

    @app.websocket("/media-stream")
    async def media_stream(websocket: WebSocket):
        await websocket.accept()
        await converse(websocket, url)

    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
