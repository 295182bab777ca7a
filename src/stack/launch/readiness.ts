import type { NotReadyFacts, WorkerRole } from '../failure/not-ready.ts';
import type { Probe, StackPlan } from '../plan/planned.ts';
import { countInstances, listedModels } from './probe.ts';

type Instances = Extract<Probe, { kind: 'instances' }>;

/** What the frontend counts and lists now, for whoever has to say why a stack is not ready. Never rejects. */
export async function readinessSeen(
  plan: StackPlan,
  signal: AbortSignal,
): Promise<Pick<NotReadyFacts, 'instances' | 'expected' | 'models'>> {
  const probes = plan.ready.filter((probe) => probe.kind === 'instances');
  const expected = { prefill: 0, decode: 0, agg: 0 };
  const instances = { prefill: 0, decode: 0, agg: 0 };
  let answered = probes.length > 0;
  for (const probe of probes) {
    const role = roleOf(probe, plan);
    expected[role] += probe.least;
    const count = await countInstances(probe, signal).catch(() => null);
    if (count === null) answered = false;
    else instances[role] += count;
  }
  const model = plan.ready.find((probe) => probe.kind === 'model');
  const models =
    model === undefined
      ? null
      : await listedModels(model.url, signal).then(
          ({ ids }) => ids,
          () => null,
        );
  return { expected, instances: answered ? instances : null, models };
}

/** Whose instances a probe counts: prefill components are called so, the others serve as decode or all in one. */
export function roleOf(probe: Instances, plan: StackPlan): WorkerRole {
  if (probe.components.includes('prefill')) return 'prefill';
  return plan.steps.some((step) => step.role === 'agg') ? 'agg' : 'decode';
}
