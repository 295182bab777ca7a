import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BenchError } from '../../src/core/errors.ts';
import { openEmbeddedCounter } from '../../src/datasets/token-counter.ts';
import { loadTokenizer } from '../../src/datasets/tokenizer.ts';
import { readTokenizerFiles, type TokenizerFiles } from '../../src/datasets/tokenizer-source.ts';
import { byteLevelJson, folderWith, wordPieceJson } from './small-tokenizers.ts';

const noNetwork = {
  env: { HF_HOME: '/nowhere' },
  fetch: () => Promise.reject(new Error('no request was expected')),
};

async function failure(promise: Promise<unknown>): Promise<BenchError> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(BenchError);
  return error as BenchError;
}

const inMemory = (json: object | string): TokenizerFiles => ({
  name: 'small',
  source: '/models/small/tokenizer.json',
  tokenizerJson: typeof json === 'string' ? json : JSON.stringify(json),
  configJson: null,
  templateJinja: null,
  templateJson: null,
});

describe('readTokenizerFiles', () => {
  it('reads a folder with everything beside tokenizer.json', async () => {
    const folder = folderWith({
      'tokenizer.json': wordPieceJson([]),
      'tokenizer_config.json': { bos_token: '<s>' },
      'chat_template.jinja': 'hello',
    });
    const files = await readTokenizerFiles(folder, noNetwork);
    expect(JSON.parse(files.tokenizerJson)).toEqual(wordPieceJson([]));
    expect(files.configJson).toBe('{"bos_token":"<s>"}');
    expect(files.templateJinja).toBe('hello');
    expect(files.source).toBe(join(folder, 'tokenizer.json'));
  });

  it('passes over byte-order marks, and reads chat_template.json', async () => {
    const json = JSON.stringify(wordPieceJson([]));
    const folder = folderWith({
      'tokenizer.json': `\ufeff${json}`,
      'tokenizer_config.json': '\ufeff{"bos_token":"<s>"}',
      'chat_template.jinja': '\ufeffhello',
      'chat_template.json': '\ufeff{"chat_template": "x"}',
    });
    const files = await readTokenizerFiles(folder, noNetwork);
    expect(files).toMatchObject({
      tokenizerJson: json,
      configJson: '{"bos_token":"<s>"}',
      templateJinja: 'hello',
      templateJson: '{"chat_template": "x"}',
    });
    expect(loadTokenizer(files).config['bos_token']).toBe('<s>');
  });

  it.each([
    'tokenizer.json',
    'tokenizer_config.json',
    'chat_template.jinja',
    'chat_template.json',
  ])('refuses a %s that is not UTF-8', async (name) => {
    const folder = folderWith({ 'tokenizer.json': wordPieceJson([]) });
    writeFileSync(join(folder, name), Buffer.from('{\n"é": 1}', 'latin1'));
    const local = await failure(readTokenizerFiles(folder, noNetwork));
    expect(local.exitCode).toBe(2);
    expect(local.message).toBe(`${join(folder, name)}, line 2, byte 2: 0xE9 is not UTF-8`);
    const home = folderWith({ 'hub/models--org--m/snapshots/main/tokenizer.json': '{"a":1}' });
    writeFileSync(join(home, 'hub/models--org--m/snapshots/main', name), Buffer.from('"a"', 'utf16le'));
    const cached = await failure(readTokenizerFiles('hf:org/m', { ...noNetwork, env: { HF_HOME: home } }));
    expect(cached.message).toContain(`${name}, line 1, byte 1: the file is UTF-16LE`);
  });

  it('reads the file itself, whatever it is called', async () => {
    const folder = folderWith({ 'mine.json': wordPieceJson([]) });
    const files = await readTokenizerFiles(join(folder, 'mine.json'), noNetwork);
    expect(files.configJson).toBeNull();
    expect(files.templateJinja).toBeNull();
  });

  it('names a folder of the hub cache after its model', async () => {
    const folder = folderWith({ 'models--Qwen--Qwen3-8B/snapshots/abc/tokenizer.json': wordPieceJson([]) });
    const files = await readTokenizerFiles(join(folder, 'models--Qwen--Qwen3-8B/snapshots/abc'), noNetwork);
    expect(files.name).toBe('Qwen/Qwen3-8B');
  });

  it('points from ORG/NAME to hf:ORG/NAME', async () => {
    const error = await failure(readTokenizerFiles('Qwen/Qwen3-8B', noNetwork));
    expect(error.exitCode).toBe(2);
    expect(error.hint).toContain('hf:Qwen/Qwen3-8B');
  });

  it('says which path it cannot find, and does not take a path for a model', async () => {
    const error = await failure(readTokenizerFiles('/no/such/folder', noNetwork));
    expect(error.message).toContain('/no/such/folder');
    expect(error.hint).not.toContain('hf:/no');
  });

  it('refuses a folder without tokenizer.json', async () => {
    const error = await failure(readTokenizerFiles(folderWith({ 'tokenizer.model': 'x' }), noNetwork));
    expect(error.exitCode).toBe(2);
    expect(error.message).toContain('no tokenizer.json');
  });
});

describe('readTokenizerFiles from the hub', () => {
  const answers =
    (files: Readonly<Record<string, string>>, seen: Request[] = []): typeof fetch =>
    (input, init) => {
      const request = new Request(input as string, init);
      seen.push(request);
      const text = files[request.url.split('/').at(-1)!];
      return Promise.resolve(
        text === undefined
          ? new Response('no', { status: 404 })
          : new Response(text, { headers: { 'x-repo-commit': 'c0ffee' } }),
      );
    };

  it('takes the local cache first', async () => {
    const home = folderWith({
      'hub/models--org--m/refs/main': 'abc',
      'hub/models--org--m/snapshots/abc/tokenizer.json': '{"a":1}',
      'hub/models--org--m/snapshots/abc/chat_template.jinja': 'T',
    });
    const files = await readTokenizerFiles('hf:org/m', { ...noNetwork, env: { HF_HOME: home } });
    expect(files).toMatchObject({
      name: 'org/m',
      source: 'hf:org/m',
      tokenizerJson: '{"a":1}',
      templateJinja: 'T',
    });
    expect(files.configJson).toBeNull();
  });

  it('fetches with the token, then finds it in the cache', async () => {
    const home = folderWith({});
    const seen: Request[] = [];
    const env = { HF_HOME: home, HF_TOKEN: 'hf_secret', HF_ENDPOINT: 'http://mirror.test/' };
    const get = answers({ 'tokenizer.json': '{"b":2}', 'tokenizer_config.json': '{}' }, seen);
    const first = await readTokenizerFiles('hf:org/m', { env, fetch: get });
    expect(seen.map((request) => request.url).sort()).toEqual([
      'http://mirror.test/org/m/resolve/main/chat_template.jinja',
      'http://mirror.test/org/m/resolve/main/chat_template.json',
      'http://mirror.test/org/m/resolve/main/tokenizer.json',
      'http://mirror.test/org/m/resolve/main/tokenizer_config.json',
    ]);
    expect(seen.every((request) => request.headers.get('authorization') === 'Bearer hf_secret')).toBe(true);
    expect(readFileSync(join(home, 'hub/models--org--m/snapshots/c0ffee/tokenizer.json'), 'utf8')).toBe(
      '{"b":2}',
    );
    expect(readFileSync(join(home, 'hub/models--org--m/refs/main'), 'utf8')).toBe('c0ffee');
    expect(existsSync(join(home, 'hub/models--org--m/snapshots/c0ffee/chat_template.jinja'))).toBe(false);

    const again = await readTokenizerFiles('hf:org/m', {
      ...noNetwork,
      env: { ...env, HF_HUB_OFFLINE: '1' },
    });
    expect(again).toEqual(first);
  });

  it('fetches chat_template.json, and refuses what the hub sends in another encoding', async () => {
    const env = { HF_HOME: folderWith({}) };
    const get = answers({ 'tokenizer.json': '{"b":2}', 'chat_template.json': '{"chat_template":"x"}' });
    const { templateJson } = await readTokenizerFiles('hf:org/m', { env, fetch: get });
    expect(templateJson).toBe('{"chat_template":"x"}');
    const cached = await readTokenizerFiles('hf:org/m', {
      ...noNetwork,
      env: { ...env, HF_HUB_OFFLINE: '1' },
    });
    expect(cached.templateJson).toBe(templateJson);
    const latin1 = () => Promise.resolve(new Response(Buffer.from('"é"', 'latin1')));
    const error = await failure(
      readTokenizerFiles('hf:org/m', { env: { HF_HOME: folderWith({}) }, fetch: latin1 }),
    );
    expect(error.message).toMatch(/^http.*, line 1, byte 2: 0xE9 is not UTF-8$/);
  });

  it('does not fetch when it is told to stay offline', async () => {
    const env = { HF_HOME: folderWith({}), HF_HUB_OFFLINE: '1' };
    const error = await failure(readTokenizerFiles('hf:org/m', { ...noNetwork, env }));
    expect(error.exitCode).toBe(2);
    expect(error.message).toContain('HF_HUB_OFFLINE');
  });

  it('tells a model without a tokenizer, a gated one and a dead network apart', async () => {
    const env = { HF_HOME: folderWith({}), HF_TOKEN: 'hf_secret' };
    const absent = await failure(readTokenizerFiles('hf:org/m', { env, fetch: answers({}) }));
    expect(absent.message).toContain('no tokenizer.json');
    const gated = () => Promise.resolve(new Response('', { status: 401 }));
    expect((await failure(readTokenizerFiles('hf:org/m', { env, fetch: gated }))).hint).toContain('HF_TOKEN');
    const dead = () => Promise.reject(new TypeError('fetch failed', { cause: new Error('ENOTFOUND') }));
    const unreachable = await failure(readTokenizerFiles('hf:org/m', { env, fetch: dead }));
    expect(unreachable.message).toContain('ENOTFOUND');
    for (const { message, hint } of [absent, unreachable])
      expect(`${message}${hint}`).not.toContain('hf_secret');
  });

  it.each(['hf:', 'hf:a/b/c', 'hf:../x', 'hf:org/m@../../etc'])('refuses %s', async (choice) => {
    expect((await failure(readTokenizerFiles(choice, noNetwork))).exitCode).toBe(2);
  });
});

describe('loadTokenizer', () => {
  it.each([
    ['text', 'version https://git-lfs.github.com/spec/v1', 'is not JSON'],
    ['a list', '[]', 'is not a JSON object'],
    ['a config', '{"bos_token":"<s>"}', 'no tokenizer model'],
    ['another model', '{"model":{"type":"Quantum","vocab":{}}}', 'Quantum'],
  ])('refuses %s', (_, text, message) => {
    expect(() => loadTokenizer(inMemory(text))).toThrow(BenchError);
    expect(() => loadTokenizer(inMemory(text))).toThrow(message);
  });

  it('encodes WordPiece by its vocabulary', () => {
    const json = wordPieceJson(['bake', 'tone']);
    const { vocab } = (json as { model: { vocab: Record<string, number> } }).model;
    const tokenizer = loadTokenizer(inMemory(json));
    expect(tokenizer.encode('bake tone')).toEqual([vocab['bake'], vocab['tone']]);
    expect(tokenizer.encode('ab')).toEqual([vocab['a'], vocab['##b']]);
    expect(tokenizer.byteLevel).toBe(false);
  });

  it('recognises special tokens in the text and adds none', () => {
    const tokenizer = loadTokenizer(inMemory(byteLevelJson(['go'])));
    expect(tokenizer.encodeTokens('<s>go go</s>').tokens).toEqual(['<s>', 'go', 'Ġgo', '</s>']);
    expect(tokenizer.byteLevel).toBe(true);
    expect(tokenizer.isAdded('<s>')).toBe(true);
    expect(tokenizer.isAdded('go')).toBe(false);
  });

  it('hashes tokenizer.json as it is on disk', () => {
    const json = JSON.stringify(byteLevelJson(['go']));
    const expected = createHash('sha256').update(json).digest('hex');
    expect(loadTokenizer(inMemory(json)).hash).toBe(expected);
  });
});

describe('the embedded tokenizer', () => {
  it('holds every portable word as one token, and the first words without a space too', async () => {
    const tokenizer = loadTokenizer(await readTokenizerFiles('embedded', noNetwork));
    const read = (name: string): string[] =>
      readFileSync(new URL(`../../datasets/tokenizer/${name}`, import.meta.url), 'utf8')
        .trim()
        .split('\n');
    const words = read('words.txt');
    const firstWords = read('first-words.txt');
    expect(words.length).toBeGreaterThan(2_000);
    expect(firstWords.length).toBeGreaterThan(500);
    expect(
      words.filter((word) => !/^[a-z]+$/.test(word) || tokenizer.encode(` ${word}`).length !== 1),
    ).toEqual([]);
    expect(firstWords.filter((word) => tokenizer.encode(word).length !== 1)).toEqual([]);
    expect(firstWords.filter((word) => !words.includes(word))).toEqual([]);
  });

  it('is counted piece by piece as it encodes', async () => {
    const tokenizer = loadTokenizer(await readTokenizerFiles('embedded', noNetwork));
    const counter = await openEmbeddedCounter();
    const piece = fc.constantFrom(
      ' ',
      '  ',
      '\n',
      ' the',
      'Light',
      ' 12',
      '345',
      '.',
      " it's",
      ' 漢',
      '<|end|>',
      '\t',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 30 }), (pieces) => {
        const text = pieces.join('');
        expect(counter.count(text)).toBe(tokenizer.encode(text).length);
      }),
    );
    // Four special tokens around a user message, two around each other one.
    const ask = { role: 'user', content: 'light of the sun' };
    expect(counter.countPrompt([ask])).toBe(4 + 4);
    expect(counter.countPrompt([{ role: 'system', content: 'light' }, ask])).toBe(4 + 4 + 3);
  });

  it('encodes any bytes', async () => {
    const tokenizer = loadTokenizer(await readTokenizerFiles('embedded', noNetwork));
    const text = 'Ünïcode 漢字 🙂\n\tend\u0000';
    const { tokens } = tokenizer.encodeTokens(text);
    expect(tokens.join('').length).toBe(Buffer.byteLength(text));
  });
});
