import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { notRun } from './not-run.ts';

const RUN = path.join(import.meta.dirname, '../native/run.sh');

function missingHere(): string | null {
  if (process.platform !== 'linux') return `the receiver is for Linux, this is ${process.platform}`;
  return spawnSync('gcc', ['--version']).status === 0 ? null : 'no gcc';
}

const missing = notRun(
  "the receiver's arrival intervals beside a server that logs its writes",
  missingHere(),
);

describe.skipIf(missing !== null)('the receiver in C', () => {
  it.each([
    ['as it is built', 'plain'],
    ['under ASan and UBSan', 'asan'],
    ['under TSan', 'tsan'],
  ])('reports each byte within the interval of its write, %s', async (_name, build) => {
    const { stdout, stderr } = await promisify(execFile)(RUN, [build], { timeout: 280_000 });
    expect(stderr).toBe('');
    const cases = stdout.match(/^\S.*/gm)!;
    expect(cases.length).toBeGreaterThan(20);
    expect(stdout.match(/^ {2}ok, /gm)).toHaveLength(cases.length);
    for (const [, why] of stdout.matchAll(/\*\*\* NOT RUN: (.*) \*\*\*/g))
      notRun('a case of the receiver', why!);
  });
});
