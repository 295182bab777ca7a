import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { EXIT, type ExitCode } from '../../core/errors.ts';
import { type Finding, worstLevel } from '../../stack/preflight/findings.ts';
import { checkShape, parseLevels } from '../levels.ts';
import { LiveView } from './live-view.ts';
import { newOrder } from './order.ts';
import { findingText, PREFLIGHT_FILE } from './preflight.ts';
import { startStack } from './start.ts';
import { Stop } from './stop.ts';

export const CHECK_OPTIONS = {
  isl: { type: 'number', describe: 'input length that will be asked, for the limits of the engines' },
  osl: { type: 'number', describe: 'output length that will be asked' },
  concurrency: { type: 'string', default: '1', describe: 'levels that will be asked: 1,2,4,8 or 1..128x2' },
  json: { type: 'boolean', default: false, describe: 'print the findings as JSON' },
} as const;

/**
 * `bench stack check FILE`: looks at the nodes from inside of an allocation and at the limits of the engines;
 * starts no service, and gives the nodes back. Exit 4 when the launch would fail.
 */
export async function runStackCheck(args: {
  file: string;
  isl: number | undefined;
  osl: number | undefined;
  concurrency: string;
  json: boolean;
}): Promise<ExitCode> {
  const shapes =
    args.isl === undefined || args.osl === undefined
      ? []
      : parseLevels(args.concurrency).map((concurrency) => ({
          ...checkShape({ isl: args.isl!, osl: args.osl! }, '--isl/--osl'),
          concurrency,
        }));
  const home = mkdtempSync(path.join(os.tmpdir(), 'bench-check-'));
  const dir = path.join(home, 'stack');
  const view = new LiveView(process.stderr);
  const stop = new Stop();
  try {
    const started = startStack(newOrder(args.file, dir, { checkOnly: true, lifeline: true, shapes }));
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
    process.stdout.write(args.json ? `${JSON.stringify(findings, null, 2)}\n` : findingsText(findings));
    return worstLevel(findings) === 'error' ? EXIT.launch : EXIT.ok;
  } finally {
    stop.unlisten();
    rmSync(home, { recursive: true, force: true });
  }
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
