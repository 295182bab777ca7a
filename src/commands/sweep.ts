import { existsSync } from 'node:fs';
import path from 'node:path';
import { EXIT, type ExitCode, usageError, worstExit } from '../core/errors.ts';
import type { LevelReport } from '../core/report.ts';
import { publicSpec } from '../core/secrets.ts';
import type { RunSpec } from '../core/spec.ts';
import { startClock } from '../host/clock.ts';
import { readProvenance } from '../host/environment.ts';
import { RunStore } from '../host/store.ts';
import { VERSION } from './about.ts';
import { newSalt, parseAccess, parseSpec } from './arguments.ts';
import { showPlan } from './dry-run.ts';
import { exportDirectory, parseExports } from './exports.ts';
import { checkFileLimit } from './level.ts';
import { startMockProcess } from './mock.ts';
import {
  LOAD_OPTIONS,
  type MeasureArgs,
  OUTPUT_OPTIONS,
  PROMPT_OPTIONS,
  SWEEP_OPTIONS,
  TARGET_OPTIONS,
} from './options.ts';
import { pageOf } from './page.ts';
import { readReport } from './report.ts';
import { resumedBody } from './resumed-body.ts';
import { runSweep, type SweepResult } from './sweep-run.ts';
import { withAdvice } from './unfinished.ts';

/** `bench sweep` and `bench run`: from argv to results on disk and on stdout. */
export async function runMeasure(
  args: MeasureArgs,
  verb: 'sweep' | 'run',
  argv: readonly string[],
): Promise<ExitCode> {
  const earlier = args.resume === undefined ? null : earlierRun(args.resume);
  if (earlier !== null) refuseBesideResume(argv);
  const exports = parseExports(args.export);
  const mock = args.mock && !args['dry-run'] ? await startMockProcess(args['mock-flags']) : null;
  try {
    const told = earlier === null ? args : { ...args, ...asEarlier(earlier.spec, args) };
    const access = parseAccess({ ...told, url: mock === null ? told.url : [mock.url] });
    const asked = parseSpec(told, access, verb);
    if (verb === 'run' && asked.points.length > 1)
      throw usageError(`bench run measures one point, not ${asked.points.length}`, 'use bench sweep');
    if (args['dry-run']) {
      process.stdout.write(await showPlan(asked, access));
      return EXIT.ok;
    }
    const spec =
      earlier === null
        ? asked
        : {
            ...earlier.spec,
            urls: asked.urls,
            headerNames: asked.headerNames,
            extraBody: resumedBody(earlier.spec.extraBody, args['extra-body']),
            prompts: { ...earlier.spec.prompts, salt: newSalt() },
          };
    checkFileLimit(spec.points, '--concurrency');
    const clock = startClock(earlier?.origin);
    const directory =
      args.resume ??
      args.out ??
      path.join('results', `${clock.origin.utc.replace(/[-:]|\.\d+/g, '')}-${spec.name}`);
    const store = earlier === null ? RunStore.create(directory) : earlier.reopen();
    store.document('spec.json', `${JSON.stringify(publicSpec(spec), null, 2)}\n`);
    let result: SweepResult;
    try {
      result = await runSweep({
        spec,
        access,
        clock,
        provenance: readProvenance(argv, VERSION),
        store,
        quiet: args.quiet,
        earlier: earlier?.levels ?? [],
        earlierNotes: earlier?.notes ?? [],
        firstId: earlier?.firstId ?? 0,
      });
    } catch (error) {
      store.closeUnused();
      throw error;
    }
    const { report, exitCode } = result;
    store.close();
    if (args.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else if (!args.quiet)
      process.stdout.write(`${pageOf(withAdvice(report, directory), 'heaviest')}\nresults: ${directory}\n`);
    const exported = exportDirectory(
      store.missing === null ? exports : [],
      report,
      directory,
      args['export-dir'],
    );
    if (!args.json && !args.quiet) process.stdout.write(exported.map((file) => `export: ${file}\n`).join(''));
    if (store.missing === null) return exitCode;
    process.stderr.write(
      `bench: --out: results in ${directory} are not whole; not on disk: ${store.missing}\n` +
        '  make room on that disk and go on with --resume, or choose another folder\n',
    );
    return worstExit([exitCode, EXIT.usage]);
  } finally {
    await mock?.stop();
  }
}

/** Options that may stand beside `--resume`: how to reach the server now, and how to tell. All else is the earlier run's. */
const BESIDE_RESUME = new Set([
  ...['resume', 'url', 'api-key', 'header', 'cacert', 'cert', 'key', 'mock', 'mock-flags'],
  ...['extra-body', 'quiet', 'json', 'export', 'export-dir'],
]);

const MEASURE_NAMES = new Set(
  [TARGET_OPTIONS, PROMPT_OPTIONS, LOAD_OPTIONS, SWEEP_OPTIONS, OUTPUT_OPTIONS].flatMap(Object.keys),
);

function refuseBesideResume(argv: readonly string[]): void {
  const names = argv.flatMap((word) => /^--(?:no-)?([a-z-]+)/.exec(word)?.[1] ?? []);
  const other = names.find((name) => !BESIDE_RESUME.has(name) && MEASURE_NAMES.has(name));
  if (other === undefined) return;
  throw usageError(
    `--${other}: not beside --resume, which goes on with what the run was asked`,
    'leave it out, or start a new run',
  );
}

/** What a resumed run takes over from its spec, where the command line does not say otherwise. */
function asEarlier(spec: RunSpec, args: MeasureArgs): Pick<MeasureArgs, 'url' | 'isl' | 'osl'> {
  const [first] = spec.points;
  const asDefault = args.url.length === 1 && args.url[0] === TARGET_OPTIONS.url.default[0];
  return { url: asDefault ? [...spec.urls] : args.url, isl: first!.isl, osl: first!.osl };
}

interface EarlierRun {
  readonly spec: RunSpec;
  readonly origin: { readonly utc: string; readonly monotonicNs: string };
  readonly levels: readonly LevelReport[];
  readonly firstId: number;
  readonly notes: readonly string[];
  reopen(): RunStore;
}

/** What an incomplete run left: its complete levels stay, the rest is measured again. */
function earlierRun(directory: string): EarlierRun {
  if (!existsSync(path.join(directory, 'report.json'))) {
    throw usageError(
      `--resume: ${directory} holds no report.json`,
      'name the folder of a run that sent something',
    );
  }
  const report = readReport(directory);
  const { spec } = report;
  const levels = report.levels.filter((level) => level.status === 'complete' && level.requests.good > 0);
  if (levels.length === spec.points.length - spec.skip)
    throw usageError(`--resume: the run in ${directory} is complete`, `show it: bench report ${directory}`);
  const { firstId, reopen } = RunStore.reopen(directory, new Set(levels.map((level) => level.point)));
  const made = `with the salt ${spec.prompts.salt} by: ${report.provenance.command}`;
  const notes = [
    ...report.warnings,
    ...(levels.length > 0 ? [`${levels.length} levels were measured before, ${made}`] : []),
  ];
  return { spec, origin: report.origin, levels, firstId, notes, reopen };
}
