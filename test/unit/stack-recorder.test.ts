import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { writeAtomic } from '../../src/host/store.ts';
import { EVENTS_FILE, mayFollow, Recorder, STATE_FILE } from '../../src/stack/launch/recorder.ts';
import type { StackEvent, StackState, StepState } from '../../src/stack/launch/state.ts';
import { makeFolder, stackState, stepStatus } from './stack-steps.ts';

const STATES: readonly StepState[] = [
  'pending',
  'submitted',
  'started',
  'loading',
  'registered',
  'ready',
  'stopping',
  'ended',
  'failed',
];

function start(steps = [stepStatus('a-0'), stepStatus('b-0')]): { dir: string; recorder: Recorder } {
  const dir = makeFolder();
  return { dir, recorder: new Recorder(dir, stackState({ steps }), writeAtomic) };
}

const onDisk = (dir: string): StackState =>
  JSON.parse(readFileSync(path.join(dir, STATE_FILE), 'utf8')) as StackState;

const eventsIn = (dir: string): StackEvent[] =>
  readFileSync(path.join(dir, EVENTS_FILE), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as StackEvent);

describe('states of a step', () => {
  it.each([
    ['pending', 'submitted', true],
    ['pending', 'ready', true],
    ['ready', 'failed', true],
    ['stopping', 'ended', true],
    ['ready', 'loading', false],
    ['ready', 'ready', false],
    ['ended', 'failed', false],
    ['failed', 'ended', false],
    ['failed', 'stopping', false],
  ] as const)('%s to %s: %s', (from, to, allowed) => {
    expect(mayFollow(from, to)).toBe(allowed);
  });

  it('only move forward, whatever is asked', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...STATES), { maxLength: 12 }), (asked) => {
        const dir = makeFolder();
        const recorder = new Recorder(dir, stackState({ steps: [stepStatus('a-0')] }), writeAtomic);
        const seen: StepState[] = ['pending'];
        for (const state of asked) {
          const moved = recorder.step('a-0', state, null);
          const now = recorder.stepStatus('a-0').state;
          expect(moved).toBe(now !== seen.at(-1));
          if (moved) seen.push(now);
        }
        const places = seen.map((state) => STATES.indexOf(state));
        expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
        expect(seen.slice(0, -1).some((state) => state === 'ended' || state === 'failed')).toBe(false);
      }),
      { numRuns: 40 },
    );
  });
});

describe('what is written', () => {
  it('is an event for each change, and a state that is whole at any time', () => {
    const { dir, recorder } = start();
    recorder.phase('preflight');
    recorder.phase('preflight');
    recorder.step('a-0', 'started', 'launching StepId=1.0', { slurmStep: '1.0' });
    recorder.step('a-0', 'submitted', 'too late', { pid: 12 });
    recorder.note('a-0', 'a word');
    recorder.phase('ready', 'at http://x');
    expect(eventsIn(dir).map(({ subject, from, to, evidence }) => [subject, from, to, evidence])).toEqual([
      ['stack', 'starting', 'preflight', null],
      ['a-0', 'pending', 'started', 'launching StepId=1.0'],
      ['a-0', null, 'note', 'a word'],
      ['stack', 'preflight', 'ready', 'at http://x'],
    ]);
    const state = onDisk(dir);
    expect(state).toEqual(recorder.state);
    expect(state.phase).toBe('ready');
    expect(state.steps.map(({ id, state: at, slurmStep, pid }) => [id, at, slurmStep, pid])).toEqual([
      ['a-0', 'started', '1.0', 12],
      ['b-0', 'pending', null, null],
    ]);
    expect(Object.keys(state.startupS)).toEqual(['stack.preflight', 'a-0.started', 'stack.ready']);
    const times = eventsIn(dir).map(({ atS }) => atS);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(readdirSync(dir).sort()).toEqual([EVENTS_FILE, STATE_FILE]);
  });

  it('is rewritten for a change at once, and without one only as a sign of life', () => {
    const dir = makeFolder();
    let writes = 0;
    const recorder = new Recorder(dir, stackState(), () => writes++);
    expect(writes).toBe(1);
    recorder.flush(60_000);
    expect(writes).toBe(1);
    recorder.flush(0);
    expect(writes).toBe(2);
    recorder.set({ url: 'http://x' });
    expect(writes).toBe(2);
    recorder.flush(60_000);
    expect(writes).toBe(3);
  });
});

describe('a disk that takes nothing', () => {
  it('is told, not thrown, and the first error stays', () => {
    const { dir, recorder } = start();
    expect(recorder.diskError).toBeNull();
    rmSync(dir, { recursive: true });
    recorder.step('a-0', 'started', null);
    expect(recorder.diskError).toContain('ENOENT');
    expect(recorder.stepStatus('a-0').state).toBe('started');

    let nth = 0;
    const full = new Recorder(makeFolder(), stackState(), () => {
      throw new Error(`no space left ${nth++}`);
    });
    full.set({ url: 'http://x' });
    full.flush();
    expect(nth).toBe(2);
    expect(full.diskError).toBe('no space left 0');
  });
});

describe('a state that is not written', () => {
  it('is told since when, tried again, and forgotten once it is', () => {
    let full = false;
    let writes = 0;
    const recorder = new Recorder(makeFolder(), stackState(), () => {
      writes++;
      if (full) throw new Error('no space left');
    });
    expect(recorder.unwritten).toBeNull();
    full = true;
    recorder.flush();
    const first = recorder.unwritten;
    expect(first).toMatchObject({ error: 'no space left' });
    recorder.flush(60_000);
    expect([writes, recorder.unwritten]).toEqual([3, first]);
    full = false;
    recorder.flush(60_000);
    expect([writes, recorder.unwritten]).toEqual([4, null]);
  });
});

describe('secrets', () => {
  it('are in no file, even where a service prints them', () => {
    const { dir, recorder } = start();
    const secret = 'a "quoted" \\ secret';
    recorder.hide([secret]);
    recorder.step('a-0', 'failed', `cannot log in with ${secret}`, { waitingFor: [`${secret}?`] });
    recorder.flush();
    expect(onDisk(dir).steps[0]!.waitingFor).toEqual(['***?']);
    expect(eventsIn(dir).at(-1)!.evidence).toBe('cannot log in with ***');
  });
});
