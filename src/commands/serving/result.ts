import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { least } from '../../core/distribution.ts';
import { errorText } from '../../core/errors.ts';
import type { FinishedRequest } from '../../core/record-builder.ts';
import type { LevelReport } from '../../core/report.ts';
import { isIn, type SglangRun } from '../../exporters/sglang/layouts.ts';
import { sglangGoodput, sglangMetrics } from '../../exporters/sglang/metrics.ts';
import { type SglangRow, sglangRow } from '../../exporters/sglang/rows.ts';
import { chunkTokensInChild } from '../prompt-child.ts';
import type { ServingArgs } from './arguments.ts';
import type { ServingWatch } from './watch.ts';

export interface ServingOutcome {
  readonly args: ServingArgs;
  readonly watch: ServingWatch;
  readonly level: LevelReport;
  /** As `--tokenizer` would name it. */
  readonly tokenizer: string;
  /** Gives up counting the texts again; what was measured stays. */
  readonly signal: AbortSignal;
  readonly warn: (text: string) => void;
}

/** The run as sglang.bench_serving would tell it; null when nothing in it ended well by the chosen reading. */
export async function servingRun(outcome: ServingOutcome): Promise<SglangRun | null> {
  const { args, watch, level } = outcome;
  const { acceptLength, info } = watch.server;
  const tokenItl = sharesGaps(args, acceptLength);
  const rows = await makeRows(outcome, tokenItl);
  const startAtMs = least(watch.requests.map(({ record }) => record.sentAtMs));
  const durationS = args.bugCompatible
    ? (watch.clockStoppedAtMs - startAtMs) / 1_000
    : (level.durationS ?? 0);
  const metrics = sglangMetrics(rows, durationS, { tokenItl, truePeaks: !args.bugCompatible });
  if (metrics === null) return null;
  return {
    tag: args.tag,
    backend: args.backend,
    datasetName: args.datasetName,
    requestRate: args.requestRate,
    maxConcurrency: args.maxConcurrency,
    sharegptOutputLen: args.sharegptOutputLen,
    randomInputLen: args.randomInputLen,
    randomOutputLen: args.randomOutputLen,
    randomRangeRatio: args.randomRangeRatio,
    serverInfo: info,
    acceptLength,
    durationS,
    rows,
    metrics,
    goodput: args.goodput === null ? null : sglangGoodput(rows, args.goodput, durationS),
    cacheReport: args.cacheReport,
  };
}

/** Whether a gap is shared among the tokens of its chunk: where the server speculates, and sglang's release did so already. */
function sharesGaps({ bugCompatible, layout }: ServingArgs, acceptLength: number | null): boolean {
  if (acceptLength === null || acceptLength <= 0) return false;
  return !bugCompatible || isIn('2025-11', layout);
}

async function makeRows(outcome: ServingOutcome, tokenItl: boolean): Promise<SglangRow[]> {
  const { args, watch } = outcome;
  const { requests } = watch;
  const reading = args.bugCompatible ? 'bug-compatible' : 'strict';
  const originAtMs = least(requests.map(({ record }) => record.sentAtMs));
  const texts = requests.map(({ text }) => text?.bytes ?? new Uint8Array());
  const counted = await countTexts(texts, outcome);
  const perGap =
    tokenItl && args.bugCompatible && counted !== null ? await countEachChunk(requests, outcome) : null;
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return requests.map(({ record }, i) =>
    sglangRow(record, reading, originAtMs, {
      text: decoder.decode(texts[i]),
      retokLen: counted === null ? null : counted[i]!,
      chunkTokens: perGap?.[i] ?? (record.chunkTokens === null ? null : [...record.chunkTokens.slice(1)]),
    }),
  );
}

/** Tokens of each text by the local tokenizer, whole and without special tokens; null, with a warning, when that fails. */
async function countTexts(
  texts: readonly Uint8Array[],
  { tokenizer, signal, warn }: ServingOutcome,
): Promise<number[] | null> {
  let folder: string | null = null;
  try {
    folder = mkdtempSync(path.join(os.tmpdir(), 'bench-'));
    const counts = await chunkTokensInChild(
      texts.map((text) => ({ text, ends: Uint32Array.of(text.length), completionTokens: null })),
      { name: tokenizer, estimates: false },
      folder,
      { signal },
    );
    return counts.map((count) => count[0]!);
  } catch (error) {
    const why = signal.aborted ? 'interrupted' : errorText(error);
    warn(`the retokenised count is unknown: ${why}`);
    return null;
  } finally {
    if (folder !== null) rmSync(folder, { recursive: true, force: true });
  }
}

/** Tokens of each chunk behind a gap, each chunk encoded alone, as sglang does. */
async function countEachChunk(
  requests: readonly FinishedRequest[],
  outcome: ServingOutcome,
): Promise<number[][] | null> {
  const pieces = requests.map(({ text }) =>
    text === null
      ? []
      : Array.from({ length: text.ends.length }, (_, i) =>
          text.bytes.subarray(i === 0 ? 0 : text.ends[i - 1]!, text.ends[i]!),
        ),
  );
  const counts = await countTexts(pieces.flat(), outcome);
  if (counts === null) return null;
  let at = 0;
  return pieces.map((ones) => {
    const own = counts.slice(at, at + ones.length);
    at += ones.length;
    return own.slice(1);
  });
}
