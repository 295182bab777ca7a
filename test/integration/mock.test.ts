import { connect } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { listenStamped } from '../../src/commands/mock-listener.ts';
import { type MockServer, type MockTokenizer, parseMockOptions, startMock } from '../../src/mock/server.ts';

const countWords = (text: string): number => text.split(/\s+/).filter((word) => word !== '').length;
/** Whitespace words, and 3 tokens of template for each message. */
const TOKENIZER: MockTokenizer = {
  count: countWords,
  countPrompt: (messages) => messages.reduce((total, { content }) => total + 3 + countWords(content), 0),
  words: ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta'],
};
const FAST = { port: 0, ttft: '2ms', step: '1ms' };

/** Everything holds for both: the kernel's stamps are not to be seen in what the server answers. */
const LISTENERS = [
  ['stamped by the kernel', listenStamped],
  ['read by Node', null],
] as const;

let listener: (typeof LISTENERS)[number][1] = null;
let server: MockServer | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

async function start(flags: Record<string, unknown> = {}): Promise<string> {
  server = await startMock(parseMockOptions({ ...FAST, ...flags }), TOKENIZER, listener);
  return server.url;
}

const CHAT = {
  model: 'mock',
  messages: [{ role: 'user', content: 'one two three four' }],
  stream: true,
  max_tokens: 6,
  stream_options: { include_usage: true },
};

function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
  path = '/v1/chat/completions',
): Promise<Response> {
  return fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

interface Chunk {
  readonly id: string;
  readonly object: string;
  readonly model: string;
  readonly error?: { readonly message: string; readonly code: number };
  readonly choices: readonly {
    readonly text?: string;
    readonly delta?: {
      readonly role?: string;
      readonly content?: string;
      readonly reasoning_content?: string;
    };
    readonly finish_reason: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly total_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
}

/** The data of each event, for any line end; comments are left out. */
function dataOf(body: string): string[] {
  return body
    .split(/\r?\n\r?\n/)
    .filter((block) => block.startsWith('data: '))
    .map((block) => block.slice(6));
}

const chunksOf = (body: string): Chunk[] =>
  dataOf(body)
    .filter((data) => data !== '[DONE]')
    .map((data) => JSON.parse(data) as Chunk);

const textOf = (chunks: readonly Chunk[]): string =>
  chunks
    .map(
      (chunk) =>
        (chunk.choices[0]?.delta?.reasoning_content ?? '') +
        (chunk.choices[0]?.delta?.content ?? chunk.choices[0]?.text ?? ''),
    )
    .join('');

/** Sends a request over a bare socket and gives all that comes until the connection ends, or `quietMs` of silence. */
function rawPost(
  url: string,
  body: unknown,
  headers = '',
  quietMs = 0,
): Promise<{ text: string; end: string; reads: number }> {
  const { hostname, port } = new URL(url);
  const payload = JSON.stringify(body);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port) });
    let text = '';
    let reads = 0;
    const finish = (end: string): void => {
      resolve({ text, end, reads });
      socket.destroy();
    };
    if (quietMs > 0) socket.setTimeout(quietMs, () => finish('silence'));
    socket.setEncoding('utf8');
    socket.on('data', (part: string) => {
      text += part;
      reads++;
    });
    socket.on('end', () => finish('fin'));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'error'));
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\nContent-Length: ${Buffer.byteLength(payload)}\r\n${headers}\r\n${payload}`,
    );
  });
}

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^bench_mock_${name} (.*)$`, 'm').exec(text)![1]);
}

describe.each(LISTENERS)('%s', (_name, one) => {
  beforeAll(() => {
    listener = one;
  });

  describe('side pages', () => {
    it('lists its model and says that it is well', async () => {
      const url = await start({ model: 'some/model' });
      const models = (await (await fetch(`${url}/v1/models`)).json()) as {
        object: string;
        data: { id: string; owned_by: string }[];
      };
      expect(models.object).toBe('list');
      expect(models.data).toMatchObject([{ id: 'some/model', object: 'model', owned_by: 'bench-mock' }]);
      expect((await fetch(`${url}/health`)).status).toBe(200);
      expect((await fetch(`${url}/live`)).status).toBe(200);
    });

    it('answers OpenAI error bodies', async () => {
      const url = await start();
      const cases: [Promise<Response>, number, RegExp][] = [
        [fetch(`${url}/nothing`), 404, /no such path/],
        [fetch(`${url}/v1/chat/completions`), 405, /GET/],
        [fetch(`${url}/v1/models`, { method: 'DELETE' }), 405, /DELETE/],
        [post(url, '{"model":'), 400, /not valid JSON/],
        [post(url, '[]'), 400, /not a JSON object/],
        [post(url, { ...CHAT, model: 'other' }), 404, /`other` does not exist/],
        [post(url, { ...CHAT, messages: [] }), 400, /messages/],
        [post(url, { ...CHAT, messages: [{ role: 'user' }] }), 400, /messages\[0\]/],
        [post(url, { ...CHAT, max_tokens: 0 }), 400, /max_tokens/],
        [post(url, { ...CHAT, min_tokens: 7 }), 400, /min_tokens/],
        [post(url, { ...CHAT, stream: 'yes' }), 400, /stream/],
        [post(url, { ...CHAT, n: 2 }), 400, /n: only 1/],
        [post(url, { model: 'mock' }, {}, '/v1/completions'), 400, /prompt/],
        [post(url, CHAT, { 'x-mock-fault': 'explode' }), 400, /explode/],
      ];
      for (const [answer, status, message] of cases) {
        const response = await answer;
        const body = (await response.json()) as { error: { message: string; type: string; code: unknown } };
        expect(body.error.message).toMatch(message);
        expect(response.status).toBe(status);
        expect(body.error.type).toBeTypeOf('string');
        expect(body.error).toHaveProperty('code');
      }
    });

    it('counts requests and tokens', async () => {
      const url = await start();
      await (await post(url, CHAT)).text();
      await (await post(url, { ...CHAT, stream: false, max_tokens: 4 })).text();
      expect(await metric(url, 'requests_total')).toBe(2);
      expect(await metric(url, 'prompt_tokens_total')).toBe(14);
      expect(await metric(url, 'generation_tokens_total')).toBe(10);
      expect(await metric(url, 'requests_running')).toBe(0);
    });
  });

  describe('streams', () => {
    it('has a chunk for each token, then the end, usage and [DONE]', async () => {
      const url = await start();
      const response = await post(url, CHAT, { 'x-request-id': 'my-id' });
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
      expect(response.headers.get('x-request-id')).toBe('my-id');
      const body = await response.text();
      const events = dataOf(body);
      const chunks = chunksOf(body);
      expect(events).toHaveLength(9);
      expect(events.at(-1)).toBe('[DONE]');
      expect(new Set(chunks.map((chunk) => chunk.id)).size).toBe(1);
      expect(chunks[0]).toMatchObject({
        id: expect.stringMatching(/^chatcmpl-/),
        object: 'chat.completion.chunk',
        model: 'mock',
      });
      for (const chunk of chunks.slice(0, 6)) {
        expect(chunk.choices[0]!.delta!.content).toMatch(/^ [a-z]+$/);
        expect(chunk.choices[0]!.finish_reason).toBeNull();
        expect(chunk.usage).toBeUndefined();
      }
      expect(chunks[6]!.choices).toEqual([{ index: 0, delta: {}, finish_reason: 'length' }]);
      expect(chunks[7]!.choices).toEqual([]);
      expect(chunks[7]!.usage).toEqual({
        prompt_tokens: 7,
        completion_tokens: 6,
        total_tokens: 13,
        prompt_tokens_details: { cached_tokens: 0 },
      });
      expect(countWords(textOf(chunks))).toBe(6);
    });

    it('is never early', async () => {
      const url = await start({ ttft: '60ms', step: '7ms' });
      const sentAtMs = performance.now();
      const response = await post(url, { ...CHAT, max_tokens: 5 });
      const reader = response.body!.getReader();
      await reader.read();
      expect(performance.now() - sentAtMs).toBeGreaterThanOrEqual(60);
      while (!(await reader.read()).done);
      expect(performance.now() - sentAtMs).toBeGreaterThanOrEqual(60 + 4 * 7);
    });

    it('sends cumulative usage on request', async () => {
      const url = await start();
      const chunks = chunksOf(
        await (
          await post(url, {
            ...CHAT,
            max_tokens: 3,
            stream_options: { include_usage: true, continuous_usage_stats: true },
          })
        ).text(),
      );
      expect(chunks.map((chunk) => chunk.usage?.completion_tokens)).toEqual([1, 2, 3, 3, 3]);
      expect(chunks.every((chunk) => chunk.usage?.prompt_tokens === 7)).toBe(true);
    });

    it('sends none where it was not asked for, or never', async () => {
      const plain = await start();
      expect(await (await post(plain, { ...CHAT, stream_options: undefined })).text()).not.toContain('usage');
      await server!.close();
      const never = await start({ usage: false });
      const body = await (
        await post(never, { ...CHAT, stream_options: { include_usage: true, continuous_usage_stats: true } })
      ).text();
      expect(body).not.toContain('usage');
    });

    it('does role chunks, reasoning, several tokens per chunk and no [DONE]', async () => {
      const url = await start({ 'role-chunk': true, reasoning: 3, 'tokens-per-chunk': '1,3', done: false });
      const body = await (await post(url, { ...CHAT, max_tokens: 8 })).text();
      const deltas = chunksOf(body)
        .slice(0, 5)
        .map((chunk) => chunk.choices[0]!.delta!);
      expect(deltas[0]).toEqual({ role: 'assistant', content: '' });
      const words = deltas
        .slice(1)
        .map(({ reasoning_content: thought, content }) => [
          countWords(thought ?? ''),
          countWords(content ?? ''),
        ]);
      expect(words).toEqual([
        [1, 0],
        [2, 1],
        [0, 1],
        [0, 3],
      ]);
      expect(body).not.toContain('[DONE]');
      expect(body).toContain('"finish_reason":"length"');
    });

    it('serves the old completions API and token ids', async () => {
      const url = await start();
      const chunks = chunksOf(
        await (await post(url, { ...CHAT, prompt: 'a b c' }, {}, '/v1/completions')).text(),
      );
      expect(chunks[0]!.object).toBe('text_completion');
      expect(countWords(textOf(chunks))).toBe(6);
      expect(chunks.at(-1)!.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 6 });
      const ids = await post(
        url,
        { model: 'mock', prompt: [5, 6, 7, 8], max_tokens: 2 },
        {},
        '/v1/completions',
      );
      expect(await ids.json()).toMatchObject({
        object: 'text_completion',
        usage: { prompt_tokens: 4, completion_tokens: 2 },
      });
    });

    it('answers in one body where no stream is asked for, 16 tokens where no length is', async () => {
      const url = await start({ reasoning: 2 });
      const whole = (await (await post(url, { model: 'mock', messages: CHAT.messages })).json()) as {
        choices: { message: { content: string; reasoning_content: string }; finish_reason: string }[];
        usage: unknown;
      };
      expect(countWords(whole.choices[0]!.message.content)).toBe(14);
      expect(countWords(whole.choices[0]!.message.reasoning_content)).toBe(2);
      expect(whole.choices[0]!.finish_reason).toBe('length');
      expect(whole.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 16, total_tokens: 23 });
    });

    it('ends before max_tokens by seed, unless ignore_eos or min_tokens forbid it', async () => {
      const url = await start({ 'eos-mean': 4, ttft: '1ms', step: '0.01ms' });
      const ask = async (i: number, extra: object): Promise<{ tokens: number; reason: string }> => {
        const body = await (
          await post(url, {
            ...CHAT,
            messages: [{ role: 'user', content: `p ${i}` }],
            max_tokens: 60,
            ...extra,
          })
        ).text();
        const chunks = chunksOf(body);
        return { tokens: countWords(textOf(chunks)), reason: chunks.at(-2)!.choices[0]!.finish_reason! };
      };
      const numbers = Array.from({ length: 40 }, (_, i) => i);
      const free = await Promise.all(numbers.map((i) => ask(i, {})));
      expect(new Set(free.map(({ tokens }) => tokens)).size).toBeGreaterThan(3);
      expect(free.every(({ reason, tokens }) => reason === (tokens < 60 ? 'stop' : 'length'))).toBe(true);
      expect(await Promise.all(numbers.map((i) => ask(i, {})))).toEqual(free);
      const floored = await Promise.all(numbers.map((i) => ask(i, { min_tokens: 20 })));
      expect(Math.min(...floored.map(({ tokens }) => tokens))).toBe(20);
      const forced = await Promise.all(numbers.map((i) => ask(i, { ignore_eos: true })));
      expect(forced.every(({ tokens, reason }) => tokens === 60 && reason === 'length')).toBe(true);
    });

    it('reports a prompt seen before as cached, all but what is beyond its last block', async () => {
      const url = await start();
      const content = 'word '.repeat(100);
      const ask = async (text: string): Promise<number> =>
        chunksOf(await (await post(url, { ...CHAT, messages: [{ role: 'user', content: text }] })).text()).at(
          -1,
        )!.usage!.prompt_tokens_details.cached_tokens;
      expect(await ask(content)).toBe(0);
      // "user\n" + 500 characters + "\n" are 506, of which 7 blocks of 64 are known: floor(103 · 448 / 506).
      expect(await ask(content)).toBe(91);
      expect(await ask(`else ${content}`)).toBe(0);
      await server!.close();
      const off = await start({ 'prefix-cache': false });
      await post(off, { ...CHAT, messages: [{ role: 'user', content }] });
      const again = chunksOf(
        await (await post(off, { ...CHAT, messages: [{ role: 'user', content }] })).text(),
      );
      expect(again.at(-1)!.usage!.prompt_tokens_details.cached_tokens).toBe(0);
    });

    it('refuses a request that can never fit into the KV cache', async () => {
      const url = await start({ ttft: undefined, 'kv-tokens': 12 });
      expect((await post(url, CHAT)).status).toBe(400);
      expect((await post(url, { ...CHAT, max_tokens: 5 })).status).toBe(200);
    });

    it('refuses fields as told', async () => {
      const url = await start({ 'refuse-unknown': true, refuse: 'ignore_eos,continuous_usage_stats' });
      const message = async (extra: object): Promise<string> => {
        const response = await post(url, { ...CHAT, ...extra });
        expect(response.status).toBe(400);
        return ((await response.json()) as { error: { message: string } }).error.message;
      };
      expect(await message({ guided: 1 })).toBe('Unsupported parameter(s): `guided`');
      expect(await message({ ignore_eos: true })).toContain('`ignore_eos`');
      expect(await message({ stream_options: { continuous_usage_stats: true } })).toContain(
        '`continuous_usage_stats`',
      );
      expect((await post(url, { ...CHAT, min_tokens: 6, temperature: 0 })).status).toBe(200);
    });
  });

  describe('framings', () => {
    it.each(['normal', 'crlf', 'split', 'batch', 'comments'])('%s carries the same text', async (framing) => {
      const url = await start({ framing, text: 'unicode' });
      const body = await (await post(url, { ...CHAT, max_tokens: 40 })).text();
      const chunks = chunksOf(body);
      expect(countWords(textOf(chunks))).toBe(40);
      expect(chunks.at(-1)!.usage!.completion_tokens).toBe(40);
      expect(dataOf(body).at(-1)).toBe('[DONE]');
      expect(body.includes('\r\n')).toBe(framing === 'crlf');
      expect(body.includes(': ping')).toBe(framing === 'comments');
      expect(body).not.toContain('\uFFFD');
    });

    it('split cuts events apart, batch puts several into a read', async () => {
      const many = { ...CHAT, max_tokens: 40 };
      const split = await rawPost(
        await start({ framing: 'split', ttft: '5ms', step: '5ms' }),
        many,
        'Connection: close\r\n',
      );
      await server!.close();
      const batch = await rawPost(
        await start({ framing: 'batch', ttft: '5ms', step: '5ms' }),
        many,
        'Connection: close\r\n',
      );
      expect(split.text).toMatch(/\n0\r\n\r\n$/);
      // 40 events in more writes than there are, and in a quarter of them.
      expect(split.reads).toBeGreaterThan(45);
      expect(batch.reads).toBeLessThan(20);
    });

    it('serves HTTP/1.0 without chunks', async () => {
      const { hostname, port } = new URL(await start());
      const payload = JSON.stringify(CHAT);
      const text = await new Promise<string>((resolve) => {
        let all = '';
        const socket = connect({ host: hostname, port: Number(port) });
        socket.setEncoding('utf8').on('data', (part: string) => {
          all += part;
        });
        socket.on('end', () => resolve(all));
        socket.write(
          `POST /v1/chat/completions HTTP/1.0\r\nContent-Length: ${payload.length}\r\n\r\n${payload}`,
        );
      });
      expect(text.toLowerCase()).not.toContain('transfer-encoding');
      expect(dataOf(text.slice(text.indexOf('\r\n\r\n') + 4))).toHaveLength(9);
    });
  });

  describe('faults', () => {
    const fault = (kind: string) => ({ 'x-mock-fault': kind });
    const rawFault = (kind: string) => `x-mock-fault: ${kind}\r\n`;

    it.each([500, 429, 503])('http-%i', async (status) => {
      const response = await post(await start(), CHAT, fault(`http-${status}`));
      expect(response.status).toBe(status);
      expect(((await response.json()) as { error: { message: string } }).error.message).not.toBe('');
      expect(response.headers.has('retry-after')).toBe(status === 429);
    });

    it('reset answers nothing', async () => {
      expect(await rawPost(await start(), CHAT, rawFault('reset'))).toEqual({
        text: '',
        end: 'ECONNRESET',
        reads: 0,
      });
    });

    it('reset-mid resets after some output', async () => {
      const url = await start({ step: '20ms' });
      const { text, end } = await rawPost(url, CHAT, rawFault('reset-mid@3'));
      expect(end).toBe('ECONNRESET');
      // What was on its way when the reset came may be lost.
      expect(text.match(/"content"/g)!.length).toBeGreaterThanOrEqual(2);
      expect(text).not.toContain('[DONE]');
    });

    it('cut ends the connection inside the body', async () => {
      const { text, end } = await rawPost(await start(), CHAT, rawFault('cut@3'));
      expect(end).toBe('fin');
      expect(text.match(/"content"/g)).toHaveLength(3);
      expect(text).not.toMatch(/\r\n0\r\n\r\n$/);
    });

    it('truncate ends the body properly, without the end of the stream', async () => {
      const { text, end } = await rawPost(
        await start(),
        CHAT,
        `${rawFault('truncate')}Connection: close\r\n`,
      );
      expect(end).toBe('fin');
      expect(text.match(/"content"/g)).toHaveLength(3);
      expect(text).toMatch(/\r\n0\r\n\r\n$/);
      expect(text).not.toContain('[DONE]');
      expect(text).not.toContain('"length"');
    });

    it('error-event reports an error after some output', async () => {
      const events = dataOf(await (await post(await start(), CHAT, fault('error-event@2'))).text());
      expect(events).toHaveLength(4);
      expect(JSON.parse(events[2]!)).toEqual({
        error: { message: 'Internal server error', type: 'internal_server_error', code: 500 },
      });
      expect(events[3]).toBe('[DONE]');
    });

    it('malformed has one broken event and all of the output', async () => {
      const events = dataOf(await (await post(await start(), CHAT, fault('malformed@2'))).text());
      expect(events).toHaveLength(10);
      expect(() => JSON.parse(events[2]!)).toThrow(SyntaxError);
      expect(events.filter((data) => /"content":" /.test(data))).toHaveLength(6);
    });

    it('empty is [DONE] alone', async () => {
      const response = await post(await start(), CHAT, fault('empty'));
      expect(response.status).toBe(200);
      expect(await response.text()).toBe('data: [DONE]\n\n');
    });

    it('hang answers nothing and stays', async () => {
      expect(await rawPost(await start(), CHAT, rawFault('hang'), 150)).toEqual({
        text: '',
        end: 'silence',
        reads: 0,
      });
    });

    it('stall stops in the middle and stays', async () => {
      const { text, end } = await rawPost(await start(), CHAT, rawFault('stall@2'), 150);
      expect(end).toBe('silence');
      expect(text.match(/"content"/g)).toHaveLength(2);
    });

    it('no-text counts tokens without any', async () => {
      const chunks = chunksOf(await (await post(await start(), CHAT, fault('no-text'))).text());
      expect(textOf(chunks)).toBe('');
      expect(chunks.at(-1)!.usage!.completion_tokens).toBe(6);
    });

    it('close ends the connection after a good answer', async () => {
      const { text, end } = await rawPost(await start(), CHAT, rawFault('close'));
      expect(end).toBe('fin');
      expect(text).toMatch(/^connection: close\r$/im);
      expect(text).toContain('[DONE]');
    });

    it('strike bodies that are no streams too', async () => {
      const url = await start();
      const whole = { ...CHAT, stream: false };
      expect((await post(url, whole, fault('error-event'))).status).toBe(500);
      await expect((await post(url, whole, fault('malformed'))).json()).rejects.toThrow(SyntaxError);
      await expect((await post(url, whole, fault('cut'))).text()).rejects.toThrow();
      await expect(post(url, whole, fault('reset-mid'))).rejects.toThrow();
      expect(await (await post(url, whole, fault('empty'))).text()).toBe('');
    });

    it('strike a share of requests by seed', async () => {
      const run = async (seed: number): Promise<string> => {
        const url = await start({ fault: 'http-503', 'fault-rate': 0.3, seed });
        let statuses = '';
        for (let i = 0; i < 100; i++) {
          const response = await post(url, { ...CHAT, max_tokens: 1 });
          await response.text();
          statuses += response.status === 503 ? 'x' : '.';
        }
        await server!.close();
        return statuses;
      };
      const one = await run(3);
      expect(await run(3)).toBe(one);
      expect(await run(4)).not.toBe(one);
      // Binomial with n = 100 and p = 0.3: 30 ± 4.6.
      const struck = one.split('x').length - 1;
      expect(struck).toBeGreaterThan(12);
      expect(struck).toBeLessThan(48);
    });
  });

  describe('connections', () => {
    it('keeps a connection for the next request', async () => {
      const { hostname, port } = new URL(await start());
      const payload = JSON.stringify(CHAT);
      const request = `POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\nContent-Length: ${payload.length}\r\n\r\n${payload}`;
      const socket = connect({ host: hostname, port: Number(port) });
      let text = '';
      socket.setEncoding('utf8');
      for (let answers = 1; answers <= 3; answers++) {
        await new Promise<void>((resolve) => {
          socket.removeAllListeners('data').on('data', (part: string) => {
            text += part;
            if (text.split('\r\n0\r\n\r\n').length === answers + 1) resolve();
          });
          socket.write(request);
        });
      }
      socket.destroy();
      expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(3);
      expect(text.match(/\[DONE\]/g)).toHaveLength(3);
    });

    it('answers pipelined requests in their order', async () => {
      const { hostname, port } = new URL(await start());
      const request = (tokens: number): string => {
        const payload = JSON.stringify({ ...CHAT, max_tokens: tokens });
        return `POST /v1/chat/completions HTTP/1.1\r\nHost: mock\r\nContent-Length: ${payload.length}\r\n\r\n${payload}`;
      };
      const socket = connect({ host: hostname, port: Number(port) });
      const text = await new Promise<string>((resolve) => {
        let all = '';
        socket.setEncoding('utf8').on('data', (part: string) => {
          all += part;
          if (all.split('[DONE]').length === 3) resolve(all);
        });
        socket.write(request(30) + request(2));
      });
      socket.destroy();
      const [, first, second] = text.split('HTTP/1.1 200');
      expect(first!.match(/"content"/g)).toHaveLength(30);
      expect(second!.match(/"content"/g)).toHaveLength(2);
    });

    it('drops the request of a client that goes away', async () => {
      const url = await start({ ttft: undefined, step: '5ms' });
      const abort = new AbortController();
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        body: JSON.stringify({ ...CHAT, max_tokens: 100_000 }),
        signal: abort.signal,
      });
      const reader = response.body!.getReader();
      await reader.read();
      expect(await metric(url, 'requests_running')).toBe(1);
      expect(await metric(url, 'kv_tokens')).toBe(100_007);
      abort.abort();
      await expect(reader.read()).rejects.toThrow();
      await expect.poll(() => metric(url, 'requests_running')).toBe(0);
      expect(await metric(url, 'kv_tokens')).toBe(0);
    });

    it('carries 1,000 streams at once, all whole', async () => {
      const url = await start({ ttft: '800ms', step: '20ms' });
      const answers = await Promise.all(
        Array.from({ length: 1_000 }, (_, i) =>
          rawPost(
            url,
            { ...CHAT, max_tokens: 20, messages: [{ role: 'user', content: `request ${i}` }] },
            'Connection: close\r\n',
          ),
        ),
      );
      const whole = answers.filter(
        ({ text, end }) =>
          end === 'fin' && text.match(/"content":" /g)?.length === 20 && text.includes('[DONE]'),
      );
      expect(whole).toHaveLength(1_000);
      expect(await metric(url, 'requests_total')).toBe(1_000);
      expect(await metric(url, 'generation_tokens_total')).toBe(20_000);
    });

    it('closes at once, whatever is under way', async () => {
      const url = await start({ ttft: '60s' });
      const pending = rawPost(url, CHAT);
      await expect.poll(() => metric(url, 'requests_running')).toBe(1);
      const closing = performance.now();
      await server!.close();
      expect(performance.now() - closing).toBeLessThan(1_000);
      expect((await pending).text).toContain('200 OK');
      await expect(fetch(url)).rejects.toThrow();
    });

    it('says where it cannot listen', async () => {
      const url = await start();
      const port = Number(new URL(url).port);
      await expect(startMock(parseMockOptions({ ...FAST, port }), TOKENIZER, listener)).rejects.toMatchObject(
        {
          exitCode: 2,
          message: expect.stringContaining(`127.0.0.1:${port}`),
        },
      );
    });
  });
});
