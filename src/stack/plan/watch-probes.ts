import type { Probe } from './planned.ts';

/**
 * What is asked again and again while the stack serves, of what had to hold before: the counts of instances, so
 * that a worker that is lost is missed though its step lives on, and the model's listing. Where no model was
 * asked for, the entrance must at least take connections.
 */
export function servingProbes(ready: readonly Probe[], entrance: string): Probe[] {
  const counts = new Map<string, Extract<Probe, { kind: 'instances' }>>();
  for (const probe of ready) {
    if (probe.kind !== 'instances') continue;
    const key = JSON.stringify([probe.url, probe.components, probe.endpoint]);
    if ((counts.get(key)?.least ?? 0) < probe.least) counts.set(key, probe);
  }
  const model = ready.find(({ kind }) => kind === 'model');
  const { hostname, port } = new URL(entrance);
  const open: Probe = { kind: 'tcp', host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) };
  return [...counts.values(), model ?? open];
}
