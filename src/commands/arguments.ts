import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { HEADLINE_METRICS } from '../core/audit-facts.ts';
import { errorText, usageError } from '../core/errors.ts';
import type { SloName, SlosMs } from '../core/slo.ts';
import type { PromptSpec, RunSpec, TimeoutSpec } from '../core/spec.ts';
import { parseDurationMs } from '../core/units.ts';
import { parseTarget } from '../endpoints/target.ts';
import type { Target, TlsMaterial } from '../endpoints/wire.ts';
import { parseAskedShapes, parseDataset, refuseSilentRepeats } from './dataset-options.ts';
import { DEFAULT_LEVELS, makePoints } from './levels.ts';
import { parseServerMetrics } from './metric-sources.ts';
import { inRange, positiveMs, whole } from './number-checks.ts';
import type { MeasureArgs } from './options.ts';
import { parseLoads } from './rates.ts';
import type { TargetHints } from './target-hints.ts';
import type { TargetArgs } from './target-options.ts';

/** Everything about a target that must not reach a file. */
export interface TargetAccess {
  readonly targets: readonly Target[];
  readonly headers: readonly (readonly [string, string])[];
  readonly tls: TlsMaterial | null;
  /** The option or variable that the key is from; left out where none is sent. */
  readonly keyFrom?: string;
  /** Where the command has other flags than `--url` and `--model`. */
  readonly hints?: TargetHints;
}

/** Headers that the wire sets itself. */
const WIRE_HEADERS = new Set(['content-length', 'transfer-encoding', 'connection', 'host', 'x-request-id']);

/** Headers in which gateways take a key. */
const KEY_HEADER = /^(?:authorization|(?:x-)?api-key|x-goog-api-key|ocp-apim-subscription-key)$/i;

function checkHeaderValue(name: string, value: string, flag: string): void {
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
    throw usageError(
      `${flag}: the value of ${name} has a character that no header can carry`,
      'use printable characters on one line',
    );
  }
}

/** The key in a variable, without the line feed that a file of it ends with; undefined where there is none. Exit 2 when no header can carry it. */
export function keyOf(variable: 'OPENAI_API_KEY' | 'API_KEY'): string | undefined {
  const key = process.env[variable]?.trim();
  if (key) checkHeaderValue('Authorization', key, variable);
  return key || undefined;
}

/** `--url`, `--header`, `--api-key` and the TLS files, read and checked. Exit 2 on bad values, which are not shown. */
export function parseAccess(args: TargetArgs): TargetAccess {
  const headers = new Map<string, readonly [string, string]>();
  const set = (name: string, value: string, flag: string): void => {
    checkHeaderValue(name, value, flag);
    headers.set(name.toLowerCase(), [name, value]);
  };
  set('Content-Type', 'application/json', '--header');
  set('Accept', 'text/event-stream', '--header');
  const keyFlag = args['api-key'] === undefined ? 'OPENAI_API_KEY' : '--api-key';
  const apiKey = args['api-key'] ?? keyOf('OPENAI_API_KEY');
  if (apiKey) set('Authorization', `Bearer ${apiKey}`, keyFlag);
  let keyFrom = apiKey ? keyFlag : null;
  for (const header of args.header) {
    const match = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*[:=]\s*(.*)$/s.exec(header);
    if (!match)
      throw usageError('--header: a header has no "Name: value" form', 'write --header "X-Team: serving"');
    if (WIRE_HEADERS.has(match[1]!.toLowerCase())) {
      throw usageError(`--header: ${match[1]} is set by bench itself`, 'leave it out');
    }
    set(match[1]!, match[2]!, '--header');
    if (KEY_HEADER.test(match[1]!)) keyFrom = `--header ${match[1]}`;
  }
  const read = (flag: 'cacert' | 'cert' | 'key'): Buffer | null => {
    const file = args[flag];
    if (file === undefined) return null;
    try {
      return readFileSync(file);
    } catch (error) {
      throw usageError(`--${flag}: cannot read ${file} (${errorText(error)})`, 'name a readable PEM file');
    }
  };
  const tls = { ca: read('cacert'), cert: read('cert'), key: read('key') };
  if ((tls.cert === null) !== (tls.key === null))
    throw usageError('--cert and --key go together', 'give both or none');
  return {
    targets: args.url.map((url) => parseTarget(url, '--url', { path: args.path, query: args.query })),
    headers: [...headers.values()],
    tls: tls.ca || tls.cert ? tls : null,
    ...(keyFrom === null ? {} : { keyFrom }),
  };
}

/** All options of the prompts. Exit 2 on bad values. */
export function parsePrompts(
  args: Parameters<typeof parseDataset>[0] & Pick<MeasureArgs, 'tokenizer' | 'isl-counts' | 'seed' | 'salt'>,
): PromptSpec {
  return {
    tokenizer: args.tokenizer ?? 'embedded',
    islCounts: args['isl-counts'] as PromptSpec['islCounts'],
    rangeRatio: inRange(args['range-ratio'], 0, 1, '--range-ratio'),
    text: args.text as PromptSpec['text'],
    seed: whole(args.seed, 0, '--seed'),
    salt: args.salt ?? newSalt(),
    ...parseDataset(args),
  };
}

/** argv into the one spec, checked; what it says is trusted from here on. Exit 2 on bad values. */
export function parseSpec(args: MeasureArgs, access: TargetAccess, verb: string): RunSpec {
  const shapes = parseAskedShapes(args);
  const prompts = parsePrompts(args);
  const { loads, ...arrival } = parseLoads(args, prompts, verb === 'run' ? '1' : DEFAULT_LEVELS);
  const points = makePoints(shapes, loads);
  const isEndless = args['hold-load'] || points.some(({ requests }) => requests === null);
  refuseSilentRepeats(prompts, isEndless ? (args['hold-load'] ? '--hold-load' : '--duration') : null);
  const skip = whole(args.skip, 0, '--skip');
  if (skip >= points.length)
    throw usageError(`--skip: ${skip} leaves none of ${points.length} points`, 'skip fewer');
  return {
    schema: 1,
    name: args.name ?? verb,
    urls: access.targets.map((target) => target.url),
    model: args.model ?? null,
    endpoint: args.endpoint,
    server: args.server,
    ...arrival,
    dataset: args.dataset,
    points,
    skip,
    pauseMs: parseDurationMs(args.pause, '--pause'),
    graceMs: parseDurationMs(args.grace, '--grace'),
    holdLoad: args['hold-load'],
    wire: args.wire as RunSpec['wire'],
    connectionPerRequest: args['connection-per-request'],
    timeouts: parseTimeouts(args),
    prompts,
    extraBody: parseExtraBody(args['extra-body']),
    ...parseOmit(args.omit),
    // A query in it is in the URLs, its secrets masked.
    ...(args.path === undefined ? {} : { requestPath: args.path.replace(/\?.*/s, '') }),
    headerNames: access.headers.map(([name]) => name),
    gpus: args.gpus === undefined ? null : whole(args.gpus, 1, '--gpus'),
    ...(args.slo === undefined ? {} : { slosMs: parseSlos(args.slo) }),
    tags: parseTags(args.tag),
    ...parseServerMetrics(args['server-metrics']),
    requireExact: args['require-exact'],
    requireValid: parseRequireValid(args['require-valid']),
    maxFailureRatio: inRange(args['max-failure-ratio'], 0, 1, '--max-failure-ratio'),
  };
}

/** The four `--timeout-*` options in milliseconds. */
export function parseTimeouts(args: TargetArgs): TimeoutSpec {
  return {
    connectMs: parseDurationMs(args['timeout-connect'], '--timeout-connect'),
    firstMs: parseDurationMs(args['timeout-first'], '--timeout-first'),
    idleMs: parseDurationMs(args['timeout-idle'], '--timeout-idle'),
    totalMs: parseDurationMs(args['timeout-total'], '--timeout-total'),
  };
}

/** Twelve random hex digits: two runs that share them are a one in 2⁴⁸ chance. */
export function newSalt(): string {
  return randomBytes(6).toString('hex');
}

/** `--extra-body` as an object. Exit 2 when it is none. */
export function parseExtraBody(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usageError(`--extra-body: not JSON (${errorText(error)})`, `write --extra-body '{"top_p": 0.9}'`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw usageError('--extra-body: not a JSON object', `write --extra-body '{"top_p": 0.9}'`);
  }
  return value as Record<string, unknown>;
}

/** `--omit` as the spec has it. Exit 2 on what is no field, and on one that there is no stream without. */
export function parseOmit(fields: readonly string[]): Pick<RunSpec, 'omit'> {
  for (const field of fields) {
    if (!/^[\w-]+(?:\.[\w-]+)?$/.test(field))
      throw usageError(
        `--omit: "${field}" is no field`,
        'write --omit temperature, or --omit stream_options.include_usage',
      );
    if (field === 'messages' || field === 'stream')
      throw usageError(`--omit: without ${field} there is no stream to measure`, 'leave out another field');
  }
  return fields.length === 0 ? {} : { omit: [...new Set(fields)] };
}

/** What `--slo` calls a latency, and what the spec does. */
const SLO_WORDS: Readonly<Record<string, SloName>> = { ttft: 'ttft', tpot: 'tpot', e2e: 'e2el' };

/** `--slo` as limits in ms. Exit 2 on anything else. */
function parseSlos(text: string): SlosMs {
  const limits: Partial<Record<SloName, number>> = {};
  for (const part of text.split(',').map((word) => word.trim())) {
    const [word = '', value = ''] = part.split('=', 2);
    const name = SLO_WORDS[word];
    if (name === undefined)
      throw usageError(
        `--slo: "${part}" is no limit`,
        'write --slo ttft=2s,tpot=50ms,e2e=30s, or some of these',
      );
    if (limits[name] !== undefined) throw usageError(`--slo: ${word} is given twice`, 'give it once');
    limits[name] = positiveMs(parseDurationMs(value, `--slo ${word}`), `--slo ${word}`);
  }
  return limits;
}

/** `--require-valid`, alone for all metrics; as a switch it may be given again, and the last one counts. Exit 2 on an unknown metric. */
export function parseRequireValid(given: unknown): RunSpec['requireValid'] {
  const words = [given ?? false].flat().map(String);
  const last = words.at(-1)!;
  const isSwitch = (word: string): boolean => word === 'true' || word === 'false';
  if (words.every(isSwitch)) return last === 'true';
  if (words.length > 1)
    throw usageError('--require-valid: given more than once', 'write --require-valid=ttft,tpot');
  const names = last.split(',').map((word) => word.trim());
  const unknown = names.find((name) => !HEADLINE_METRICS.some((metric) => metric === name));
  if (unknown !== undefined)
    throw usageError(
      `--require-valid: "${unknown}" is not one of ${HEADLINE_METRICS.join(', ')}`,
      'write --require-valid=ttft,tpot, or --require-valid for all',
    );
  return HEADLINE_METRICS.filter((metric) => names.includes(metric));
}

function parseTags(tags: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    tags.map((tag) => {
      const at = tag.indexOf('=');
      if (at < 1) throw usageError(`--tag: "${tag}" is no key=value`, 'write --tag cluster=gb200');
      return [tag.slice(0, at), tag.slice(at + 1)];
    }),
  );
}
