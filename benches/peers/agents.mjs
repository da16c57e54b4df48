// @openai/agents with its Twilio transport, wired as its documentation has it: a WebSocket server, and for each call
// that comes to /media-stream a transport and a session of its own. Beyond the model's address only a voice is set, as
// their Twilio example does: without any `audio` this version asks the model for PCM, which callers can't be sent.
//
//     node agents.mjs ws://127.0.0.1:8090/openai/v1/realtime?model=gpt-realtime
//
// Prints `listening media ADDR`. Only errors are logged.

import { RealtimeAgent, RealtimeSession } from '@openai/agents/realtime';
import { TwilioRealtimeTransportLayer } from '@openai/agents-extensions';
import { WebSocketServer } from 'ws';

const [url] = process.argv.slice(2);
const agent = new RealtimeAgent({ name: 'Voice Assistant', instructions: 'You are a helpful agent on the telephone.' });
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/media-stream' });

server.on('connection', async (twilioWebSocket) => {
  const transport = new TwilioRealtimeTransportLayer({ twilioWebSocket, url });
  const session = new RealtimeSession(agent, { transport, config: { audio: { output: { voice: 'verse' } } } });
  session.on('error', ({ error }) => console.error('session:', error));
  try {
    await session.connect({ apiKey: 'compare' });
  } catch (error) {
    console.error('start of a session:', error);
    session.close();
    twilioWebSocket.close(1011);
  }
});

server.on('listening', () => console.log(`listening media 127.0.0.1:${server.address().port}`));
