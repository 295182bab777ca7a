import { sum } from './distribution.ts';
import { ttftOf } from './latencies.ts';
import type { RequestRecord } from './record.ts';
import type { Layer, SpanName } from './server-look.ts';
import type { ServerSpan } from './server-spans.ts';

/** Parts of the TTFT, in the order of time. */
export const WATERFALL_PARTS = [
  'connect',
  'preprocess',
  'queue',
  'prefill',
  'prefillWorker',
  'kvTransfer',
  'firstDecode',
  'engine',
  'serverOther',
  'unexplained',
] as const;
export type WaterfallPart = (typeof WATERFALL_PARTS)[number];

/** The mean TTFT of a level, taken apart as far as the server tells. The parts add up to `ttftMs`. */
export interface Waterfall {
  /** Requests that all means stand on. */
  readonly requests: number;
  /** Mean TTFT by the client; null where `reason` says why nothing can be taken apart. */
  readonly ttftMs: number | null;
  readonly partsMs: Readonly<Partial<Record<WaterfallPart, number>>>;
  /** The metric behind each part that the server told; `server` is its whole TTFT. */
  readonly metrics: Readonly<Partial<Record<WaterfallPart | 'server', string>>>;
  /** What the server told and what was not used, with the reason. */
  readonly left: readonly { readonly metric: string; readonly reason: string }[];
  /** Why the parts are not to be trusted: some overlap, or clocks differ; null when nothing speaks against them. */
  readonly doubt: string | null;
  readonly reason: string | null;
}

/** What each layer told over the level. */
export type LayerSpans = Partial<Record<Layer, Partial<Record<SpanName, ServerSpan>>>>;

/** Differences below this are of clocks and rounding. */
const ROUNDING_MS = 0.001;

/**
 * Takes the mean TTFT of `sent` (all requests between the two looks at the server) apart: connecting, the means that the
 * server told over exactly as many requests, what is left of the server's own TTFT (`serverOther`), and what is left of
 * the client's (`unexplained`: the network, HTTP, whatever the server does before its clock starts). Pure arithmetic on means:
 * a part that would have to be negative is told as negative, with a doubt.
 */
export function ttftWaterfall(sent: readonly RequestRecord[], told: LayerSpans): Waterfall {
  const requests = sent.length;
  const nothing = { requests, ttftMs: null, partsMs: {}, metrics: {}, left: [], doubt: null };
  if (requests === 0) return { ...nothing, reason: 'nothing was sent' };
  const blind = sent.filter(({ outcome, firstAtMs }) => outcome !== 'good' || firstAtMs === null).length;
  if (blind > 0)
    return {
      ...nothing,
      reason: `${blind} of ${requests} requests failed, were cut off or showed no text: the server's means may hold them, the client's do not`,
    };
  const left: { metric: string; reason: string }[] = [];
  const meanOf = (span: ServerSpan | undefined): ServerSpan | null => {
    if (span === undefined || span.count === requests) return span ?? null;
    const { metric, count } = span;
    left.push({ metric, reason: `the server counted ${count}, this level sent ${requests}` });
    return null;
  };
  const { frontend = {}, prefill, engine = {} } = told;
  const work = prefill ?? engine;
  const queue = meanOf(work.queueMs);
  const prefilled = meanOf(work.prefillMs);
  const whole = meanOf(frontend.ttftMs);
  const inEngine = prefill === undefined ? meanOf(engine.ttftMs) : null;
  const parts: readonly (readonly [WaterfallPart, ServerSpan | null])[] = [
    ['preprocess', meanOf(frontend.preprocessMs)],
    ['queue', queue],
    ['prefill', prefilled],
    // The time in a prefill worker is that of its queue and its prefill, where it does not tell these.
    ['prefillWorker', queue === null && prefilled === null ? meanOf(prefill?.workerMs) : null],
    ['kvTransfer', meanOf(prefill?.kvTransferMs ?? engine.kvTransferMs)],
    ['firstDecode', meanOf(engine.firstDecodeMs)],
    ['engine', whole !== null && queue === null && prefilled === null ? inEngine : null],
  ];
  const server = whole ?? inEngine;
  const known = parts.filter((part): part is readonly [WaterfallPart, ServerSpan] => part[1] !== null);
  const ttftMs = sum(sent.map(ttftOf)) / requests;
  const connectMs = sum(sent.map((record) => record.connectMs ?? 0)) / requests;
  const knownMs = sum(known.map(([, { meanMs }]) => meanMs));
  const serverOther = server === null ? null : server.meanMs - knownMs;
  const unexplained = ttftMs - connectMs - (server?.meanMs ?? knownMs);
  if (server === null && known.length === 0)
    return { ...nothing, left, reason: 'the server told no part of the TTFT over the same requests' };
  return {
    requests,
    ttftMs,
    partsMs: {
      connect: connectMs,
      ...Object.fromEntries(known.map(([name, { meanMs }]) => [name, meanMs])),
      ...(serverOther === null ? {} : { serverOther: withoutNoise(serverOther) }),
      unexplained: withoutNoise(unexplained),
    },
    metrics: {
      ...Object.fromEntries(known.map(([name, { metric }]) => [name, metric])),
      ...(server === null ? {} : { server: server.metric }),
    },
    left,
    doubt: doubtOf(serverOther, unexplained),
    reason: null,
  };
}

/** A difference of sums of binary fractions: 1e-14 ms is 0. */
function withoutNoise(ms: number): number {
  return Math.round(ms * 1e6) / 1e6 || 0;
}

function doubtOf(serverOther: number | null, unexplained: number): string | null {
  const doubts = [
    ...(serverOther !== null && serverOther < -ROUNDING_MS
      ? [`the parts are ${(-serverOther).toFixed(2)} ms longer than the server's own TTFT: they overlap`]
      : []),
    ...(unexplained < -ROUNDING_MS
      ? [`the server told ${(-unexplained).toFixed(2)} ms more than the client's TTFT`]
      : []),
  ];
  return doubts.length === 0 ? null : doubts.join('; ');
}
