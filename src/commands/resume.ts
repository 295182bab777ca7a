import { existsSync } from 'node:fs';
import path from 'node:path';
import { usageError } from '../core/errors.ts';
import type { LevelReport } from '../core/report.ts';
import { MASK } from '../core/secrets.ts';
import type { RunSpec } from '../core/spec.ts';
import { RunStore } from '../host/store.ts';
import {
  LOAD_OPTIONS,
  type MeasureArgs,
  OUTPUT_OPTIONS,
  PROMPT_OPTIONS,
  SPREAD_OPTIONS,
  STACK_OPTIONS,
  SWEEP_OPTIONS,
} from './options.ts';
import { readReport } from './read-report.ts';
import { TARGET_OPTIONS } from './target-options.ts';

/** Options that may stand beside `--resume`: how to reach the server now, who sends, and how to tell. All else is the earlier run's. */
const BESIDE_RESUME = new Set([
  ...[
    'resume',
    'url',
    'query',
    'stack',
    'stack-run',
    'keep',
    'load-on',
    'preflight',
    'api-key',
    'header',
    'cacert',
    'cert',
    'key',
    'mock',
    'mock-flags',
  ],
  ...['extra-body', 'quiet', 'json', 'export', 'export-dir'],
  ...Object.keys(SPREAD_OPTIONS),
]);

const MEASURE_NAMES = new Set(
  [TARGET_OPTIONS, PROMPT_OPTIONS, LOAD_OPTIONS, SWEEP_OPTIONS, OUTPUT_OPTIONS, STACK_OPTIONS].flatMap(
    Object.keys,
  ),
);

/** Exit 2 for an option that the earlier run has decided. */
export function refuseBesideResume(argv: readonly string[]): void {
  const names = argv.flatMap((word) => /^--(?:no-)?([a-z-]+)/.exec(word)?.[1] ?? []);
  const other = names.find((name) => !BESIDE_RESUME.has(name) && MEASURE_NAMES.has(name));
  if (other === undefined) return;
  throw usageError(
    `--${other}: not beside --resume, which goes on with what the run was asked`,
    'leave it out, or start a new run',
  );
}

/**
 * What a resumed run takes over from its spec, where the command line does not say otherwise. Exit 2 when its URL had secrets,
 * which were not kept, and none is given.
 */
export function asEarlier(
  spec: RunSpec,
  args: MeasureArgs,
): Pick<MeasureArgs, 'url' | 'path' | 'isl' | 'osl'> {
  const [first] = spec.points;
  const asDefault = args.url.length === 1 && args.url[0] === TARGET_OPTIONS.url.default[0];
  const lengths = { isl: Math.max(1, first!.isl), osl: first!.osl };
  const path = spec.requestPath;
  const isElsewhere = args.mock || args.stack !== undefined || args['stack-run'] !== undefined;
  if (!asDefault || isElsewhere) return { url: args.url, path, ...lengths };
  if (args.query.length > 0)
    return { url: spec.urls.map((url) => url.replace(/\?.*/s, '')), path, ...lengths };
  const masked = spec.urls.find((url) => url.includes(MASK));
  if (masked !== undefined)
    throw usageError(
      `--resume: the run was made at ${masked}, whose secrets were not kept`,
      'give that query again with --query, or the whole address with --url',
    );
  return { url: [...spec.urls], path, ...lengths };
}

/** An incomplete run that is gone on with. */
export interface EarlierRun {
  readonly spec: RunSpec;
  readonly origin: { readonly utc: string; readonly monotonicNs: string };
  readonly levels: readonly LevelReport[];
  readonly firstId: number;
  readonly notes: readonly string[];
  reopen(): RunStore;
}

/** What is gone on with: one run, or several that one command makes. */
export interface EarlierWork {
  /** Of the first of them. */
  readonly spec: RunSpec;
  /** null where the folder is that of a run. */
  readonly set: { readonly set: string; readonly of: number } | null;
  /** By number from 1: what is left of a run that was begun, null of a complete one; one that is not there was not begun. */
  readonly runs: ReadonlyMap<number, EarlierRun | null>;
}

/** What the folder of `--resume` holds. Exit 2 when that is nothing to go on with. */
export function earlierWork(directory: string): EarlierWork {
  if (existsSync(path.join(directory, 'report.json'))) {
    const run = earlierRun(directory);
    if (run === null)
      throw usageError(`--resume: the run in ${directory} is complete`, `show it: bench report ${directory}`);
    return { spec: run.spec, set: null, runs: new Map([[1, run]]) };
  }
  const first = path.join(directory, '1');
  if (!existsSync(path.join(first, 'report.json')))
    throw usageError(
      `--resume: ${directory} holds no report.json`,
      'name the folder of a run that sent something',
    );
  const { spec } = readReport(first);
  const { repeat } = spec;
  if (repeat === undefined || repeat.side !== undefined)
    throw usageError(`--resume: ${directory} holds several runs`, 'name the one that is to be gone on with');
  const numbers = Array.from({ length: repeat.of }, (_, nth) => nth + 1);
  const begun = numbers.filter((number) => existsSync(path.join(directory, `${number}`, 'report.json')));
  const runs = new Map(begun.map((number) => [number, earlierRun(path.join(directory, `${number}`))]));
  if (begun.length === numbers.length && [...runs.values()].every((run) => run === null))
    throw usageError(
      `--resume: all ${repeat.of} runs in ${directory} are complete`,
      `show them: bench report ${directory}`,
    );
  return { spec, set: { set: repeat.set, of: repeat.of }, runs };
}

/** What an incomplete run left: its complete levels stay, the rest is measured again. null where all are complete. */
function earlierRun(directory: string): EarlierRun | null {
  const report = readReport(directory);
  const { spec } = report;
  const levels = report.levels.filter((level) => level.status === 'complete' && level.requests.good > 0);
  if (levels.length === spec.points.length - spec.skip) return null;
  const { firstId, reopen } = RunStore.reopen(directory, new Set(levels.map((level) => level.point)));
  const made = `with the salt ${spec.prompts.salt} by: ${report.provenance.command}`;
  const notes = [
    ...report.warnings,
    ...(levels.length > 0 ? [`${levels.length} levels were measured before, ${made}`] : []),
  ];
  return { spec, origin: report.origin, levels, firstId, notes, reopen };
}
