import { existsSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { EXIT, type ExitCode, usageError } from '../../core/errors.ts';
import { type Finding, worstLevel } from '../../stack/preflight/findings.ts';
import { checkShape, parseLevels } from '../levels.ts';
import { print, printError } from '../terminal.ts';
import { LiveView } from './live-view.ts';
import { newOrder } from './order.ts';
import { findingText, PREFLIGHT_FILE } from './preflight.ts';
import { type StackOrder, startStack } from './start.ts';
import { Stop } from './stop.ts';
import { newFolder } from './up.ts';

export const CHECK_OPTIONS = {
  isl: { type: 'number', describe: 'input length that will be asked, for the limits of the engines' },
  osl: { type: 'number', describe: 'output length that will be asked' },
  concurrency: {
    type: 'string',
    describe: 'levels that will be asked: 1,2,4,8 or 1..128x2 [default: 1]',
  },
  out: {
    type: 'string',
    describe:
      "the check's folder, seen by all nodes; stays when something is wrong [default: results/<UTC>-<name>-check/]",
  },
  json: { type: 'boolean', default: false, describe: 'print the findings as JSON' },
} as const;

/**
 * `bench stack check FILE`: looks at the nodes from inside of an allocation and at the limits of the engines;
 * starts no service, and gives the nodes back. Exit 4 when the launch would fail: then the folder with what was
 * found stays. It is where `up` would write too, so that its disk and its being seen by the nodes are judged.
 */
export async function runStackCheck(args: {
  file: string;
  isl: number | undefined;
  osl: number | undefined;
  concurrency: string | undefined;
  out: string | undefined;
  json: boolean;
}): Promise<ExitCode> {
  const shapes = shapesOf(args);
  const dir = args.out ?? newFolder(args.file, 'check');
  const parent = path.dirname(dir);
  const [had, hadParent] = [existsSync(dir), existsSync(parent)];
  const { order } = newOrder(args.file, dir, { checkOnly: true, lifeline: true, shapes });
  let keep = true;
  const view = new LiveView(process.stderr);
  const stop = new Stop();
  try {
    const started = startStack(order);
    const failed = await started
      .untilUp((state) => view.show(state), stop.signal)
      .then(
        () => null,
        (error: unknown) => error,
      );
    if (stop.code !== null) return stop.code;
    const file = path.join(dir, PREFLIGHT_FILE);
    if (!existsSync(file)) throw failed;
    const findings = JSON.parse(readFileSync(file, 'utf8')) as readonly Finding[];
    print(args.json ? `${JSON.stringify(findings, null, 2)}\n` : findingsText(findings));
    if (worstLevel(findings) === 'error') {
      printError(`kept: ${dir}\n`);
      return EXIT.launch;
    }
    if (failed !== null) throw failed;
    keep = had;
    return EXIT.ok;
  } finally {
    stop.unlisten();
    if (!keep) remove(dir, hadParent ? null : parent);
  }
}

/** Takes away the folder, and the one above it when it came about for it alone. */
function remove(dir: string, parent: string | null): void {
  rmSync(dir, { recursive: true, force: true });
  if (parent === null) return;
  try {
    rmdirSync(parent);
  } catch {
    // Something else is in it by now.
  }
}

/** Exit 2 when what is asked of the engines is said by half. */
function shapesOf({ isl, osl, concurrency }: Parameters<typeof runStackCheck>[0]): StackOrder['shapes'] {
  if (isl === undefined && osl === undefined && concurrency === undefined) return [];
  if (isl === undefined || osl === undefined)
    throw usageError(
      `${isl === undefined ? '--isl' : '--osl'} is missing: the limits of an engine are those of a whole request`,
      'give --isl and --osl, with --concurrency when there is more than one request at once',
    );
  const shape = checkShape({ isl, osl }, '--isl/--osl');
  return parseLevels(concurrency ?? '1').map((level) => ({ ...shape, concurrency: level }));
}

const MARKS: Readonly<Record<Finding['level'], string>> = { error: '✗', warn: '!', ok: '✓' };

/** What is wrong first, each with what to do; what is well is told in one line per node. */
function findingsText(findings: readonly Finding[]): string {
  const rank = (finding: Finding): number => ['error', 'warn', 'ok'].indexOf(finding.level);
  return findings
    .toSorted((a, b) => rank(a) - rank(b))
    .map(
      (finding) =>
        `${MARKS[finding.level]} ${findingText(finding)}\n${finding.hint === null || finding.level === 'ok' ? '' : `    ${finding.hint}\n`}`,
    )
    .join('');
}
