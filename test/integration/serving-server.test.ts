import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseServing } from '../../src/commands/serving/arguments.ts';
import { ServingServer } from '../../src/commands/serving/server.ts';
import { servingAccess } from '../../src/commands/serving/spec.ts';
import { type ChatServer, type ChatServerOptions, startChatServer } from '../fixtures/chat-server.ts';

const open: ServingServer[] = [];
afterEach(() => Promise.all(open.splice(0).map((server) => server.close())));

async function start(
  words: readonly string[],
  options: ChatServerOptions = {},
  backend = 'sglang-oai-chat',
): Promise<{ serving: ServingServer; chat: ChatServer }> {
  const chat = await startChatServer(options);
  const args = parseServing([
    '--backend',
    backend,
    '--dataset-name',
    'random',
    '--base-url',
    chat.url,
    ...words,
  ]);
  const serving = new ServingServer(args, servingAccess(args));
  open.push(serving);
  return { serving, chat };
}

const answering = (body: string): ChatServerOptions => ({
  other: (_request, response) => response.end(body),
});

describe('the ready check', () => {
  it('gives the name asked for, the served name before the model, else what is listed first', async () => {
    const models = () => ['a', 'b'];
    const said = vi.fn();
    expect(await (await start(['--model', 'b'], { models })).serving.ready(said)).toBe('b');
    const served = ['--model', '/models/b', '--served-model-name', 'a'];
    expect(await (await start(served, { models })).serving.ready(said)).toBe('a');
    expect(await (await start([], { models })).serving.ready(said)).toBe('a');
    expect(said).not.toHaveBeenCalled();
  });

  it('does not wait at 0, and goes on with a name that is not listed when its time is over', async () => {
    const { serving } = await start(['--model', 'x', '--ready-check-timeout-sec', '0'], {
      models: () => ['a'],
    });
    expect(await serving.ready(vi.fn())).toBe('x');
  });

  it('tells early, and once, which models are listed while it waits for another', async () => {
    const { serving, chat } = await start(['--model', 'x', '--ready-check-timeout-sec', '5'], {
      models: () => ['a', 'b'],
    });
    const said = vi.fn();
    expect(await serving.ready(said)).toBe('x');
    expect(said.mock.calls).toEqual([
      [`waiting for ${chat.url}, at most 5 s: it lists a, b, not x (see --model)`],
    ]);
  });

  it('gives up on a server that lists nothing', async () => {
    const { serving } = await start(['--ready-check-timeout-sec', '1'], { models: () => [] });
    await expect(serving.ready(vi.fn())).rejects.toMatchObject({
      exitCode: 3,
      message: expect.stringContaining('it lists no model yet'),
    });
  });
});

describe('--flush-cache', () => {
  it.each([
    ['sglang-oai-chat', 'POST /flush_cache?timeout=7'],
    ['vllm-chat', 'POST /reset_prefix_cache'],
  ])('of %s is %s', async (backend, call) => {
    const { serving, chat } = await start(['--flush-cache-timeout', '7'], answering(''), backend);
    expect(await serving.flushCache()).toBeNull();
    expect(chat.calls).toEqual([call]);
  });
});

describe('the server info', () => {
  /** No secrets, though their names have words of such. */
  const READABLE = {
    max_total_tokens: 9,
    max_tokens: 5,
    num_tokens: [1, 2],
    num_key_value_heads: 8,
    tokenizer: 'auto',
    tokenizer_path: '/models/r1',
    skip_tokenizer_init: false,
    stop_token_ids: [7],
    ssl_keyfile: '/etc/key.pem',
    api_key: null,
    url: 'http://host:1/v1?tokenizer=a',
  };
  const workers = { decode: [{ internal_states: [{ avg_spec_accept_length: 2.5 }] }], prefill: [{}] };

  it('is asked for where each era has it', async () => {
    for (const [layout, route] of [
      ['2025-08', '/get_server_info'],
      ['2026-01', '/get_server_info'],
      ['2026-06', '/server_info'],
    ] as const) {
      const { serving, chat } = await start(['--layout', layout], answering('{}'));
      await serving.info();
      expect(chat.calls).toEqual([`GET ${route}`]);
    }
  });

  it('tells the accept length, of the first decode worker where they are apart', async () => {
    const one = await start([], answering(JSON.stringify(workers.decode[0])));
    expect(await one.serving.info()).toMatchObject({ acceptLength: 2.5 });
    const apart = await start([], answering(JSON.stringify(workers)));
    expect(await apart.serving.info()).toEqual({ info: workers, acceptLength: 2.5 });
  });

  it('is none where the route is missing or tells no JSON', async () => {
    const none = { info: null, acceptLength: null };
    expect(await (await start([])).serving.info()).toEqual(none);
    expect(await (await start([], answering('<html>'))).serving.info()).toEqual(none);
  });

  it('holds no key, token or password of the server', async () => {
    const told = {
      some_api_key: 'S1',
      admin_api_key: 'S2',
      hf_token: 'S3',
      OPENAI_KEY: 'S4',
      ssl_keyfile_password: 'S5',
      cmd: 'serve --api-key S6 --port 1 --hf-token=S7 --max-total-tokens 9',
      authorization: 'Bearer S8',
      apiKeys: ['S9', 'S10'],
      api_key_list: { S11: 'S12' },
      OPENAI_API_KEY_1: 'S13',
      argv: ['--api-key', 'S14', '--port', '1'],
      environment: { env: 'HF_TOKEN=S15 PORT=1', extra: '{"credentials": ["S16"]}' },
      headers: [{ 'X-Auth': 'S17' }],
      pins: { password: 1.5 },
      proxy: 'http://user:S18@host:1/',
      ...READABLE,
    };
    const { serving } = await start([], answering(JSON.stringify(told)));
    const { info } = await serving.info();
    expect(JSON.stringify(info)).not.toMatch(/S\d|1\.5/);
    expect(info).toMatchObject({
      ...READABLE,
      cmd: 'serve --api-key *** --port 1 --hf-token=*** --max-total-tokens 9',
      argv: ['--api-key', '***', '--port', '1'],
      environment: { env: 'HF_TOKEN=*** PORT=1' },
    });
  });
});
