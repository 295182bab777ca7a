import type { ValueBound } from '../../core/audit-facts.ts';
import { metricValue } from '../../core/metric-ids.ts';
import type { LevelReport, Report } from '../../core/report.ts';
import { levelName } from '../change-words.ts';
import { figure, grouped, percent } from '../figures.ts';
import { isOpen, levelsRun } from '../level-names.ts';
import { readingMark } from '../marks.ts';
import { escapeHtml, facts, type HtmlColumn, table } from './markup.ts';

const NOTHING = '–';

function number(value: number | null | undefined): string {
  return value === null || value === undefined ? NOTHING : figure(value);
}

function column(
  head: string,
  levels: readonly LevelReport[],
  cell: (level: LevelReport) => string,
  left = false,
): HtmlColumn {
  return { head, cells: levels.map(cell), left };
}

function levelCell(level: LevelReport): string {
  return escapeHtml(levelName(level));
}

const VERDICTS = { valid: 'good', suspect: 'warn', 'client-bound': 'bad' } as const;

/** The numbers of each level. */
export function levelsTable(report: Report): string {
  const { levels } = report;
  const of = (head: string, cell: (level: LevelReport) => string, left = false): HtmlColumn =>
    column(head, levels, cell, left);
  const metric = (head: string, id: string): HtmlColumn =>
    of(head, (level) => {
      const value = metricValue(level, id);
      return typeof value === 'number' ? readingMark(level, id) + figure(value) : NOTHING;
    });
  const thin = (name: 'p99', level: LevelReport): string => (level.ttftMs.thin.includes(name) ? '~' : '');
  return table(
    [
      of('level', levelCell, true),
      of('good/sent', ({ requests }) => `${grouped(requests.good)}/${grouped(requests.sent)}`),
      of('TTFT p50', ({ ttftMs }) => number(ttftMs.p50)),
      of('TTFT p99', (level) => `${thin('p99', level)}${number(level.ttftMs.p99)}`),
      ...(isOpen(levels)
        ? [
            of('TTFT from due p50', ({ open }) => number(open?.ttftFromDueMs.p50)),
            of('TTFT from due p99', ({ open }) => number(open?.ttftFromDueMs.p99)),
            of('in flight at most', ({ open }) => (open === undefined ? NOTHING : grouped(open.maxInFlight))),
            of('held', ({ open }) => (open === undefined ? NOTHING : marked(open.held.count))),
          ]
        : []),
      metric('token ITL p50', 'tokenItlMs.p50'),
      metric('token ITL p99', 'tokenItlMs.p99'),
      metric('TPOT p50', 'tpotMs.p50'),
      of('E2E p50', ({ e2eMs }) => number(e2eMs.p50)),
      of('E2E p99', (level) => `${thin('p99', level)}${number(level.e2eMs.p99)}`),
      metric('output tok/s', 'outputTokensPerS'),
      ...(levels.some(({ outputTokensPerSPerGpu }) => outputTokensPerSPerGpu !== null)
        ? [metric('tok/s per GPU', 'outputTokensPerSPerGpu')]
        : []),
      metric('tok/s per user p50', 'tokensPerSPerUser.p50'),
      ...(levels.some(({ goodput }) => goodput !== undefined)
        ? [
            metric('goodput req/s', 'goodput.requestsPerS'),
            of('SLOs met', (level) =>
              level.goodput?.attainmentRatio == null
                ? NOTHING
                : readingMark(level, 'goodput.attainmentRatio') + percent(level.goodput.attainmentRatio),
            ),
          ]
        : []),
      {
        ...of(
          'valid',
          ({ status, statusReason, validity }) =>
            status === 'complete'
              ? `<span class="${VERDICTS[validity.verdict]}">${validity.verdict}</span>`
              : `<span class="bad">${status}</span>${statusReason ? ` ${escapeHtml(statusReason)}` : ''}`,
          true,
        ),
        text: true,
      },
    ],
    "Times in ms. ~ marks a p99 on fewer than 662 requests: take it as rough; ≈ an estimate by a tokenizer that is not the model's; * what events in groups (bursts) bent.",
  );
}

/** Lengths asked and lengths proven. */
export function lengthsTable(report: Report): string {
  const levels = levelsRun(report);
  if (levels.length === 0) return '';
  const sides = (['islProof', 'oslProof'] as const).flatMap((proof) => {
    const word = proof === 'islProof' ? 'ISL' : 'OSL';
    const of = (head: string, cell: (level: LevelReport) => string): HtmlColumn =>
      column(`${word} ${head}`, levels, cell);
    return [
      of('asked', (level) => grouped(level[proof].asked ?? (proof === 'islProof' ? level.isl : level.osl))),
      of('counted', (level) => {
        const { counted } = level[proof];
        if (counted === null) return NOTHING;
        const range =
          counted.min === counted.max
            ? grouped(counted.min)
            : `${grouped(counted.min)} … ${grouped(counted.max)}`;
        return readingMark(level, proof) + range;
      }),
      of('proven', (level) => `${grouped(level[proof].provenByUsage)}/${grouped(level.requests.good)}`),
      of('off', (level) => marked(level[proof].deviations)),
      of('unknown', (level) => marked(level[proof].unknown)),
    ];
  });
  return table([column('level', levels, levelCell, true), ...sides]);
}

function marked(count: number): string {
  return count === 0 ? '0' : `<span class="bad">${grouped(count)}</span>`;
}

/** Failures by class, with the first message of each. */
export function failuresTable(report: Report): string {
  const rows = report.levels.flatMap((level) =>
    Object.entries(level.failures).map(([name, { count, first }]) => ({ level, name, count, first })),
  );
  if (rows.length === 0) return '';
  const of = (head: string, cell: (row: (typeof rows)[number]) => string, left = true): HtmlColumn => ({
    head,
    cells: rows.map(cell),
    left,
  });
  return table([
    of('level', ({ level }) => levelCell(level)),
    of('class', ({ name }) => name),
    of(
      'count',
      ({ level, count }) =>
        `${grouped(count)} of ${grouped(level.requests.sent)} (${percent(count / level.requests.sent)})`,
    ),
    { ...of('first message', ({ first }) => escapeHtml(first)), text: true },
  ]);
}

/** What the harness saw of itself, and its verdict. */
export function validityTable(report: Report): string {
  const levels = levelsRun(report);
  if (levels.length === 0) return '';
  const of = (head: string, cell: (level: LevelReport) => string, left = false): HtmlColumn =>
    column(head, levels, cell, left);
  return table([
    of('level', levelCell, true),
    of(
      'verdict',
      ({ validity }) => `<span class="${VERDICTS[validity.verdict]}">${validity.verdict}</span>`,
      true,
    ),
    of('stamped by', ({ audit }) => audit?.stampedBy ?? NOTHING, true),
    of('stamp error p99, ms', ({ audit }) => number(audit?.stampErrorMs?.p99)),
    of('read late p99, ms', ({ audit }) => number(audit?.reads?.waitMs?.p99)),
    of('sends late p99, ms', ({ audit }) => number(audit?.sendLagMs.p99)),
    of('loop busy', ({ audit }) => (audit === null ? NOTHING : percent(audit.eventLoopUtilizationRatio))),
    of('CPU', ({ audit }) => (audit === null ? NOTHING : percent(audit.cpuRatio))),
    of('other processes', ({ audit }) =>
      typeof audit?.otherCpuRatio === 'number' ? percent(audit.otherCpuRatio) : NOTHING,
    ),
    { ...of('why', ({ validity }) => escapeHtml(validity.reasons.join('; ')) || NOTHING, true), text: true },
  ]);
}

/** By how much each metric may be off for the harness's sake; empty where no level has bounds. */
export function boundsTable(report: Report): string {
  const levels = levelsRun(report).filter(({ bounds }) => bounds);
  if (levels.length === 0) return '';
  const columns = BOUNDED.flatMap(([metric, name]) =>
    (['mean', 'p50', 'p99'] as const).map((stat) =>
      column(`${name} ${stat}, ± ms`, levels, ({ bounds, ...level }) =>
        number(widthOf(level[metric][stat], bounds?.[metric]?.[stat])),
      ),
    ),
  );
  const rate = column('output tok/s, ±', levels, ({ bounds, outputTokensPerS }) =>
    number(widthOf(outputTokensPerS, bounds?.outputTokensPerS)),
  );
  return table([column('level', levels, levelCell, true), ...columns, rate]);
}

const BOUNDED = [
  ['ttftMs', 'TTFT'],
  ['itlMs', 'ITL'],
  ['tpotMs', 'TPOT'],
  ['e2eMs', 'E2E'],
] as const;

/** How far the farther end lies from the value. */
function widthOf(value: number | null, bound: ValueBound | null | undefined): number | null {
  return value === null || !bound ? null : Math.max(value - bound.lower, bound.upper - value);
}

/** With what the run was made. */
export function provenanceTable(report: Report): string {
  const { provenance, target, prompts, spec, stack, tags, origin, finishedUtc } = report;
  return facts([
    ['command', provenance.command],
    ['begun', origin.utc],
    ['ended', finishedUtc ?? 'not yet'],
    ['server', `${target.model} on ${target.server} at ${target.urls.join(', ')}, ${target.endpoint}`],
    [
      'prompts',
      `${prompts.text}, ${prompts.method}, tokenizer ${prompts.tokenizerName} (${prompts.tokenizerHash}), template ${prompts.template.source}, seed ${spec.prompts.seed}, salt ${spec.prompts.salt}`,
    ],
    [
      'client',
      `bench ${provenance.bench}, Node ${provenance.node}, ${provenance.os} ${provenance.arch}, ${provenance.host}, ${provenance.cpus} × ${provenance.cpuModel}`,
    ],
    ...(stack
      ? [
          [
            'stack',
            `${stack.name}, ${stack.mode}, job ${stack.jobId ?? NOTHING}, nodes ${stack.nodes.join(', ') || NOTHING}`,
          ] as const,
        ]
      : []),
    ...Object.entries(stack?.versions ?? {}).map(
      ([name, version]) => [`version of ${name}`, version] as const,
    ),
    ...(provenance.git === null
      ? []
      : [['git', `${provenance.git.commit}${provenance.git.dirty ? ', with changes' : ''}`] as const]),
    ...Object.entries(provenance.slurm ?? {}),
    ...Object.entries(tags).map(([name, value]) => [`tag ${name}`, value] as const),
  ]);
}
