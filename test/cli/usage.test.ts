import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { bench, makeFolder, newOut, startServer, startStub } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const SHAPE = ['--isl', '40', '--osl', '4'];
/** Nobody listens there, so that a value which passed would be exit 3. */
const NOBODY = ['--url', 'http://127.0.0.1:1'];
const RUN = ['run', ...NOBODY, ...SHAPE];
const MOCK_RUN = ['run', '--mock', ...SHAPE];

/** A run that is complete, a file that is none, and a tokenizer that cannot be read. */
const place = makeFolder();
const done = path.join(place, 'done');
const empty = path.join(place, 'empty');
const text = path.join(place, 'text.txt');
const json = path.join(place, 'other.json');
const broken = path.join(place, 'broken');

beforeAll(async () => {
  mkdirSync(empty);
  mkdirSync(broken);
  writeFileSync(text, 'hello\n');
  writeFileSync(json, '{"levels": 3}\n');
  writeFileSync(path.join(broken, 'tokenizer.json'), '{"model": ');
  expect((await bench([...MOCK_RUN, '--out', done, '--quiet'])).code).toBe(0);
});

/** What is typed, and what has to stand in the line and in the hint. */
const CASES: readonly (readonly [name: string, args: () => string[], line: RegExp, hint: RegExp])[] = [
  ['nothing', () => [], /say what to do/, /--help/],
  ['a misspelt command', () => ['swep', ...SHAPE], /unknown command: swep/, /did you mean sweep/],
  ['an unknown command', () => ['frobnicate'], /unknown command: frobnicate$/, /bench --help/],
  ['an unknown verb of stack', () => ['stack', 'frob'], /unknown command: stack frob$/, /bench stack --help/],
  [
    'a word too many for stack',
    () => ['stack', 'plan', 'a', 'b'],
    /unknown: "b"$/,
    /bench stack plan --help/,
  ],
  [
    'no stack file',
    () => ['stack', 'up'],
    /bench stack up: the stack file is missing$/,
    /stack up stack\.yaml/,
  ],
  [
    'a comparison of nothing',
    () => ['compare'],
    /bench compare: the baseline is missing$/,
    /results\/before/,
  ],
  [
    'a comparison of one',
    () => ['compare', 'a'],
    /bench compare: the candidate is missing$/,
    /results\/after/,
  ],
  ['a gate without a run', () => ['gate'], /bench gate: the folder of a run is missing$/, /--baseline/],
  ['a gate without a baseline', () => ['gate', 'a'], /missing: --baseline$/, /bench gate --help/],
  ['a search without limits', () => ['capacity', ...SHAPE], /missing: --slo$/, /bench capacity --help/],
  [
    'a flag of sglang',
    () => ['sweep', ...NOBODY, ...SHAPE, '--num-prompts', '10', '--goodput', 'ttft:200', 'tpot:50'],
    /^bench: sglang's --num-prompts is --requests here; vLLM's --goodput is --slo here \(/,
    /see bench sweep --help, or give sglang's flags to bench serving/,
  ],
  [
    'flags of guidellm',
    () => ['run', '--target', 'http://x', '--profile', 'sweep'],
    /^bench: guidellm's --target is --url here; guidellm's --profile is --concurrency here/,
    /^ {2}see bench run --help$/,
  ],
  [
    'a flag of AIPerf where another is missing',
    () => ['capacity', ...SHAPE, '--extra-inputs', 'a:1'],
    /^bench: AIPerf's --extra-inputs is --extra-body here/,
    /^ {2}see bench capacity --help$/,
  ],
  [
    'too high a level',
    () => [...RUN, '--concurrency', '100000'],
    /--concurrency: 100000 is outside 1 to 65536$/,
    /give at most 65536 requests in flight/,
  ],
  ['a misspelt flag', () => [...RUN, '--isll', '3'], /--isll/, /did you mean --isl\? .*bench run --help/],
  [
    'a misspelt flag of one command alone',
    () => ['sweep', ...NOBODY, ...SHAPE, '--conncurrency', '4', '--resum=x'],
    /unknown: --conncurrency, --resum$/,
    /did you mean --concurrency, --resume\?/,
  ],
  ['a flag like no other', () => [...RUN, '--frobnicate', '3'], /--frobnicate/, /^ {2}see bench run --help$/],
  ['another shell', () => ['completion', 'fish'], /no script for "fish"/, /bash, zsh/],
  ['a word too many', () => [...RUN, 'extra'], /"extra"/, /bench run --help/],
  ['no shape', () => ['sweep', ...NOBODY], /shape is missing/, /--isl 4000 --osl 1000/],
  ['half a shape', () => ['sweep', ...NOBODY, '--isl', '3'], /shape is missing/, /--osl/],
  ['a bad shape', () => ['sweep', ...NOBODY, '--shape', '4000'], /--shape: "4000"/, /4000x1000/],
  ['zero tokens', () => ['run', ...NOBODY, '--isl', '40', '--osl', '0'], /OSL 0/, /tokens/],
  ['words for a number', () => ['run', ...NOBODY, '--isl', 'many', '--osl', '2'], /--isl/, /number/],
  ['no value', () => [...RUN, '--gpus'], /--gpus: its value is missing/, /--gpus/],
  ['an option twice', () => [...RUN, '--isl', '50'], /--isl: given more than once/, /once/],
  ['no URL', () => ['run', ...SHAPE, '--url'], /--url: its value is missing/, /--url/],
  ['an empty URL', () => ['run', ...SHAPE, '--url', ''], /--url/, /http/],
  ['a bad URL', () => ['run', ...SHAPE, '--url', 'ftp://x'], /--url: "ftp:\/\/x"/, /http:\/\//],
  ['a password in the URL', () => ['run', ...SHAPE, '--url', 'http://u:pw@x'], /--url/, /--api-key/],
  [
    'an unknown metric to be valid',
    () => [...RUN, '--require-valid=tpot,p99'],
    /--require-valid: "p99" is not one of ttft, itl, tpot, e2e, throughput$/,
    /--require-valid=ttft,tpot/,
  ],
  ['a no before a value', () => [...RUN, '--no-gpus'], /--no-gpus/, /leave it out/],
  ['level zero', () => ['sweep', ...NOBODY, ...SHAPE, '--concurrency', '0'], /--concurrency: 0/, /./],
  [
    'a bad level',
    () => ['sweep', ...NOBODY, ...SHAPE, '--concurrency', '1,x'],
    /--concurrency: "x"/,
    /1\.\.128x2/,
  ],
  [
    'a falling range',
    () => ['sweep', ...NOBODY, ...SHAPE, '--concurrency', '8..2'],
    /"8\.\.2"/,
    /1\.\.128x2/,
  ],
  ['a level twice', () => ['sweep', ...NOBODY, ...SHAPE, '--concurrency', '2,2'], /2 is named twice/, /once/],
  ['two levels for run', () => [...RUN, '--concurrency', '1,2'], /one point, not 2/, /bench sweep/],
  ['no unit', () => ['sweep', ...NOBODY, ...SHAPE, '--pause', '5'], /--pause: "5"/, /500ms/],
  ['no duration', () => [...RUN, '--timeout-first', '3x'], /--timeout-first: "3x"/, /500ms/],
  [
    'two ways to say the shape',
    () => ['sweep', ...NOBODY, ...SHAPE, '--shape', '3x3'],
    /--shape and --isl: both/,
    /--shape alone/,
  ],
  ['a number that is none', () => [...RUN, '--gpus', '4k'], /--gpus: "4k" is not a number/, /give a number/],
  ['two bounds', () => [...RUN, '--requests', '3', '--duration', '1s'], /--requests and --duration/, /one/],
  ['no requests', () => [...RUN, '--requests', '0'], /--requests: 0/, /number/],
  ['a ratio above 1', () => [...RUN, '--range-ratio', '1.5'], /--range-ratio: 1.5/, /range/],
  [
    'too much skipped',
    () => ['sweep', ...NOBODY, ...SHAPE, '--concurrency', '1,2', '--skip', '2'],
    /--skip: 2/,
    /./,
  ],
  [
    'a folder with a run',
    () => [...RUN, '--out', done],
    /--out: .*already holds a run/,
    /bench sweep --resume/,
  ],
  ['a folder that cannot be', () => [...RUN, '--out', path.join(text, 'x')], /--out: cannot write/, /folder/],
  [
    'no tokenizer',
    () => [...MOCK_RUN, '--tokenizer', '/no/where'],
    /--tokenizer: .*\/no\/where/,
    /tokenizer\.json/,
  ],
  ['a broken tokenizer', () => [...MOCK_RUN, '--tokenizer', broken], /tokenizer\.json/, /./],
  ['a header without a colon', () => [...RUN, '--header', 'foo'], /--header/, /X-Team: serving/],
  ['a header of two lines', () => [...RUN, '--header', 'X-A: b\r\nX-C: d'], /--header/, /one line/],
  ['a header of the wire', () => [...RUN, '--header', 'Content-Length: 3'], /Content-Length/, /leave it out/],
  ['a body that is no JSON', () => [...RUN, '--extra-body', '{a'], /--extra-body: not JSON/, /top_p/],
  ['a body that is a list', () => [...RUN, '--extra-body', '[1]'], /not a JSON object/, /top_p/],
  ['a certificate alone', () => [...RUN, '--cert', text], /--cert and --key/, /both/],
  ['no certificate', () => [...RUN, '--cacert', '/no/pem'], /--cacert: cannot read \/no\/pem/, /PEM/],
  ['a tag without a value', () => [...RUN, '--tag', 'foo'], /--tag: "foo"/, /cluster=/],
  ['a limit of nothing', () => [...RUN, '--slo', 'itl=5ms'], /--slo: "itl=5ms" is no limit/, /ttft=2s/],
  ['a limit without a unit', () => [...RUN, '--slo', 'ttft=5'], /--slo ttft: "5" is not a duration/, /500ms/],
  ['a limit twice', () => [...RUN, '--slo', 'ttft=5s,ttft=6s'], /--slo: ttft is given twice/, /once/],
  ['a bad choice', () => [...RUN, '--server', 'foo'], /--server: "foo"/, /auto, mock, dynamo/],
  ['a bad wire', () => [...RUN, '--wire', 'foo'], /--wire: "foo"/, /auto, kernel, socket, undici/],
  [
    'a bad flag for the mock',
    () => [...MOCK_RUN, '--mock-flags', '--stepp 3ms'],
    /--mock-flags: .*--stepp/,
    /mock --help/,
  ],
  ['a bad fault', () => ['mock', '--port', '0', '--fault', 'oops'], /--fault: "oops"/, /http-500/],
  ['an unknown client', () => ['conformance', '--client', 'oops'], /--client: "oops"/, /bench, sglang/],
  ['an unknown case', () => ['conformance', '--cases', 'one,oops'], /--cases: "oops"/, /usual/],
  ['cases and quick', () => ['conformance', '--cases', 'one', '--quick'], /--quick/, /one of them/],
  ['a result without a truth', () => ['conformance', '--result', json], /--truth and --result/, /both/],
  [
    'a truth that is none',
    () => ['conformance', '--truth', json, '--result', json],
    /other\.json is no log/,
    /--truth/,
  ],
  ['a bad port', () => ['mock', '--port', '70000'], /--port: 70000/, /number/],
  ['to resume what is complete', () => ['sweep', ...NOBODY, '--resume', done], /is complete/, /bench report/],
  ['to resume nothing', () => ['sweep', ...NOBODY, '--resume', empty], /no report\.json/, /folder of a run/],
  ['a report of nothing', () => ['report', '/no/where'], /cannot read \/no\/where/, /results\/sample/],
  ['a report without a folder', () => ['report'], /folder of a run is missing/, /bench report/],
  ['a report of text', () => ['report', text], /text\.txt/, /folder of a run/],
  ['a report of other JSON', () => ['report', json], /no report of bench/, /folder of a run/],
  ['a report of an empty folder', () => ['report', empty], /report\.json/, /folder of a run/],
  ['prompts of no length', () => ['prompts'], /--isl/, /prompts --help/],
  ['no prompts', () => ['prompts', '--isl', '5', '--count', '0'], /--count: 0/, /number/],
];

describe('wrong usage', () => {
  it.each(CASES)('%s: one line and a hint, exit 2', async (_name, args, line, hint) => {
    const cwd = makeFolder();
    const ended = await benchHere(args(), { cwd });
    expect(ended.stdout).toBe('');
    const lines = ended.stderr.trimEnd().split('\n');
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^bench: \S/);
    expect(lines[0]).toMatch(line);
    expect(lines[1]).toMatch(/^ {2}\S/);
    expect(lines[1]).toMatch(hint);
    expect(ended.code).toBe(2);
    // Nothing was measured, so nothing is left but the empty folder of all results.
    expect(readdirSync(cwd, { recursive: true }).filter((name) => name !== 'results')).toEqual([]);
  });

  it.each([
    ['nothing'],
    ['a misspelt flag'],
    ['no shape'],
    ['a bad port'],
  ])('%s: the same from outside', async (name) => {
    const words = CASES.find(([of]) => of === name)![1]();
    expect(await bench(words)).toEqual(await benchHere(words));
  });
});

describe('the language of the user', () => {
  it('changes nothing', async () => {
    for (const args of [['compare'], ['capacity'], ['frobnicate']])
      expect(await bench(args, { env: { LC_ALL: 'de_DE.UTF-8' } })).toEqual(await bench(args));
  });
});

describe('bench completion', () => {
  it('prints the script of the shell that is named, whatever SHELL is', async () => {
    const bash = await bench(['completion', 'bash'], { env: { SHELL: '/bin/zsh' } });
    expect(bash.code).toBe(0);
    expect(bash.stdout).toContain('complete -o bashdefault');
    const zsh = await bench(['completion', 'zsh']);
    expect(zsh.code).toBe(0);
    expect(zsh.stdout).toMatch(/^#compdef bench\n/);
    expect((await bench(['completion'], { env: { SHELL: '/bin/zsh' } })).stdout).toBe(zsh.stdout);
  });

  it('has a help', async () => {
    const help = await bench(['completion', '--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(/^bench completion \[bash\|zsh\]\n/);
  });
});

describe('a target that is not ready', () => {
  it('is exit 3 with the reason, and the same --out may be used again', async () => {
    const out = newOut();
    const wrong = await bench(['run', '--url', 'http://127.0.0.1:1', ...SHAPE, '--out', out]);
    expect(wrong).toMatchObject({ code: 3, stdout: '' });
    expect(wrong.stderr).toMatch(/^bench: no server answers at http:\/\/127\.0\.0\.1:1: .*ECONNREFUSED/);
    expect((await bench([...MOCK_RUN, '--out', out])).code).toBe(0);
  });

  it('is exit 2 when several models are listed and none is named, else the named one is asked', async () => {
    const asked: unknown[] = [];
    const url = await startStub({ models: ['a', 'b'], seen: ({ model }) => asked.push(model) });
    const unclear = await bench(['run', '--url', url, ...SHAPE, '--out', newOut()]);
    expect(unclear).toMatchObject({ code: 2, stdout: '' });
    expect(unclear.stderr).toMatch(/serves 2 models: a, b\n {2}choose one with --model/);
    expect(asked).toEqual([]);
    const named = await bench(['run', '--url', url, '--model', 'b', ...SHAPE, '--out', newOut()]);
    expect(named.code).toBe(0);
    expect(new Set(asked)).toEqual(new Set(['b']));
  });

  it('is exit 3 when no model is listed yet', async () => {
    const url = await startStub({ models: [] });
    const ended = await bench(['run', '--url', url, ...SHAPE, '--out', newOut()]);
    expect(ended.code).toBe(3);
    expect(ended.stderr).toContain('lists no model yet');
  });

  it('is told by bench check', async () => {
    const server = await startServer('--ttft 10ms --step 1ms');
    const good = await bench(['check', '--url', server.url]);
    expect(good).toMatchObject({ code: 0, stderr: '' });
    expect(good.stdout).toMatch(/^models: +mock$/m);
    expect(good.stdout).toMatch(/^server: +mock \(probed\)$/m);
    expect(good.stdout).toMatch(/^usage: +\d+ prompt tokens, 30 completion tokens$/m);
    const bad = await bench(['check', '--url', server.url, '--header', 'x-mock-fault: http-503']);
    expect(bad.code).toBe(3);
    expect(bad.stderr).toContain('status 503: Service is overloaded');
    expect(bad.stderr).not.toContain('bench check');
    const wrong = await bench(['check', '--url', server.url, '--model', 'wrong']);
    expect(wrong.code).toBe(3);
    expect(wrong.stderr).toMatch(/does not list the model "wrong" \(it lists mock\)/);
    expect(wrong.stderr).toMatch(/\n {2}name a listed one with --model\n$/);
  });
});
