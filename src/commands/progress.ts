import { quantile } from '../core/distribution.ts';
import { loadText } from '../core/load.ts';
import { printableLine } from '../core/printable.ts';
import type { Phase, RequestRecord } from '../core/record.ts';
import type { PointSpec } from '../core/spec.ts';
import { formatDuration } from '../core/units.ts';
import { isRich } from './terminal.ts';

const RICH_EVERY_MS = 200;
const PLAIN_EVERY_MS = 10_000;

/** Live progress of a run on stderr: one line that is drawn anew on a terminal that can, a plain line now and then elsewhere. */
export interface Progress {
  /** A line that stays. */
  say(line: string): void;
  phase(point: PointSpec, phase: Phase, total: number | null): void;
  /** Output came. */
  tokens(count: number): void;
  ended(record: RequestRecord): void;
  /** As `ended`, of many requests that ended elsewhere, with some of their TTFTs. */
  tally(ended: number, failed: number, ttftsMs: readonly number[]): void;
  done(): void;
}

export const SILENT: Progress = {
  say: () => undefined,
  phase: () => undefined,
  tokens: () => undefined,
  ended: () => undefined,
  tally: () => undefined,
  done: () => undefined,
};

/** `inFlight` is asked when a line is drawn. */
export function liveProgress(stream: NodeJS.WriteStream, points: number, inFlight: () => number): Progress {
  const rich = isRich(stream);
  let timer: NodeJS.Timeout | null = null;
  let label = '';
  let total: number | null = null;
  let startedMs = 0;
  let tokens = 0;
  let tokensBefore = 0;
  let drawnMs = 0;
  let ended = 0;
  let failed = 0;
  let ttfts: number[] = [];

  const outcome = (): string => {
    const ttft =
      ttfts.length === 0
        ? ''
        : `  TTFT p50 ${formatDuration(quantile(Float64Array.from(ttfts).sort(), 0.5))}`;
    return `${ttft}${failed > 0 ? `  ${failed} failed` : ''}`;
  };
  const draw = (): void => {
    const now = performance.now();
    const rate = ((tokens - tokensBefore) * 1_000) / Math.max(1, now - drawnMs);
    tokensBefore = tokens;
    drawnMs = now;
    const elapsedMs = now - startedMs;
    const left =
      total !== null && ended > 0
        ? `ETA ${formatDuration((elapsedMs / ended) * (total - ended))}`
        : formatDuration(elapsedMs);
    const line = `${label}  ${ended}${total === null ? '' : `/${total}`} done  ${inFlight()} in flight  ${rate.toFixed(0)} tok/s${outcome()}  ${left}`;
    if (rich) stream.write(`\r\x1b[2K${line.slice(0, (stream.columns || 120) - 1)}`);
    else stream.write(`${line}\n`);
  };
  const stop = (): void => {
    if (timer !== null) clearInterval(timer);
    timer = null;
    if (rich) stream.write('\r\x1b[2K');
  };

  return {
    say(line) {
      if (rich) stream.write('\r\x1b[2K');
      stream.write(`${printableLine(line)}\n`);
    },
    phase(point, phase, count) {
      stop();
      label = `[${point.index + 1}/${points}] ${loadText(point)} ${point.isl}x${point.osl}${phase === 'measured' ? '' : ` ${phase}`}`;
      total = count;
      startedMs = performance.now();
      drawnMs = startedMs;
      tokens = 0;
      tokensBefore = 0;
      ended = 0;
      failed = 0;
      ttfts = [];
      timer = setInterval(draw, rich ? RICH_EVERY_MS : PLAIN_EVERY_MS);
      timer.unref();
    },
    tokens(count) {
      tokens += count;
    },
    ended(record) {
      if (record.phase === 'hold') return;
      ended++;
      if (record.outcome !== 'good') failed++;
      if (record.firstAtMs !== null) ttfts.push(record.firstAtMs - record.sentAtMs);
    },
    tally(more, moreFailed, ttftsMs) {
      ended += more;
      failed += moreFailed;
      ttfts.push(...ttftsMs);
    },
    done() {
      if (timer === null) return;
      const took = performance.now() - startedMs;
      stop();
      stream.write(`${label}  ${ended} done in ${formatDuration(took)}${outcome()}\n`);
    },
  };
}
