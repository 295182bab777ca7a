import { describe, expect, it } from 'vitest';
import { writeAtomic } from '../../src/host/store.ts';
import { FailureFinder } from '../../src/stack/failure/first-error.ts';
import { StackFailure, type Why } from '../../src/stack/failure/why.ts';
import { Recorder } from '../../src/stack/launch/recorder.ts';
import { type Look, ServingWatch } from '../../src/stack/launch/serving-watch.ts';
import type { Probe } from '../../src/stack/plan/planned.ts';
import { localPlan, localStep, makeFolder, stackState } from './stack-steps.ts';

const URL = 'http://10.0.0.1:8000';
const counts = (component: string): Probe => ({
  kind: 'instances',
  url: `${URL}/health`,
  components: [component],
  endpoint: 'generate',
  least: 1,
});
const PREFILL = counts('prefill');
const DECODE = counts('backend');
const MODEL: Probe = { kind: 'model', url: `${URL}/v1/models`, model: 'm' };

const holds = (probe: Probe): Look => ({ probe, holds: true, said: 'all is well' });
const fails = (probe: Probe, said: string): Look => ({ probe, holds: false, said });
const NO_PREFILL = fails(PREFILL, '0 of 1 prefill instances registered');
const NO_DECODE = fails(DECODE, '0 of 1 backend instances registered');
const NO_MODEL = fails(MODEL, 'model "m" is not listed (none is)');

function watched() {
  const step = (id: string, role: 'frontend' | 'prefill' | 'decode', node: string) =>
    localStep(id, [], '/x', { role, nodes: [node] });
  const steps = [
    step('frontend-0', 'frontend', 'n1'),
    step('prefill-0', 'prefill', 'n2'),
    step('decode-0', 'decode', 'n3'),
  ];
  const finder = new FailureFinder(steps);
  finder.serving();
  const recorder = new Recorder(makeFolder(), stackState(), writeAtomic);
  const watch = new ServingWatch(localPlan('run', steps, { url: URL }), finder, recorder);
  const lostAt = (looks: readonly Look[], nowMs: number): Why | null => {
    try {
      watch.seen(looks, nowMs);
      return null;
    } catch (error) {
      expect(error).toBeInstanceOf(StackFailure);
      return (error as StackFailure).why;
    }
  };
  return { finder, recorder, lostAt };
}

describe('a serving stack', () => {
  it('is lost once something has been missing for more than 20 s without a break', () => {
    const { lostAt } = watched();
    expect(lostAt([NO_PREFILL, holds(MODEL)], 1_000)).toBeNull();
    expect(lostAt([holds(PREFILL), holds(MODEL)], 20_000)).toBeNull();
    expect(lostAt([NO_PREFILL, holds(MODEL)], 22_000)).toBeNull();
    expect(lostAt([NO_PREFILL, holds(MODEL)], 42_000)).toBeNull();
    expect(lostAt([NO_PREFILL, holds(MODEL)], 42_001)).toMatchObject({ failureClass: 'lost' });
  });

  it('reports in its state what each look has missed', () => {
    const { recorder, lostAt } = watched();
    const silent: Look = { ...fails(MODEL, 'no answer'), silent: true };
    lostAt([NO_PREFILL, holds(DECODE), silent], 0);
    expect(recorder.state.watch).toEqual({ looks: 1, missing: [NO_PREFILL.said], silent: ['no answer'] });
    lostAt([holds(PREFILL), holds(DECODE), holds(MODEL)], 5_000);
    expect(recorder.state.watch).toEqual({ looks: 2, missing: [], silent: [] });
  });

  it.each([
    ['decode', NO_DECODE, 'decode-0', 'n3'],
    ['prefill', NO_PREFILL, 'prefill-0', 'n2'],
  ])('that has lost %s names it, not the model that is not listed for want of it', (_, gone, id, node) => {
    const { lostAt } = watched();
    // The list of models was missed first.
    lostAt([holds(gone.probe), NO_MODEL], 0);
    lostAt([gone, NO_MODEL], 5_000);
    expect(lostAt([gone, NO_MODEL], 20_001)).toMatchObject({
      failureClass: 'lost',
      message: `the stack was ready and is no more: ${gone.said}`,
      step: id,
      node,
      hint: expect.stringContaining(`The step of ${id} lives`),
    });
  });

  it('that has lost several names all, and none as the one', () => {
    const { lostAt } = watched();
    lostAt([NO_PREFILL, NO_DECODE, NO_MODEL], 0);
    const why = lostAt([NO_PREFILL, NO_DECODE, NO_MODEL], 20_001)!;
    expect(why.message).toContain(`${NO_PREFILL.said}; ${NO_DECODE.said}`);
    expect([why.step, why.node]).toEqual([null, null]);
    expect(why.hint).toContain('prefill-0, decode-0');
  });

  it('whose frontend does not answer names that', () => {
    const { lostAt } = watched();
    const silent = {
      ...fails(PREFILL, '1 × prefill.generate registered: aborted due to timeout'),
      silent: true,
    } as const;
    lostAt([silent], 0);
    expect(lostAt([silent], 20_001)).toMatchObject({
      message: `the stack was ready and is no more: ${URL} does not answer: aborted due to timeout`,
      step: 'frontend-0',
    });
  });

  it('is explained by a cause in the log of what is missing, and not by a symptom', () => {
    const { finder, lostAt } = watched();
    finder.taskLine('frontend-0', 'f.log', '2026-11-30T23:30:04Z  WARN tcp: Connection refused', 1_000);
    finder.taskLine('decode-0', 'd.log', 'ERROR lease: Keep-alive lease expired', 1_000);
    lostAt([NO_PREFILL], 2_000);
    const why = lostAt([NO_PREFILL], 22_001)!;
    expect(why).toMatchObject({ failureClass: 'lost', step: 'prefill-0' });
    expect(why.hint).toContain('Keep-alive lease expired');

    finder.taskLine('prefill-0', 'p.log', 'ERROR lease: Keep-alive lease expired', 1_500);
    expect(lostAt([NO_PREFILL], 23_000)).toMatchObject({
      failureClass: 'lease-expired',
      step: 'prefill-0',
      hint: expect.stringContaining(NO_PREFILL.said),
    });
  });

  it('is not explained by what a log showed long before', () => {
    const { finder, lostAt } = watched();
    finder.taskLine('prefill-0', 'p.log', 'ERROR lease: Keep-alive lease expired', 0);
    lostAt([NO_PREFILL], 60_001);
    expect(lostAt([NO_PREFILL], 80_002)).toMatchObject({ failureClass: 'lost' });
  });
});
