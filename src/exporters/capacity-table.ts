import { type Capacity, type Probe, type SearchRange, shareBounds } from '../core/capacity.ts';
import { figure, grouped, percent } from './figures.ts';
import { loadFigure } from './level-names.ts';
import { readingMark } from './marks.ts';
import { hanging, type PageStyle, paint } from './page-style.ts';
import { type Column, fittedTable, NOTHING, tablePage } from './text-table.ts';

const NOTES = { indent: 14, least: 30 };

/** Every level that was measured, the lowest load first, with the bounds of its share. */
export function capacityColumns(capacity: Capacity): Column[] {
  const { levels, range } = capacity;
  const sorted = [...levels].sort((a, b) => a.probe.load - b.probe.load);
  const column = (
    head: string,
    cell: (one: (typeof sorted)[number]) => string,
    rank = 0,
    left = false,
  ): Column => ({
    group: '',
    head,
    name: head,
    cells: sorted.map(cell),
    rank,
    left,
  });
  const number = (value: number | null | undefined): string =>
    value === null || value === undefined ? NOTHING : figure(value);
  return [
    column(range.over === 'rate' ? 'req/s' : 'conc', ({ probe }) => loadFigure(probe.load)),
    column('met/sent', ({ probe }) => `${grouped(probe.met)}/${grouped(probe.sent)}`),
    column('share', ({ probe }) => percent(probe.met / Math.max(1, probe.sent))),
    column('95 % bounds', ({ probe }) => boundsText(probe), 2),
    column('TTFT p50', ({ level }) => number(level.ttftMs.p50), 3),
    column('TPOT p50', ({ level }) => readingMark(level, 'tpotMs.p50') + number(level.tpotMs.p50), 3),
    column('goodput req/s', ({ level }) => number(level.goodput?.requestsPerS)),
    column(
      'output tok/s',
      ({ level }) => readingMark(level, 'outputTokensPerS') + number(level.outputTokensPerS),
      1,
    ),
    column('', ({ probe }) => markOf(capacity, probe), 0, true),
  ];
}

/** The question of a search, for instance `ttft ≤ 2s, for at least 95 % of the requests`. */
export function limitsText({ limits, range }: Capacity): string {
  return `${limits}, for at least ${percent(range.targetRatio)} of the requests`;
}

/** How sure the answer is and how it was found, each sentence with its label. */
export function capacityNotes(capacity: Capacity): (readonly [label: string, text: string])[] {
  const { levels, range } = capacity;
  return [
    ...certaintyTexts(capacity).map((text) => ['certainty', text] as const),
    [
      'bounds',
      'Clopper and Pearson, one-sided, each request for itself; requests that run at one time share its luck and tell a little less',
    ],
    [
      'search',
      `${grouped(levels.length)} levels measured, from ${loadFigure(range.from)} to ${loadFigure(range.to)} at most; a level is taken to meet the less the greater its load`,
    ],
  ];
}

/** The page of a search: the answer, its certainty, and every level that was measured. */
export function renderCapacity(capacity: Capacity, style: PageStyle): string {
  const head = [
    `  ${paint(style, 'bold', 'capacity')}  ${answerText(capacity)}`,
    `  ${limitsText(capacity)}`,
  ];
  const notes = capacityNotes(capacity).flatMap(([label, text]) => hanging(label, text, NOTES, style));
  return tablePage(head, fittedTable(capacityColumns(capacity), style), notes, style);
}

function markOf({ found }: Capacity, probe: Probe): string {
  const marks = [
    {
      'fell-behind': 'did not keep up',
      unclear: 'kept up?',
      'too-short': 'too short to tell',
      'kept-up': '',
    }[probe.lag ?? 'kept-up'],
    probe.validity === 'valid' ? '' : probe.validity,
  ]
    .filter((word) => word !== '')
    .join(', ');
  return probe === found.meets ? `← capacity${marks === '' ? '' : ` (${marks})`}` : marks;
}

/** What loads are counted in. */
function unitOf({ over }: SearchRange): string {
  return over === 'rate' ? 'requests a second' : 'in flight';
}

/** The answer in a sentence. */
export function answerText({ found, range, complete }: Capacity): string {
  const { meets, misses } = found;
  const unit = unitOf(range);
  // A level that is too short to tell misses for the search, and is told as what it is.
  const missed =
    misses === null
      ? ''
      : `${loadFigure(misses.load)} ${misses.lag === 'too-short' ? 'was too short to tell' : 'miss'}`;
  if (meets === null && misses === null) return 'nothing was measured';
  if (meets === null)
    return misses!.lag === 'too-short'
      ? `not known: ${loadFigure(range.from)} ${unit} was too short to tell, lower levels were not tried`
      : `none: ${loadFigure(range.from)} ${unit} miss already, lower levels were not tried`;
  const at = `${loadFigure(meets.load)} ${unit}`;
  if (!complete) return `at least ${at}${missed === '' ? '' : `, and ${missed}`}; the search was cut`;
  return missed === '' ? `at least ${at}, the end of the range: nothing above was tried` : `${at}; ${missed}`;
}

/** How sure both sides of the answer are. */
function certaintyTexts({ found, range }: Capacity): string[] {
  const { meets, misses } = found;
  const target = range.targetRatio;
  const meetText = (probe: Probe): string => {
    const { low } = shareBounds(probe);
    const doubts = [
      ...(probe.validity === 'valid' ? [] : [`the level is ${probe.validity}`]),
      ...(probe.lag === 'unclear' ? ['it is not clear whether the server kept up'] : []),
    ];
    if (doubts.length > 0) return `that ${loadFigure(probe.load)} meet is not sure: ${doubts.join(', and ')}`;
    return low >= target
      ? `that ${loadFigure(probe.load)} meet is sure: with 95 % confidence at least ${percent(low)} do`
      : `that ${loadFigure(probe.load)} meet is likely and not sure: with 95 % confidence at least ${percent(low)} do`;
  };
  const missText = (probe: Probe): string => {
    if (probe.lag === 'fell-behind')
      return `at ${loadFigure(probe.load)} the server did not keep up with what came, so its share would fall with time`;
    if (probe.lag === 'too-short')
      return `at ${loadFigure(probe.load)} the level was too short to tell whether the server keeps up: give a longer --duration`;
    if (probe.validity === 'client-bound')
      return `at ${loadFigure(probe.load)} this harness was the bottleneck: the server may well meet more, see --workers`;
    const { high } = shareBounds(probe);
    return high < target
      ? `that ${loadFigure(probe.load)} miss is sure: with 95 % confidence at most ${percent(high)} meet`
      : `that ${loadFigure(probe.load)} miss is likely and not sure: with 95 % confidence at most ${percent(high)} meet`;
  };
  return [...(meets === null ? [] : [meetText(meets)]), ...(misses === null ? [] : [missText(misses)])];
}

function boundsText(probe: Probe): string {
  const { low, high } = shareBounds(probe);
  return `${percent(low)} … ${percent(high)}`;
}
