import type { Report } from '../core/report.ts';
import type { Spread } from '../core/spec.ts';
import { ENOUGH_SAMPLES } from '../core/stats.ts';
import { formatDuration } from '../core/units.ts';
import { grouped } from './figures.ts';
import { hasShapes } from './level-names.ts';
import { BENT, ESTIMATED } from './marks.ts';
import type { Note } from './note.ts';
import { runNotes } from './notes.ts';
import { asDrawn, harmless, type PageStyle, paint, wrap } from './page-style.ts';
import { summaryTable } from './summary-table.ts';
import { renderHistograms } from './text-histogram.ts';

export interface ReportPage extends PageStyle {
  /** Whether the text histograms of each level stand below the notes. */
  readonly histograms: boolean;
  /** Points whose histograms are drawn; all when left out. */
  readonly histogramPoints?: readonly number[];
}

/** Columns before a note's text: mark, topic, gap. */
const INDENT = 14;
/** A narrower page breaks its lines here. */
const LEAST_TEXT = 30;

/** The whole terminal page of a run: what ran, the table, what to know about it, and histograms if asked. */
export function renderReport(report: Report, style: ReportPage): string {
  const table = summaryTable(report, style);
  const hints: Note[] = [];
  if (table.marked) {
    hints.push({
      topic: '~',
      text: `fewer requests stand behind this p99 than it needs (${ENOUGH_SAMPLES.p99}): take it as rough`,
      loud: false,
    });
  }
  if (table.doubtful) {
    hints.push({ topic: '?', text: 'not valid: the reason stands under "harness"', loud: false });
  }
  if (table.bent) {
    hints.push({ topic: BENT, text: 'events came in groups: see "bursts"', loud: false });
  }
  if (table.estimated) {
    const text =
      "an estimate: counted by a tokenizer that is not the model's, since the server sends no usage";
    hints.push({ topic: ESTIMATED, text, loud: false });
  }
  if (table.dropped.length > 0) {
    const text = `left out for the width, as all else in summary.csv: ${table.dropped.join(', ')}`;
    hints.push({ topic: 'columns', text, loud: false });
  }
  hints.push({
    topic: 'definitions',
    text: 'each number is defined in report.json, under "definitions"',
    loud: false,
  });
  const notes = [...runNotes(report), ...hints];
  const loud = noteLines(
    notes.filter((note) => note.loud),
    style,
  );
  const calm = noteLines(
    notes.filter((note) => !note.loud),
    style,
  );
  const parts = [headLines(report, style), table.lines, loud, calm].filter((part) => part.length > 0);
  const page = asDrawn(style, `${parts.map((part) => part.join('\n')).join('\n\n')}\n`);
  const histograms = style.histograms ? renderHistograms(report, style, style.histogramPoints) : '';
  return histograms === '' ? page : `${page}\n${histograms}`;
}

function headLines(report: Report, style: PageStyle): string[] {
  const { spec, target } = report;
  const detail = report.statusDetail === null ? '' : `: ${harmless(report.statusDetail)}`;
  const status = `${report.status}${detail}`;
  const tookMs =
    report.finishedUtc === null ? Number.NaN : Date.parse(report.finishedUtc) - Date.parse(report.origin.utc);
  const facts = [
    ...(hasShapes(report) || report.levels.length === 0 ? [] : askedLengths(report)),
    ...(spec.prompts.rangeRatio === 1 ? [] : [`lengths from ${spec.prompts.rangeRatio} of it up`]),
    spec.arrival === 'closed' ? 'closed loop' : arrivalWords(spec),
    ...(spec.gpus === null ? [] : [`${grouped(spec.gpus)} ${spec.gpus === 1 ? 'GPU' : 'GPUs'}`]),
    `${report.origin.utc.slice(0, 16).replace('T', ' ')} UTC`,
    ...(Number.isNaN(tookMs) ? [] : [formatDuration(tookMs)]),
    ...Object.entries(report.tags).map(([key, value]) => `${harmless(key)}=${harmless(value)}`),
  ];
  const where = `${harmless(target.model)} on ${harmless(target.server)} at ${target.urls.map(harmless).join(', ')}, ${harmless(target.endpoint)}`;
  return [
    `  ${paint(style, 'bold', harmless(report.name))}  ${paint(style, report.status === 'complete' ? 'dim' : 'yellow', status)}`,
    ...[where, facts.join(', ')].flatMap((text) => wrap(text, style.width - 2).map((line) => `  ${line}`)),
  ];
}

/** What was asked of every level, or the means of what the rows of a dataset ask. */
function askedLengths({ levels, prompts, spec }: Report): string[] {
  const { isl, osl } = levels[0]!;
  if (prompts.rows === undefined) {
    const around = (spread: Spread | undefined): string =>
      spread === undefined ? '' : ` ${spread.kind}:${spread.tokens}`;
    return [
      `ISL ${grouped(isl)}${around(prompts.islSpread)}`,
      `OSL ${grouped(osl)}${around(prompts.oslSpread)}`,
    ];
  }
  const mean = prompts.rows.isl === null ? 'ISL unknown' : `mean ISL ${grouped(isl)}`;
  return [`${harmless(spec.dataset)}: ${mean}, mean OSL ${grouped(osl)}`];
}

/** Notes with hanging indents; a topic that goes on is not named again. */
function noteLines(notes: readonly Note[], style: PageStyle): string[] {
  return notes.flatMap(({ topic, text, loud }, i) => {
    const named = topic === notes[i - 1]?.topic ? '' : topic;
    return wrap(text, Math.max(LEAST_TEXT, style.width - INDENT)).map((line, row) => {
      const first = row === 0;
      const head = `${loud && first ? '!' : ' '} ${(first ? named : '').padEnd(INDENT - 2)}`;
      return loud ? paint(style, 'yellow', head + line) : paint(style, 'dim', head) + line;
    });
  });
}

/** `gamma arrivals (burstiness 0.3)`, `ramp arrivals from 1 a second`. */
function arrivalWords({ arrival, arrivalShape = {} }: Report['spec']): string {
  const { burstiness, fromPerS, slowdown = 1 } = arrivalShape;
  const shape =
    burstiness !== undefined
      ? ` (burstiness ${burstiness})`
      : fromPerS !== undefined
        ? ` from ${fromPerS} a second`
        : slowdown === 1
          ? ''
          : `, ${slowdown} times as far apart`;
  return `${arrival} arrivals${shape}`;
}
