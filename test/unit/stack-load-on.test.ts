import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { StackLink } from '../../src/commands/stack/link.ts';
import { sendFrom } from '../../src/commands/stack/load-on.ts';
import { writeAtomic } from '../../src/host/store.ts';
import { startTicks } from '../../src/stack/launch/marked-processes.ts';
import { STATE_FILE } from '../../src/stack/launch/recorder.ts';
import { makeFolder, putPrograms, stackState, until } from './stack-steps.ts';

afterEach(() => vi.unstubAllEnvs());

/** The folder of a stack that is ready in job 7. */
function readyStack(): { dir: string; at: (name: string) => string } {
  const dir = makeFolder();
  const at = (name: string): string => path.join(dir, name);
  const state = stackState({
    phase: 'ready',
    mode: 'salloc',
    job: { id: '7', ours: true, nodes: ['n1'], endsAt: null },
  });
  const supervisor = { ...state.supervisor, pid: process.pid, startTicks: startTicks(process.pid)! };
  writeAtomic(at(STATE_FILE), JSON.stringify({ ...state, supervisor }));
  return { dir, at };
}

it.each([
  ['SIGINT', 'INT', 130],
  ['SIGTERM', 'TERM', 143],
] as const)('a step of load that SLURM does not know yet gets its %s once it does', async (signal, sent, code) => {
  const { dir, at } = readyStack();
  const programs = {
    // The third look finds it.
    squeue: `echo look >>${at('looks')}; [ $(wc -l <${at('looks')}) -lt 3 ] || echo '7.4|bench-1.load'`,
    scancel: `echo "$*" >${at('cancelled')}`,
    srun: `touch ${at('started')}; until [ -e ${at('cancelled')} ]; do sleep 0.05; done; exit 0`,
  };
  putPrograms(dir, programs);
  const link = new StackLink(dir);
  const ended = sendFrom('head', link, ['sweep'], at('out'));
  await until('the step', () => existsSync(at('started')));
  process.emit(signal);
  expect(await ended).toBe(code);
  expect(readFileSync(at('cancelled'), 'utf8')).toBe(`--ctld --signal=${sent} 7.4\n`);
  link.close();
});

it('a load generator that is killed leaves no report that states that it runs', async () => {
  const { dir, at } = readyStack();
  putPrograms(dir, { srun: `echo "$NO_COLOR" >${at('plain')}; exit 137` });
  const link = new StackLink(dir);
  writeAtomic(at('report.json'), JSON.stringify({ status: 'running', statusDetail: null, levels: [1] }));
  await expect(sendFrom('head', link, ['sweep'], dir)).rejects.toThrow(
    'the load generator on n1 ended with 137',
  );
  expect(JSON.parse(readFileSync(at('report.json'), 'utf8'))).toMatchObject({
    status: 'failed',
    statusDetail: 'the load generator on n1 ended with 137',
    levels: [1],
  });
  // This process has no terminal, so the one that srun makes is not to be written to as one.
  expect(readFileSync(at('plain'), 'utf8')).toBe('1\n');
  writeAtomic(at('report.json'), JSON.stringify({ status: 'complete' }));
  await expect(sendFrom('head', link, ['sweep'], dir)).rejects.toThrow();
  expect(JSON.parse(readFileSync(at('report.json'), 'utf8'))).toEqual({ status: 'complete' });
  link.close();
});
