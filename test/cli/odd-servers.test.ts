import type { ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { askedTokens } from '../fixtures/chat-server.ts';
import { allTexts, bench, makeFolder, newOut, readRun } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';
import {
  type Call,
  type OddServerOptions,
  sendError,
  sendJson,
  startOddServer,
} from '../fixtures/odd-server.ts';

const SHAPE = ['--isl', '60', '--osl', '5', '--requests', '2', '--warmup', '0', '--quiet'];
const CA = fileURLToPath(new URL('../fixtures/tls/ca.pem', import.meta.url));

/** A run against such a server. */
async function run(options: OddServerOptions, args: readonly string[] = []) {
  const server = await startOddServer(options);
  const out = newOut();
  const ended = await benchHere(['run', '--url', server.url, ...SHAPE, '--out', out, ...args]);
  return { server, ended, out };
}

/** What `bench check` says of such a server. */
async function check(
  options: OddServerOptions,
  args: readonly string[] = [],
  env: Record<string, string> = {},
) {
  const server = await startOddServer(options);
  const ended = await benchHere(['check', '--url', server.url, ...args], { env });
  return { server, ended };
}

/** Refuses bodies that have one of the fields, in the words of the server that is meant. */
const refuses =
  (fields: readonly string[], refusal: (response: ServerResponse, found: string[]) => true) =>
  ({ method, body }: Call, response: ServerResponse): boolean => {
    const inner = Object.keys((body['stream_options'] as object | undefined) ?? {});
    const found = fields.filter((field) => field in body || inner.includes(field));
    return method === 'POST' && found.length > 0 && refusal(response, found);
  };

const extra = (response: ServerResponse, found: string[]): true =>
  sendJson(response, 422, {
    detail: found.map((field) => ({ type: 'extra_forbidden', loc: ['body', field], msg: 'Extra inputs' })),
  });
const extraInOptions = (response: ServerResponse, found: string[]): true =>
  sendJson(response, 400, { detail: [{ loc: ['body', 'stream_options', found[0]], msg: 'Extra inputs' }] });
const openAi = (response: ServerResponse, found: string[]): true =>
  sendError(
    response,
    400,
    `Unsupported parameter: '${found[0]}' is not supported with this model.`,
    found[0],
  );
const proxy = (response: ServerResponse, found: string[]): true =>
  sendError(response, 500, `does not support parameters: [${found.map((field) => `'${field}'`).join(', ')}]`);

const inJson = (response: ServerResponse, found: string[]): true =>
  sendJson(response, 200, { error: { message: `unknown parameter ${found[0]}` } });
const inStream = (response: ServerResponse, found: string[]): true => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(`data: {"error": {"message": "unsupported: ${found[0]}"}}\n\n`);
  return true;
};

/** One request of `bench serving`. */
const SGLANG = '--backend sglang-oai-chat --dataset-name random --num-prompts 1'.split(' ');

describe('a field that a server refuses', () => {
  it.each([
    ['stream_options', ['stream_options'], extra, ['stream_options']],
    ['include_usage', ['include_usage'], extraInOptions, ['include_usage']],
    ['temperature', ['temperature'], openAi, ['temperature']],
    ['several at once, by a proxy', ['ignore_eos', 'min_tokens'], proxy, ['ignore_eos', 'min_tokens']],
    ['with status 200', ['temperature'], inJson, ['temperature']],
    ['inside of the stream', ['stream_options'], inStream, ['stream_options']],
    [
      'one after another',
      ['ignore_eos', 'temperature', 'max_tokens'],
      openAi,
      ['ignore_eos', 'temperature', 'max_tokens'],
    ],
  ] as const)('is left out and reported: %s', async (_name, fields, refusal, reported) => {
    const { server, ended, out } = await run({ answer: refuses(fields, refusal) });
    expect(ended.code, ended.stderr).toBe(0);
    const { report } = readRun(out);
    expect([...report.target.refusedFields].sort()).toEqual([...reported].sort());
    expect(report.levels[0]!.requests).toMatchObject({ good: 2, failed: 0 });
    for (const field of reported)
      expect(
        report.warnings.some((line) => line.includes('the server refused') && line.includes(field)),
      ).toBe(true);
    // What was learnt once is sent no more.
    const [last] = server.bodies().slice(-1);
    for (const field of fields) expect(last).not.toHaveProperty(field);
  });

  it('is sent under the name that the server takes, for each length', async () => {
    const { server, ended, out } = await run({
      answer: refuses(['max_tokens'], (response) =>
        sendError(
          response,
          400,
          "'max_tokens' is not supported here, use 'max_completion_tokens'",
          'max_tokens',
        ),
      ),
    });
    expect(ended.code, ended.stderr).toBe(0);
    const { report } = readRun(out);
    expect(report.target).toMatchObject({
      refusedFields: ['max_tokens'],
      renamedFields: { max_tokens: 'max_completion_tokens' },
    });
    expect(report.levels[0]!.oslProof).toMatchObject({ provenByUsage: 2, deviations: 0, unknown: 0 });
    const sent = server.bodies().slice(-2);
    for (const body of sent) expect(body).toMatchObject({ max_completion_tokens: 5 });
    expect(server.bodies().filter((body) => 'max_tokens' in body).length).toBeLessThan(4);
  });

  it('is left out by load generators too', async () => {
    const { server, ended, out } = await run({ answer: refuses(['max_tokens', 'temperature'], openAi) }, [
      ...['--workers', '2', '--concurrency', '2'],
    ]);
    expect(ended.code, ended.stderr).toBe(0);
    expect(readRun(out).report.levels[0]!.requests).toMatchObject({ good: 2, failed: 0 });
    for (const body of server.bodies().slice(-2))
      expect([body['max_completion_tokens'], body['temperature']]).toEqual([5, undefined]);
  });

  it('ends the check where no name of the limit is taken', async () => {
    const { server, ended } = await check({
      answer: refuses(['max_tokens', 'max_completion_tokens'], openAi),
    });
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain("'max_completion_tokens' is not supported");
    expect(ended.stderr).toContain('--omit max_tokens leaves it out all the same');
    expect(server.bodies()).toHaveLength(2);
  });

  it('ends the check where the user gave it, which the hint says', async () => {
    const answer = refuses(['seed', 'temperature'], openAi);
    const { server, ended } = await check({ answer }, ['--extra-body', '{"seed": 1}']);
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('the server refuses seed: leave it out of --extra-body');
    expect(server.bodies()).toHaveLength(1);
  });

  it('is no reason to ask for ever', async () => {
    const { server, ended } = await check({
      answer: ({ method }, response) => method === 'POST' && sendError(response, 400, 'bad model', 'model'),
    });
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('POST /v1/chat/completions: http: status 400: bad model');
    expect(ended.stderr).toContain('--omit FIELD leaves a field out');
    expect(ended.stderr).not.toContain('still be loading');
    // Once more without what engines added.
    expect(server.bodies()).toHaveLength(2);
  });

  it('stays in the body that bench serving keeps as it was', async () => {
    const server = await startOddServer({ answer: refuses(['max_completion_tokens'], openAi) });
    const words = [
      '--backend',
      'sglang-oai-chat',
      '--dataset-name',
      'random-ids',
      '--random-output-len',
      '4',
    ];
    const more = ['--num-prompts', '2', '--random-range-ratio', '1', '--model', 'm', '--bug-compatible'];
    const ended = await benchHere(['serving', '--base-url', server.url, ...words, ...more], {
      cwd: makeFolder(),
    });
    expect(ended.code, ended.stderr).toBe(3);
    for (const body of server.bodies()) expect(askedTokens(body)).toBeGreaterThan(0);
    expect(server.bodies().every((body) => 'max_completion_tokens' in body)).toBe(true);
  });
});

describe('a field that the user leaves out', () => {
  it('--omit: in no request, in the spec, and odd ones are named', async () => {
    const omit = ['temperature', 'stream_options.include_usage', 'top_q'].flatMap((field) => [
      '--omit',
      field,
    ]);
    const { server, ended, out } = await run({}, omit);
    expect(ended.code, ended.stderr).toBe(0);
    for (const body of server.bodies()) {
      expect(body).not.toHaveProperty('temperature');
      expect(body).not.toHaveProperty('stream_options');
    }
    const { report } = readRun(out);
    expect(report.spec.omit).toEqual(['temperature', 'stream_options.include_usage', 'top_q']);
    expect(report.warnings).toContain('--omit: no request has top_q anyway');
    expect(report.target.refusedFields).toEqual([]);
  });

  it('--extra-body with null: in no request', async () => {
    const { server, ended } = await check({}, ['--extra-body', '{"stream_options": null, "top_p": 0.5}']);
    expect(ended.code, ended.stderr).toBe(0);
    for (const body of server.bodies()) {
      expect(body).not.toHaveProperty('stream_options');
      expect(body).toMatchObject({ top_p: 0.5 });
    }
  });

  it('--dry-run: not in the request that is shown', async () => {
    const ended = await benchHere([
      'run',
      ...SHAPE,
      '--omit',
      'temperature',
      '--path',
      '/x',
      '--query',
      'key=hush',
      '--dry-run',
    ]);
    expect(ended.stdout).toContain('POST /x?key=***\n');
    expect(ended.stdout).toContain('"max_tokens":5');
    expect(ended.stdout).not.toContain('temperature');
  });

  it.each([
    [['--omit', 'a.b.c'], /--omit: "a\.b\.c" is no field/],
    [['--omit', 'stream'], /--omit: without stream there is no stream/],
    [['--omit', 'messages'], /--omit: without messages/],
  ])('is refused: %j', async (args, words) => {
    const ended = await benchHere(['run', '--url', 'http://127.0.0.1:1', ...SHAPE, ...args]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(words);
  });
});

describe('another route', () => {
  const route = '/api/v3/chat/completions';

  it('of the URL is used as it is, with its query, and models are listed beside it', async () => {
    const server = await startOddServer({ route });
    const ended = await benchHere(['check', '--model', 'm', '--url', `${server.url}${route}?api-version=1`]);
    expect(ended.code, ended.stderr).toBe(0);
    expect(server.calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'GET /api/v3/models?api-version=1',
      `POST ${route}?api-version=1`,
    ]);
  });

  it.each([
    ['--path', ['--path', route]],
    ['--path and --query', ['--path', route, '--query', 'api-version=1', '--query', 'b=2']],
  ])('of %s is requested by all load generators', async (_name, args) => {
    const { server, ended, out } = await run({ route }, [...args, '--workers', '2', '--concurrency', '2']);
    expect(ended.code, ended.stderr).toBe(0);
    expect(readRun(out).report.spec.requestPath).toBe(route);
    const query = args.includes('--query') ? '?api-version=1&b=2' : '';
    const paths = server.calls.filter(({ method }) => method === 'POST').map(({ path }) => path);
    expect([...new Set(paths)]).toEqual([`${route}${query}`]);
    expect(server.calls.map(({ path }) => path)).toContain(`/v1/models${query}`);
  });

  it.each([
    [[], 'POST /v1/chat/completions: http: status 404: Not Found', /\/api\/v3\/chat\/completions\)/],
    [['--path', '/x'], 'POST /x: http: status 404: Not Found', /--path/],
  ])('is what the hint on a 404 is about, not a stack: %j', async (args, line, hint) => {
    const { ended } = await check({ route }, args);
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain(line);
    expect(ended.stderr).toMatch(hint);
    expect(ended.stderr).not.toContain('loading');
  });

  it('is shown below the path of the URL that was tried', async () => {
    const server = await startOddServer({ route });
    const ended = await benchHere(['check', '--url', `${server.url}/api/v3`, '--model', 'm']);
    expect(ended.stderr).toContain('POST /api/v3/v1/chat/completions: http: status 404');
    expect(ended.stderr).toContain(`--url (${server.url}${route})`);
  });

  it('and the secrets of a query are in no file and on no screen, and are given again to go on', async () => {
    let broken = true;
    const server = await startOddServer({
      answer: ({ method, path, body }, response) =>
        method === 'POST' &&
        broken &&
        askedTokens(body) === 5 &&
        sendError(response, 500, `broken at ${path}`),
    });
    const cwd = makeFolder();
    const words = [
      'sweep',
      '--url',
      `${server.url}?key=SECRET01`,
      '--query',
      'sig=SECRET02',
      ...SHAPE.slice(0, -1),
    ];
    const first = await bench([...words, '--concurrency', '1', '--out', 'out'], { cwd });
    expect(first.code, first.stderr).toBe(3);
    expect(server.calls.every(({ path }) => path.endsWith('?key=SECRET01&sig=SECRET02'))).toBe(true);
    const without = await bench(['sweep', '--resume', 'out'], { cwd });
    expect(without.code).toBe(2);
    expect(without.stderr).toContain('whose secrets were not kept');
    broken = false;
    const again = await bench(['sweep', '--resume', 'out', '--query', 'key=SECRET01&sig=SECRET02'], { cwd });
    expect(again.code, again.stderr).toBe(0);
    expect(server.calls.at(-1)!.path).toMatch(/\?key=SECRET01&sig=SECRET02$/);
    const { report } = readRun(path.join(cwd, 'out'));
    expect(report.target.urls).toEqual([`${server.url}?key=***&sig=***`]);
    const texts = [first, without, again].map(({ stdout, stderr }) => stdout + stderr).join('');
    expect(texts + allTexts(cwd)).not.toMatch(/SECRET0/);
  });
});

describe('the hint fits the cause', () => {
  const page = (status: number, title: string) => (_call: Call, response: ServerResponse) => {
    response.writeHead(status, { 'content-type': 'text/html' }).end(`<html><title>${title}</title></html>`);
    return true;
  };
  const onChat =
    (answer: (call: Call, response: ServerResponse) => boolean) => (call: Call, response: ServerResponse) =>
      call.method === 'POST' && answer(call, response);
  const status = (code: number, location?: string) => (_call: Call, response: ServerResponse) => {
    response.writeHead(code, location === undefined ? {} : { location }).end();
    return true;
  };

  it.each([
    ['401', onChat(status(401)), [], {}, /no key was sent: give one with --api-key or OPENAI_API_KEY/],
    ['403', onChat(status(403)), [], {}, /no key was sent/],
    [
      '401 with a key',
      onChat(status(401)),
      ['--api-key', 'hushhush'],
      {},
      /key of --api-key was sent and refused/,
    ],
    [
      '401 with a variable',
      onChat(status(401)),
      [],
      { OPENAI_API_KEY: 'hushhush' },
      /key of OPENAI_API_KEY was sent/,
    ],
    [
      '403 with a header',
      onChat(status(403)),
      ['--header', 'api-key: hushhush'],
      {},
      /key of --header api-key was/,
    ],
    ['401 of the models', status(401), [], {}, /models: status 401\n.*no key was sent/],
    [
      '307',
      onChat(status(307, 'https://else.example/v1')),
      [],
      {},
      /redirects to https:\/\/else\.example\/v1\n.*--url/,
    ],
    ['308 of the models', status(308, '/x'), [], {}, /models: status 308: redirects to \/x\n.*--url/],
    [
      'a page with 200',
      onChat(page(200, 'Sign in')),
      [],
      {},
      /answered text\/html .*"Sign in"\n.*a web page answers/,
    ],
    [
      'a page of the models',
      page(200, 'Sign in'),
      [],
      {},
      /status 200, text\/html: .*"Sign in"\n.*a web page/,
    ],
    ['429', onChat(status(429)), [], {}, /it limits what may be sent/],
    ['500', onChat(status(500)), [], {}, /status 500\n {2}see what it logs/],
    ['502', onChat(page(502, '502 Bad')), [], {}, /"502 Bad"\n.*a gateway answers.*may still be loading/],
    ['503', onChat(status(503)), [], {}, /status 503\n.*the stack may still be loading/],
    [
      'JSON',
      onChat((_call, response) => sendJson(response, 200, { a: 1 })),
      [],
      {},
      /no stream of chat completions/,
    ],
  ] as const)('%s', async (name, answer, args, env, words) => {
    const { ended } = await check({ answer }, args, env);
    expect(ended.code).toBe(3);
    expect(ended.stderr).toMatch(words);
    expect(ended.stderr).not.toContain('hushhush');
    if (!/50[23]/.test(name)) expect(ended.stderr).not.toContain('loading');
  });

  it('a model that is not listed, or a route that is missing', async () => {
    const unlisted = onChat((_call, response) => sendError(response, 404, 'The model `x` does not exist'));
    const named = await check({ answer: unlisted }, ['--model', 'x']);
    expect(named.ended.stderr).toMatch(/does not exist\n {2}name a listed one with --model\n/);
    const missing = await check({ route: '/elsewhere' }, ['--model', 'x']);
    expect(missing.ended.stderr).toMatch(
      /name a listed one with --model; where it is the route that is missing, give/,
    );
  });

  it('TLS: an unknown authority, another scheme', async () => {
    const secure = await startOddServer({ tls: true });
    const plain = await startOddServer();
    const said = async (args: readonly string[]) => (await benchHere(args)).stderr;
    expect(await said(['check', '--url', secure.url])).toMatch(
      /certificate of https:.* is not trusted: .*\n.*--cacert/,
    );
    expect((await benchHere(['check', '--url', secure.url, '--cacert', CA])).code).toBe(0);
    const mistaken = secure.url.replace('https', 'http');
    expect(await said(['check', '--url', mistaken])).toMatch(
      /speaks https, not http\n {2}write https:\/\/127/,
    );
    const over = plain.url.replace('http', 'https');
    expect(await said(['check', '--url', over])).toMatch(/speaks http, not https\n {2}write http:\/\/127/);
    const serving = ['serving', ...SGLANG];
    expect(await said([...serving, '--base-url', secure.url])).toMatch(
      /not trusted: .*\n.*NODE_EXTRA_CA_CERTS=FILE/,
    );
    expect(await said([...serving, '--base-url', mistaken])).toMatch(/speaks https.*\n.*--base-url/);
  });

  it('a server for TLS that says so in plain HTTP', async () => {
    const secure = await startOddServer({ tls: true });
    const door = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (first: Buffer) => {
        if (first[0] !== 0x16) {
          socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 15\r\n\r\nthis port is TLS');
          return;
        }
        socket.pause();
        const inner = connect(Number(new URL(secure.url).port), '127.0.0.1');
        inner.on('error', () => undefined);
        inner.write(first);
        socket.pipe(inner).pipe(socket);
      });
    });
    await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
    const { port } = door.address() as AddressInfo;
    const { stderr } = await benchHere(['check', '--url', `http://127.0.0.1:${port}`, '--model', 'm']);
    door.close();
    expect(stderr).toBe(
      `bench: http://127.0.0.1:${port} speaks https, not http\n  write https://127.0.0.1:${port} with --url\n`,
    );
  });

  it('a stream under the type of a page is a stream', async () => {
    const { ended } = await check({
      answer: ({ method }, response) => {
        if (method !== 'POST') return false;
        const chunk = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;
        const choice = { index: 0, delta: { content: 'a' }, finish_reason: 'length' };
        response.writeHead(200, { 'content-type': 'text/html' });
        response.end(
          `${chunk({ id: 'x', choices: [choice], usage: { completion_tokens: 1 } })}data: [DONE]\n\n`,
        );
        return true;
      },
    });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stdout).toMatch(/^text: +"a"$/m);
  });
});

describe('small things', () => {
  it('a model that is listed twice is one', async () => {
    const { ended } = await check({
      answer: ({ method }, response) =>
        method === 'GET' && sendJson(response, 200, { data: [{ id: 'a' }, { id: 'a' }] }),
    });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stdout).toMatch(/^model: +a$/m);
  });

  it.each([
    ['check', ['--url'], 'OPENAI_API_KEY', 'Bearer hushhush'],
    ['serving', [...SGLANG, '--random-output-len', '3', '--base-url'], 'API_KEY', 'hushhush'],
  ])('bench %s: a key in a variable that ends in a line feed is trimmed, and one of two lines is refused by its name', async (verb, args, name, sent) => {
    const server = await startOddServer();
    const words = [verb, ...args, server.url];
    const ended = await benchHere(words, { env: { [name]: ' hushhush\r\n' }, cwd: makeFolder() });
    expect(ended.code, ended.stderr).toBe(0);
    expect(server.calls.every(({ headers }) => headers.authorization === sent)).toBe(true);
    const wrong = await benchHere(words, { env: { [name]: 'hush\nhush' }, cwd: makeFolder() });
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toMatch(new RegExp(`^bench: ${name}: .*no header can carry`, 'm'));
    expect(wrong.stderr).not.toContain('hush');
  });
});
