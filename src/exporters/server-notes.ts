import type { LevelReport, Report } from '../core/report.ts';
import { LAYERS } from '../core/server-look.ts';
import type { ServerSide } from '../core/server-side.ts';
import { WATERFALL_PARTS, type Waterfall } from '../core/waterfall.ts';
import { figure, grouped, percent } from './figures.ts';
import { groupBy, levelNames, levelsRun } from './level-names.ts';
import type { Note } from './note.ts';
import { harmless } from './page-style.ts';
import { PART_WORDS } from './server-words.ts';

/** More levels than this would make a wall of numbers. */
const MOST_LEVELS = 6;
/** A smaller part of the TTFT is not worth a word here. */
const LEAST_RATIO = 0.005;

/** The server's side in a few words: what it worked on, where the TTFT went, and addresses that did not answer. */
export function serverNotes(report: Report): Note[] {
  const watched = levelsRun(report).flatMap((level) =>
    level.server === undefined ? [] : [{ level, server: level.server }],
  );
  if (watched.length === 0) return [];
  const told = (words: (server: ServerSide) => string): string[] => {
    const said = groupBy(watched, ({ server }) => words(server));
    return [...said]
      .filter(([text]) => text !== '')
      .map(([text, ones]) =>
        watched.length === 1
          ? text
          : `${levelNames(
              report,
              ones.map(({ level }) => level),
            )}: ${text}`,
      );
  };
  const many = watched.length > MOST_LEVELS;
  const see = 'see server.* in summary.csv, and report.html';
  const gauges = told((server) => unmet(server) ?? gaugeWords(server));
  const parts = told(({ waterfall }) => (waterfall.reason === null ? partWords(waterfall) : ''));
  const reasons = told(({ waterfall }) => harmless(waterfall.reason ?? ''));
  return [
    ...failureNotes(watched),
    ...(gauges.length === 0 ? [] : [{ topic: 'server', text: many ? see : gauges.join('; '), loud: false }]),
    ...(parts.length === 0 || many ? [] : [{ topic: 'TTFT', text: parts.join('; '), loud: false }]),
    ...reasons.map((text) => ({ topic: 'TTFT', text: `not taken apart: ${text}`, loud: false })),
  ];
}

/** Where every look came between requests, its zeros say nothing. */
function unmet(server: ServerSide): string | null {
  const gauges = LAYERS.flatMap((layer) => server[layer]?.running ?? []);
  if (gauges.length === 0 || gauges.some(({ max }) => max > 0)) return null;
  const looks = Math.max(...server.sources.map(({ samples }) => samples));
  return `no request was met in ${grouped(looks)} looks, one a second: requests are shorter`;
}

/** `engine running 7.9 (most 8), waiting 0, KV cache most 2.1 %` */
function gaugeWords(server: ServerSide): string {
  return LAYERS.flatMap((layer) => {
    const { running, waiting, kvUseRatio, preemptions } = server[layer] ?? {};
    const words = [
      ...(running ? [`running ${short(running.mean)} (most ${short(running.max)})`] : []),
      ...(waiting ? [`waiting ${short(waiting.mean)} (most ${short(waiting.max)})`] : []),
      ...(kvUseRatio ? [`KV cache most ${percent(kvUseRatio.max)}`] : []),
      ...(preemptions?.count ? [`${grouped(preemptions.count)} preemptions`] : []),
    ];
    return words.length === 0 ? [] : [`${layer} ${words.join(', ')}`];
  }).join('; ');
}

/** `203 ms = prefill 200 + unexplained 3.02` */
function partWords({ ttftMs, partsMs, doubt }: Waterfall): string {
  const parts = WATERFALL_PARTS.flatMap((part) => {
    const ms = partsMs[part];
    return ms === undefined || (part !== 'unexplained' && Math.abs(ms) < LEAST_RATIO * ttftMs!)
      ? []
      : [`${PART_WORDS[part]} ${signed(ms)}`];
  });
  const why = doubt === null ? '' : ` (doubtful: ${harmless(doubt)})`;
  return `${figure(ttftMs!)} ms = ${parts.join(' + ')}${why}`;
}

/** `8`, `7.92` */
function short(value: number): string {
  return Number.isInteger(value) ? grouped(value) : figure(value);
}

function signed(ms: number): string {
  return ms < 0 ? `−${figure(-ms)}` : figure(ms);
}

/** Addresses that did not answer; loud where somebody asked for them, or where they had answered before. */
function failureNotes(watched: readonly { level: LevelReport; server: ServerSide }[]): Note[] {
  const failed = watched.flatMap(({ server }) => server.sources.filter(({ failures }) => failures > 0));
  return [...groupBy(failed, ({ url }) => url)].map(([url, ones]) => {
    const failures = ones.reduce((all, one) => all + one.failures, 0);
    const answered = watched
      .flatMap(({ server }) => server.sources)
      .some((source) => source.url === url && source.samples > 0);
    const text = `no metrics from ${harmless(url)} in ${grouped(failures)} looks: ${harmless(ones[0]!.firstFailure ?? '')}`;
    const loud = answered || ones[0]!.by === 'given';
    return { topic: loud ? 'warning' : 'server', text, loud };
  });
}
