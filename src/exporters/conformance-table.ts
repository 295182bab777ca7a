import type { ConformanceResult, Score, ScoredCase } from '../core/conformance.ts';
import { MEANINGS, TIMED_METRICS, type TimedMetric } from '../core/conformance-truth.ts';
import { fixed } from './figures.ts';
import { asDrawn, hanging, harmless, type PageStyle, paint } from './page-style.ts';
import { type Column, fittedTable, NOTHING } from './text-table.ts';

const NAMES: Readonly<Record<TimedMetric, string>> = {
  ttftMs: 'TTFT',
  itlMs: 'ITL',
  tokenItlMs: 'token ITL',
  tpotMs: 'TPOT',
  e2eMs: 'E2E',
};
/** Where a note's text begins, and the least room for it. */
const NOTES = { indent: 14, least: 40 };

/** The page of `bench conformance`: a row per client and case, then what failed, and what each client means. */
export function renderConformance(result: ConformanceResult, style: PageStyle): string {
  const { lines, dropped } = fittedTable(columnsOf(result.cases), style);
  const note = (word: string, text: string): string[] => hanging(word, harmless(text), NOTES, style);
  const parts = [
    result.clients.map(({ name }) => headline(name, result.cases, style)),
    lines,
    result.cases.flatMap(({ client, case: name, score, remark }) => [
      ...score.reasons.flatMap((reason) => note(score.verdict, `${client} ${name}: ${reason}`)),
      ...(remark === null ? [] : note('says', `${client} ${name}: ${remark}`)),
    ]),
    [
      ...result.missing.flatMap(({ name, missing }) => note('not scored', `${name}: ${missing}`)),
      ...(dropped.length === 0 ? [] : note('left out', `${dropped.join(', ')}, for the width; see --json`)),
      ...note('off by', 'told − true, by what the client itself means by the word; ! is more than passes'),
      ...meaningsOf(result).flatMap((text) => note('means', text)),
      ...(result.host === null
        ? []
        : note('host', `Node ${result.host.node}, ${result.host.cpu}, ${result.host.cores}`)),
    ],
  ];
  return asDrawn(
    style,
    `${parts
      .filter((part) => part.length > 0)
      .map((part) => part.join('\n'))
      .join('\n\n')}\n`,
  );
}

function headline(client: string, cases: readonly ScoredCase[], style: PageStyle): string {
  const own = cases.filter((one) => one.client === client);
  const count = (verdict: string): number => own.filter(({ score }) => score.verdict === verdict).length;
  const others = (['fail', 'none', 'void'] as const)
    .filter((verdict) => count(verdict) > 0)
    .map((verdict) => `, ${count(verdict)} ${verdict}`);
  return `  ${paint(style, 'bold', client)}  ${count('pass')} of ${own.length} pass${others.join('')}`;
}

function columnsOf(cases: readonly ScoredCase[]): Column[] {
  const text = (head: string, cells: readonly string[]): Column => ({
    group: '',
    head,
    name: head,
    cells,
    rank: 0,
    left: true,
  });
  const scored = (
    group: string,
    head: string,
    rank: number,
    cell: (one: ScoredCase) => string | null,
  ): Column => ({
    group,
    head,
    name: `${group} ${head}`.trim(),
    cells: cases.map((one) => cell(one) ?? NOTHING),
    rank,
  });
  const offBy = (metric: Score['metric']) => (one: ScoredCase) => {
    const score = scoreOf(one, metric);
    return score === undefined ? null : `${signed(score.error, 2)}${mark(score)}`;
  };
  const columns = [
    text(
      'client',
      cases.map(({ client }) => client),
    ),
    text(
      'case',
      cases.map((one) => one.case),
    ),
    scored('TTFT mean ms', 'true', 0, (one) => inMs(scoreOf(one, 'ttftMs.mean')?.truth)),
    scored('TTFT mean ms', 'told', 0, (one) => inMs(scoreOf(one, 'ttftMs.mean')?.told)),
    scored('TTFT off by', 'mean', 0, offBy('ttftMs.mean')),
    scored('TTFT off by', 'p99', 2, offBy('ttftMs.p99')),
    scored('ITL off by', 'mean', 0, offBy('itlMs.mean')),
    scored('ITL off by', 'p50', 4, offBy('itlMs.p50')),
    scored('ITL off by', 'p99', 2, offBy('itlMs.p99')),
    scored('off by', 'TPOT', 3, offBy('tpotMs.mean')),
    scored('off by', 'E2E', 3, offBy('e2eMs.mean')),
    scored('tokens', 'off by', 0, (one) => countOff(one, 'outputTokens')),
    scored('good', 'off by', 0, (one) => countOff(one, 'good')),
    scored('stamp off by', 'p50', 1, ({ score }) => inMs(score.stamps?.errorMs.p50, 2)),
    scored('stamp off by', 'p99', 1, ({ score }) => inMs(score.stamps?.errorMs.p99, 2)),
    text(
      'verdict',
      cases.map(({ score }) => score.verdict),
    ),
  ];
  return columns.filter(({ rank, cells }) => rank === 0 || cells.some((cell) => cell !== NOTHING));
}

function scoreOf({ score }: ScoredCase, metric: Score['metric']): Score | undefined {
  return score.scores.find((one) => one.metric === metric);
}

function countOff(one: ScoredCase, metric: Score['metric']): string | null {
  const score = scoreOf(one, metric);
  return score === undefined ? null : `${signed(score.error, 0)}${mark(score)}`;
}

function signed(value: number, decimals: number): string {
  const text = fixed(value, decimals);
  return value > 0 ? `+${text}` : text;
}

/** A blank keeps the digits of a column below each other. */
function mark({ passed }: Score): string {
  return passed ? ' ' : '!';
}

function inMs(ms: number | undefined, decimals = 1): string | null {
  return ms === undefined ? null : fixed(ms, decimals);
}

/** What each latency means, and for which clients. */
function meaningsOf({ clients }: ConformanceResult): string[] {
  return TIMED_METRICS.flatMap((metric) => {
    const meanings = [...new Set(clients.flatMap((client) => client.meanings[metric] ?? []))];
    return meanings.map((meaning) => {
      const own = clients.filter((client) => client.meanings[metric] === meaning).map(({ name }) => name);
      const whose = meanings.length > 1 || own.length < clients.length ? ` (${own.join(', ')})` : '';
      return `${NAMES[metric]}${whose}: ${MEANINGS[meaning]}`;
    });
  });
}
