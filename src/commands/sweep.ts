import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { EXIT, type ExitCode, usageError } from '../core/errors.ts';
import type { LevelReport } from '../core/report.ts';
import type { RunSpec } from '../core/spec.ts';
import { startClock } from '../host/clock.ts';
import { readProvenance } from '../host/environment.ts';
import { RunStore } from '../host/store.ts';
import { VERSION } from './about.ts';
import { newSalt, parseAccess, parseSpec } from './arguments.ts';
import { showPlan } from './dry-run.ts';
import { startMockProcess } from './mock.ts';
import type { MeasureArgs } from './options.ts';
import { pageOf } from './page.ts';
import { readReport } from './report.ts';
import { runSweep } from './sweep-run.ts';

/** `bench sweep` and `bench run`: from argv to results on disk and on stdout. */
export async function runMeasure(
  args: MeasureArgs,
  verb: 'sweep' | 'run',
  argv: readonly string[],
): Promise<ExitCode> {
  const earlier = args.resume === undefined ? null : earlierRun(args.resume);
  const mock = args.mock && !args['dry-run'] ? await startMockProcess(args['mock-flags']) : null;
  try {
    const urls = mock === null ? args.url : [mock.url];
    const access = parseAccess({ ...args, url: urls });
    const asked = parseSpec(args, access, verb);
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
            prompts: { ...earlier.spec.prompts, salt: newSalt() },
          };
    const clock = startClock(earlier?.origin);
    const directory =
      args.resume ??
      args.out ??
      path.join('results', `${clock.origin.utc.replace(/[-:]|\.\d+/g, '')}-${spec.name}`);
    const store = earlier === null ? RunStore.create(directory) : earlier.reopen();
    store.document('spec.json', `${JSON.stringify(spec, null, 2)}\n`);
    const { report, exitCode } = await runSweep({
      spec,
      access,
      clock,
      provenance: readProvenance(argv, VERSION),
      store,
      quiet: args.quiet,
      earlier: earlier?.levels ?? [],
      firstId: earlier?.firstId ?? 0,
    });
    store.close();
    if (args.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else if (!args.quiet) process.stdout.write(`${pageOf(report, 'heaviest')}\nresults: ${directory}\n`);
    if (store.unsaved > 0)
      process.stderr.write(
        `bench: ${store.unsaved} records could not be written to ${directory}: ${store.firstError}\n`,
      );
    return exitCode;
  } finally {
    await mock?.stop();
  }
}

interface EarlierRun {
  readonly spec: RunSpec;
  readonly origin: { readonly utc: string; readonly monotonicNs: string };
  readonly levels: readonly LevelReport[];
  readonly firstId: number;
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
  const spec = JSON.parse(readFileSync(path.join(directory, 'spec.json'), 'utf8')) as RunSpec;
  const levels = report.levels.filter((level) => level.status === 'complete' && level.requests.good > 0);
  if (levels.length === spec.points.length - spec.skip)
    throw usageError(`--resume: the run in ${directory} is complete`, `show it: bench report ${directory}`);
  const { firstId, reopen } = RunStore.reopen(directory, new Set(levels.map((level) => level.point)));
  return { spec, origin: report.origin, levels, firstId, reopen };
}
