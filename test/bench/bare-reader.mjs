// The least that a client on Node's sockets costs: opens streams, counts bytes, looks at nothing else.
// `node bare-reader.mjs PORT STREAMS REQUESTS TOKENS`; prints seconds and CPU seconds as JSON.
import net from 'node:net';

const [port = 0, streams = 0, requests = 0, tokens = 0] = process.argv.slice(2).map(Number);
const END = '0\r\n\r\n';
const buffer = Buffer.allocUnsafeSlow(256 * 1024);
const body = JSON.stringify({
  model: 'm',
  messages: [{ role: 'user', content: 'x' }],
  max_tokens: tokens,
  stream: true,
});
const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
const startMs = performance.now();
const startCpu = process.cpuUsage();
let sent = 0;
let ended = 0;

for (let i = 0; i < streams; i++) {
  // The end mark may come in two reads.
  let tail = '';
  const socket = net.connect({
    host: '127.0.0.1',
    port,
    onread: {
      buffer,
      callback: (bytes) => {
        tail = (tail + buffer.latin1Slice(Math.max(0, bytes - END.length), bytes)).slice(-END.length);
        if (tail === END) next();
        return true;
      },
    },
  });
  socket.setNoDelay(true);
  const next = () => {
    if (++ended === requests) finish();
    else send();
  };
  const send = () => {
    if (sent < requests) socket.write(`${head}x-request-id: ${sent++}\r\n\r\n${body}`);
  };
  send();
}

function finish() {
  const { user, system } = process.cpuUsage(startCpu);
  console.log(
    JSON.stringify({ elapsedS: (performance.now() - startMs) / 1_000, cpuS: (user + system) / 1e6 }),
  );
  process.exit(0);
}
