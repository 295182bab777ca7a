/** Flags of other benchmarks that users know by heart, and what they are here. */

/** What a flag of another tool is here. */
interface ForeignFlag {
  /** The tool that has it; of several the one that is used most. */
  readonly tool: 'sglang' | 'vLLM' | 'AIPerf' | 'guidellm';
  /** Flags of ours, the first of which must be one of the command's own. */
  readonly ours?: readonly string[];
  /** How to write it here; or, without `ours`, why it has no place here. */
  readonly note?: string;
}

const OF_SGLANG: Readonly<Record<string, Omit<ForeignFlag, 'tool'>>> = {
  'num-prompts': { ours: ['requests'] },
  'request-rate': { ours: ['rate'], note: 'for inf leave it out' },
  'max-concurrency': { ours: ['concurrency'] },
  'base-url': { ours: ['url'] },
  host: { ours: ['url'], note: 'http://HOST:PORT' },
  port: { ours: ['url'], note: 'http://HOST:PORT' },
  backend: { ours: ['server'], note: 'requests are those of OpenAI chat' },
  'served-model-name': { ours: ['model'] },
  'dataset-name': { ours: ['dataset'] },
  'random-input-len': { ours: ['isl'] },
  'random-output-len': { ours: ['osl'] },
  'random-range-ratio': { ours: ['range-ratio'] },
  'sharegpt-output-len': { ours: ['osl'] },
  'sharegpt-context-len': { ours: ['dataset-max-tokens'] },
  'gsp-num-groups': { ours: ['prefix-groups'] },
  'gsp-system-prompt-len': { ours: ['prefix-tokens'] },
  'gsp-output-len': { ours: ['osl'] },
  'gsp-zipf-alpha': { ours: ['prefix-zipf'] },
  'mooncake-slowdown-factor': { ours: ['slowdown'] },
  'use-trace-timestamps': { ours: ['arrival'], note: '--arrival trace' },
  'warmup-requests': { ours: ['warmup'] },
  'extra-request-body': { ours: ['extra-body'] },
  temperature: { ours: ['extra-body'], note: `--extra-body '{"temperature": 0.7}'` },
  'top-p': { ours: ['extra-body'], note: `--extra-body '{"top_p": 0.9}'` },
  'disable-ignore-eos': { ours: ['extra-body'], note: `--extra-body '{"ignore_eos": false}'` },
  'output-file': { ours: ['out'], note: 'a folder' },
  'output-details': { note: 'each request is in records.ndjson anyway' },
  'disable-tqdm': { ours: ['quiet'] },
  'disable-stream': { note: 'TTFT and ITL need a stream' },
  'flush-cache': { note: 'no prompt repeats, so no cache has to be emptied' },
  'apply-chat-template': { note: 'the chat template is in ISL anyway' },
};

const OF_VLLM: Readonly<Record<string, Omit<ForeignFlag, 'tool'>>> = {
  goodput: { ours: ['slo'], note: '--slo ttft=2s,tpot=50ms' },
  'input-len': { ours: ['isl'] },
  'output-len': { ours: ['osl'] },
  'random-prefix-len': { ours: ['prefix-tokens'] },
  'num-warmups': { ours: ['warmup'] },
  'ramp-up-strategy': { ours: ['arrival'], note: '--arrival ramp' },
  'ramp-up-start-rps': { ours: ['rate-from'] },
  'ramp-up-end-rps': { ours: ['rate'] },
  'result-dir': { ours: ['out'] },
  'result-filename': { ours: ['name'] },
  'save-result': { note: 'results are written anyway' },
  'save-detailed': { note: 'each request is in records.ndjson anyway' },
  metadata: { ours: ['tag'] },
  label: { ours: ['tag'] },
  'top-k': { ours: ['extra-body'], note: `--extra-body '{"top_k": 20}'` },
  'ignore-eos': { note: 'it is sent to servers that know it' },
  'percentile-metrics': { note: 'all metrics are in report.json and summary.csv' },
  'metric-percentiles': { note: 'all percentiles are in report.json and summary.csv' },
  insecure: { ours: ['cacert'], note: "the server's certificate" },
  'trust-remote-code': { note: 'no code of a model is run' },
};

const OF_AIPERF: Readonly<Record<string, Omit<ForeignFlag, 'tool'>>> = {
  streaming: { note: 'requests are always streamed' },
  'request-count': { ours: ['requests'] },
  'benchmark-duration': { ours: ['duration'] },
  'benchmark-grace-period': { ours: ['grace'] },
  'warmup-request-count': { ours: ['warmup'] },
  'synthetic-input-tokens-mean': { ours: ['isl'] },
  'synthetic-input-tokens-stddev': { ours: ['isl-dist'], note: '--isl-dist normal:TOKENS' },
  'isl-stddev': { ours: ['isl-dist'], note: '--isl-dist normal:TOKENS' },
  'output-tokens-mean': { ours: ['osl'] },
  'output-tokens-stddev': { ours: ['osl-dist'], note: '--osl-dist normal:TOKENS' },
  'osl-stddev': { ours: ['osl-dist'], note: '--osl-dist normal:TOKENS' },
  'prefix-prompt-length': { ours: ['prefix-tokens'] },
  'num-prefix-prompts': { ours: ['prefix-groups'] },
  'conversation-turn-mean': { ours: ['turns'] },
  'endpoint-type': { ours: ['endpoint'] },
  'extra-inputs': { ours: ['extra-body'], note: 'a JSON object' },
  'random-seed': { ours: ['seed'] },
  'input-file': { ours: ['dataset-path'], note: 'and --dataset' },
  'custom-dataset-type': { ours: ['dataset'] },
  'public-dataset': { ours: ['dataset'], note: 'and --dataset-path' },
  'arrival-pattern': { ours: ['arrival'] },
  'request-rate-mode': { ours: ['arrival'] },
  'fixed-schedule': { ours: ['arrival'], note: '--arrival trace' },
  'num-profile-runs': { ours: ['repeats'] },
  'artifact-dir': { ours: ['out'] },
  'output-artifact-dir': { ours: ['out'] },
  'request-timeout-seconds': { ours: ['timeout-total'], note: '--timeout-total 600s' },
  'workers-max': { ours: ['workers'] },
  ui: { ours: ['quiet'] },
  m: { ours: ['model'] },
  u: { ours: ['url'] },
  H: { ours: ['header'] },
};

const OF_GUIDELLM: Readonly<Record<string, Omit<ForeignFlag, 'tool'>>> = {
  target: { ours: ['url'] },
  profile: { ours: ['concurrency'], note: 'or --rate for an open loop' },
  'rate-type': { ours: ['concurrency'], note: 'or --rate for an open loop' },
  'max-requests': { ours: ['requests'] },
  'max-seconds': { ours: ['duration'], note: '--duration 60s' },
  data: { ours: ['isl', 'osl'], note: 'or --dataset' },
  processor: { ours: ['tokenizer'] },
  'output-path': { ours: ['out'], note: 'a folder' },
  'output-dir': { ours: ['out'] },
};

const OF_TOOL = [
  ['sglang', OF_SGLANG],
  ['vLLM', OF_VLLM],
  ['AIPerf', OF_AIPERF],
  ['guidellm', OF_GUIDELLM],
] as const;

const FOREIGN: ReadonlyMap<string, ForeignFlag> = new Map(
  OF_TOOL.flatMap(([tool, flags]) =>
    Object.entries(flags).map(([name, flag]) => [name, { tool, ...flag }] as const),
  ),
);

/** What the flags of other tools among the words of a command are here. */
export interface ForeignAnswer {
  /** A sentence for each. */
  readonly lines: readonly string[];
  /** Whether sglang has one of them. */
  readonly isSglang: boolean;
}

/** Answers flags of other tools among `words`, for a command with the flags `known`; null when there is none. */
export function answerForeign(words: readonly string[], known: readonly string[]): ForeignAnswer | null {
  const names = new Set(
    words.flatMap((word) => /^--?([\w-]+)(?:=|$)/.exec(word)?.[0].replace('=', '') ?? []),
  );
  const found = [...names].flatMap((name) => {
    const flag = FOREIGN.get(name.replace(/^--?/, '').replaceAll('_', '-'));
    return flag === undefined || isOwn(name, known) || !isAnswered(flag, known) ? [] : [{ name, flag }];
  });
  if (found.length === 0) return null;
  return {
    lines: found.map(({ name, flag }) => sentence(name, flag)),
    isSglang: found.some(({ flag }) => flag.tool === 'sglang'),
  };
}

function isOwn(name: string, known: readonly string[]): boolean {
  return known.includes(name.replace(/^--?/, ''));
}

/** Whether the command has what the flag is here. */
function isAnswered({ ours }: ForeignFlag, known: readonly string[]): boolean {
  return ours === undefined ? known.includes('isl') : known.includes(ours[0]!);
}

function sentence(name: string, { tool, ours, note }: ForeignFlag): string {
  if (ours === undefined) return `${tool}'s ${name} has no place here: ${note}`;
  const flags = ours.map((flag) => `--${flag}`).join(' and ');
  return `${tool}'s ${name} is ${flags} here${note === undefined ? '' : ` (${note})`}`;
}
