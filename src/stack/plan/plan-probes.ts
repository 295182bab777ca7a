import { parseDurationMs } from '../../core/units.ts';
import type { ProbeFile } from '../file/schema.ts';
import type { StackReadyRule } from '../file/stack.ts';
import type { Probe } from './planned.ts';

/** What a probe of the file needs to become one of the plan. */
export interface ProbeScope {
  /** Fills in `${…}`. */
  readonly fill: (text: string) => string;
  /** Where requests go. */
  readonly url: string;
  readonly model: string;
  /** Steps of a service; of the step's own without a name. */
  readonly stepsOf: (service: string | undefined) => readonly string[];
  /** Tasks of the step: the number of ranks. */
  readonly world: number;
}

const PROMPT = 'Say hello.';

/** Fills in the probe; `count: world` becomes the number of ranks. */
export function planProbe(probe: ProbeFile, scope: ProbeScope): Probe {
  const { fill, url } = scope;
  if (probe.log !== undefined) {
    const log = typeof probe.log === 'string' ? { pattern: probe.log } : probe.log;
    const steps = scope.stepsOf(log.service);
    const count = log.count === 'world' ? scope.world : (log.count ?? 1);
    return { kind: 'log', steps, pattern: fill(log.pattern), count };
  }
  if (probe.tcp !== undefined) return tcpProbe(fill(probe.tcp));
  if (probe.http !== undefined) {
    const { json, status } = probe.http;
    return {
      kind: 'http',
      url: fill(probe.http.url),
      status: status ?? 200,
      json: json === undefined ? null : { path: json.path, equals: fill(json.equals) },
    };
  }
  if (probe.instances !== undefined) {
    const { component, endpoint, min } = probe.instances;
    return {
      kind: 'instances',
      url: `${url}/health`,
      components: (typeof component === 'string' ? [component] : component).map(fill),
      endpoint: endpoint ?? 'generate',
      least: min ?? 1,
    };
  }
  if (probe.model !== undefined) return { kind: 'model', url: `${url}/v1/models`, model: scope.model };
  if (probe.exec !== undefined)
    return { kind: 'exec', argv: probe.exec.argv.map(fill), exit: probe.exec.exit ?? 0 };
  const { requests, max_tokens, min_tokens, prompt } = probe.canary ?? {};
  return {
    kind: 'canary',
    url,
    model: scope.model,
    requests: requests ?? 1,
    maxTokens: max_tokens ?? 8,
    leastTokens: min_tokens ?? 1,
    prompt: prompt === undefined ? PROMPT : fill(prompt),
  };
}

/** Of `HOST:PORT`. */
export function tcpProbe(address: string): Probe {
  const at = address.lastIndexOf(':');
  return { kind: 'tcp', host: address.slice(0, at), port: Number(address.slice(at + 1)) };
}

/** Durations of a rule in milliseconds. */
export function timesOf(rule: StackReadyRule): { timeoutMs: number; intervalMs: number } {
  return {
    timeoutMs: parseDurationMs(rule.timeout, 'timeout'),
    intervalMs: parseDurationMs(rule.interval, 'interval'),
  };
}
