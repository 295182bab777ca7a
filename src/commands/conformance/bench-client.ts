import path from 'node:path';
import { RECORDS_FILE, readRecords } from '../../host/records-file.ts';
import { readReport } from '../read-report.ts';
import type { Client, Reading } from './client.ts';

const OUT = 'run';

/** This very program, as a user runs it. */
export const benchClient: Client = {
  name: 'bench',
  about: 'bench run, this program',
  tool: null,
  meanings: {
    ttftMs: 'first-output',
    itlMs: 'chunk-gap',
    tokenItlMs: 'token-gap',
    tpotMs: 'per-later-token',
    e2eMs: 'last-output',
  },
  find: () => ({ words: [process.execPath, process.argv[1]!], env: {} }),
  args: ({ url, of, dir }) =>
    ['run', '--url', url, '--isl', of.isl, '--osl', of.osl, '--concurrency', of.concurrency]
      .concat(['--requests', of.requests, '--max-failure-ratio', 1, '--quiet', '--out', path.join(dir, OUT)])
      .map(String),
  read: ({ dir }) => readRunFolder(path.join(dir, OUT)),
};

/** The only level in the folder of a run. */
export function readRunFolder(folder: string): Reading {
  const report = readReport(folder);
  const [level, ...others] = report.levels;
  if (level === undefined || others.length > 0)
    throw new Error(`${folder} has ${report.levels.length} levels, not one`);
  if (level.status !== 'complete') throw new Error(`${folder}: its level is ${level.status}`);
  const { records } = readRecords(path.join(folder, RECORDS_FILE));
  const measured = records.filter(({ phase }) => phase === 'measured');
  const { verdict, reasons } = level.validity;
  return {
    told: {
      good: level.requests.good,
      failed: level.requests.failed,
      outputTokens: level.outputTokens,
      latencies: Object.fromEntries(
        (['ttftMs', 'itlMs', 'tokenItlMs', 'tpotMs', 'e2eMs'] as const).map((metric) => {
          const { mean, p50, p99 } = level[metric];
          return [metric, mean === null ? {} : { mean, p50: p50!, p99: p99! }];
        }),
      ),
    },
    chosen: { requestIds: new Set(measured.map(({ requestId }) => requestId)) },
    stamped: { monotonicNs: report.origin.monotonicNs, records },
    remark: verdict === 'valid' ? null : `it calls its own level ${verdict}: ${reasons.join('; ')}`,
  };
}
