import type { Kind } from '../../core/kind.ts';

/** A load against a server with a known schedule. */
export interface Case extends Kind {
  /** Whether `--quick` takes it. */
  readonly quick: boolean;
  readonly concurrency: number;
  readonly requests: number;
  /** Input and output length of each request, in tokens. */
  readonly isl: number;
  readonly osl: number;
  /** Flags of `bench mock`. */
  readonly mock: readonly string[];
  /** The client gets one core, however many there are. */
  readonly oneCore: boolean;
}

/** One in four requests goes wrong; with this seed none of the first ten, which may be a client's probes. */
const SOME_FAULTS = ['--fault-rate', '0.25', '--seed', '365', '--ttft', '40ms', '--step', '5ms', '--spread'];
const USUAL = { isl: 64, osl: 40, concurrency: 16, requests: 48, quick: false, oneCore: false };
const USUAL_PACE = ['--ttft', '80ms', '--step', '10ms', '--spread'];

/** All cases, in the order in which they run. */
export const CASES: readonly Case[] = [
  {
    ...USUAL,
    name: 'one',
    about: 'one request at a time',
    concurrency: 1,
    requests: 6,
    osl: 30,
    mock: ['--ttft', '50ms', '--step', '10ms'],
  },
  {
    ...USUAL,
    name: 'usual',
    about: '16 streams, a token each 10 ms',
    quick: true,
    mock: USUAL_PACE,
  },
  {
    ...USUAL,
    name: 'slow',
    about: '8 streams, a token each 40 ms',
    concurrency: 8,
    requests: 16,
    osl: 20,
    mock: ['--ttft', '200ms', '--step', '40ms', '--spread'],
  },
  {
    ...USUAL,
    name: 'fast',
    about: '8 streams, a token each 2 ms',
    concurrency: 8,
    requests: 24,
    osl: 200,
    mock: ['--ttft', '30ms', '--step', '2ms', '--spread'],
  },
  {
    ...USUAL,
    name: 'crowd',
    about: '128 streams, a token each 20 ms',
    concurrency: 128,
    requests: 256,
    mock: ['--ttft', '100ms', '--step', '20ms', '--spread'],
  },
  {
    ...USUAL,
    name: 'tokens-4',
    about: 'four tokens in each chunk',
    quick: true,
    osl: 80,
    mock: ['--ttft', '80ms', '--step', '20ms', '--spread', '--tokens-per-chunk', '4'],
  },
  {
    ...USUAL,
    name: 'tokens-1-2-3',
    about: 'one, two and three tokens in a chunk, in turn',
    osl: 80,
    mock: [...USUAL_PACE, '--tokens-per-chunk', '1,2,3'],
  },
  {
    ...USUAL,
    name: 'role',
    about: 'a chunk with the role alone at arrival, then eight tokens of reasoning',
    mock: [...USUAL_PACE, '--role-chunk', '--reasoning', '8'],
  },
  { ...USUAL, name: 'crlf', about: 'lines end in CR LF', mock: [...USUAL_PACE, '--framing', 'crlf'] },
  {
    ...USUAL,
    name: 'split',
    about: 'each write cut in two at any byte, text of many bytes per character',
    mock: [...USUAL_PACE, '--framing', 'split', '--text', 'unicode'],
  },
  { ...USUAL, name: 'batch', about: 'four events in a write', mock: [...USUAL_PACE, '--framing', 'batch'] },
  {
    ...USUAL,
    name: 'comments',
    about: 'a comment before each event',
    mock: [...USUAL_PACE, '--framing', 'comments'],
  },
  {
    ...USUAL,
    name: 'no-usage',
    about: 'the server does not count',
    mock: [...USUAL_PACE, '--no-usage', '--tokens-per-chunk', '2'],
  },
  ...(
    [
      ['http-500', 'status 500 for one request in four', false],
      ['reset-mid', 'one request in four reset in the middle of its output', false],
      ['cut', 'one request in four cut in the middle of its output', false],
      ['truncate', 'one request in four ended in the middle of its output, without [DONE]', true],
      ['error-event', 'an error event in the middle of one request in four, then [DONE]', false],
      ['malformed', 'an event of broken JSON in one request in four', false],
    ] as const
  ).map(([name, about, quick]) => ({
    ...USUAL,
    name,
    about,
    quick,
    osl: 20,
    mock: [...SOME_FAULTS, '--fault', name],
  })),
  {
    ...USUAL,
    name: 'loaded',
    about: '256 streams, 20,000 events per second, one core for the client',
    concurrency: 256,
    requests: 768,
    isl: 32,
    osl: 200,
    // Spread over a step, the first tokens come 100 ms after the request in the mean.
    mock: ['--ttft', '93.6ms', '--step', '12.8ms', '--spread'],
    oneCore: true,
  },
];
