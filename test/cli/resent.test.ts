import net from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import { newOut, onlyLevel, readRun } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

type Mode = 'after' | 'next';

const servers: net.Server[] = [];
const sockets = new Set<net.Socket>();
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

/**
 * A server of HTTP/1.1 that ends each connection without a word: once it has answered a request on it, or as soon as the
 * next one has come. Its counters count every request that it has read to its end.
 */
async function startClosing(mode: Mode) {
  const counts = { requests: 0, input: 0, output: 0 };
  const server = net.createServer((socket) => {
    sockets.add(socket);
    let text = '';
    let answered = 0;
    socket.on('error', () => undefined);
    socket.on('data', async (bytes) => {
      text += bytes.toString('latin1');
      const headEnd = text.indexOf('\r\n\r\n');
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (headEnd < 0 || text.length < headEnd + 4 + length) return;
      const url = text.split(' ', 2)[1];
      const body = text.slice(headEnd + 4, headEnd + 4 + length);
      text = '';
      if (url !== '/v1/chat/completions') {
        const answer =
          url === '/v1/models'
            ? JSON.stringify({ data: [{ id: 'm', owned_by: 'vllm' }] })
            : `vllm:request_success_total ${counts.requests}\nvllm:prompt_tokens_total ${counts.input}\nvllm:generation_tokens_total ${counts.output}\n`;
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${answer.length}\r\n\r\n${answer}`);
        return;
      }
      const { messages, max_tokens: tokens } = JSON.parse(body) as {
        messages: { content: string }[];
        max_tokens: number;
      };
      const input = messages[0]!.content.split(/\s+/).filter(Boolean).length + 7;
      counts.requests++;
      counts.input += input;
      if (mode === 'next' && answered++ > 0) {
        socket.end();
        return;
      }
      counts.output += tokens;
      const put = (value: unknown): void => {
        const line = `data: ${typeof value === 'string' ? value : JSON.stringify(value)}\n\n`;
        socket.write(`${line.length.toString(16)}\r\n${line}\r\n`);
      };
      socket.write(
        'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n',
      );
      for (let i = 0; i < tokens; i++) {
        put({ choices: [{ delta: { content: ` w${i}` } }] });
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      put({ choices: [{ delta: {}, finish_reason: 'length' }] });
      put({ choices: [], usage: { prompt_tokens: input, completion_tokens: tokens } });
      put('[DONE]');
      socket.write('0\r\n\r\n');
      if (mode === 'after') socket.end();
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`, counts };
}

const SHAPE = ['--isl', '40', '--osl', '5', '--requests', '12', '--concurrency', '2', '--warmup', '0'];

describe('a server that ends kept connections without a word', () => {
  it.each([
    ['after', 'kernel'],
    ['after', 'socket'],
    ['after', 'undici'],
    ['next', 'kernel'],
    ['next', 'socket'],
    ['next', 'undici'],
  ] as const)('(%s) fails no request over the wire %s', async (mode, wire) => {
    const { url } = await startClosing(mode);
    const out = newOut();
    const ended = await benchHere(['run', '--url', url, ...SHAPE, '--wire', wire, '--out', out]);
    expect(ended.code).toBe(0);
    const run = readRun(out);
    const level = onlyLevel(run);
    expect(level.requests).toMatchObject({ sent: 12, good: 12, failed: 0 });
    const resent = run.records.filter((record) => record.resent).length;
    expect(level.requests.resent).toBe(resent);
    expect(run.summary[0]!['requests.resent']).toBe(`${resent}`);
    // All but the first requests on each connection; after an answer it depends on which is seen first.
    if (mode === 'next') expect(resent).toBeGreaterThan(0);
    if (resent > 0) expect(ended.stdout).toContain(`${resent} of 12 requests were sent a second time`);
    else expect(ended.stdout).not.toContain('a second time');
  });

  it('may count what was sent twice once or twice', async () => {
    const { url, counts } = await startClosing('next');
    const out = newOut();
    const ended = await benchHere(['run', '--url', url, ...SHAPE, '--out', out]);
    expect(ended.code).toBe(0);
    const level = onlyLevel(readRun(out));
    const { resent } = level.requests;
    expect(resent).toBeGreaterThan(0);
    expect(level.witness).toMatchObject({
      requests: { server: 12 + resent!, ours: 12, resent },
      reason: null,
    });
    expect(level.witness!.inputTokens!.server).toBeGreaterThan(level.witness!.inputTokens!.ours);
    expect(counts.requests).toBeGreaterThan(12);
    expect(level.validity.reasons.join()).not.toContain('the server counted');
    expect(ended.stdout).toMatch(
      /the server's own counters agree on requests, input tokens and output tokens/,
    );
  });

  it('has the same said of it by several load generators', async () => {
    const { url } = await startClosing('next');
    const out = newOut();
    const ended = await benchHere(['run', '--url', url, ...SHAPE, '--load-tasks', '2', '--out', out]);
    expect(ended.code).toBe(0);
    const run = readRun(out);
    const level = onlyLevel(run);
    expect(level.requests).toMatchObject({ sent: 12, failed: 0 });
    expect(level.requests.resent).toBe(run.records.filter((record) => record.resent).length);
    expect(level.requests.resent).toBeGreaterThan(0);
  });
});
