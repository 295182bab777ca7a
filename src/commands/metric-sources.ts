import { readFileSync } from 'node:fs';
import path from 'node:path';
import { usageError } from '../core/errors.ts';
import type { SourceBy } from '../core/server-look.ts';
import type { RunSpec } from '../core/spec.ts';
import { Control } from '../endpoints/control.ts';
import { parseTarget, sideUrl } from '../endpoints/target.ts';
import type { StackPlan } from '../stack/plan/planned.ts';
import type { TargetAccess } from './arguments.ts';

/** A look that takes longer is none. */
const TIMEOUT_MS = 2_000;
const OFF = 'off';

/** An address that tells metrics. */
export interface MetricSource {
  readonly url: string;
  readonly by: SourceBy;
  readonly control: Control;
  /** Below the control's target. */
  readonly path: string;
}

/** `--server-metrics` as the spec has it: nothing is the target's own, an empty list is off. Exit 2 on anything that is no address. */
export function parseServerMetrics(given: readonly string[]): Pick<RunSpec, 'serverMetrics'> {
  if (given.length === 0) return {};
  if (given.includes(OFF)) {
    if (given.length > 1)
      throw usageError(
        `--server-metrics: ${OFF} stands beside addresses`,
        `give ${OFF} alone, or the addresses`,
      );
    return { serverMetrics: [] };
  }
  const urls = given.map((text) => {
    const target = parseTarget(text, '--server-metrics');
    return target.basePath === '' ? `${target.url}/metrics` : target.url;
  });
  return { serverMetrics: [...new Set(urls)] };
}

/** Metrics that a run takes without being told where. */
export interface KnownMetrics {
  /** Path of the target's own; null where it has none. */
  readonly ownPath: string | null;
  /** Folder of the stack that bench launched; null where it did not. */
  readonly stackDir: string | null;
}

/** The addresses to look at. Credentials go to the targets' own origins alone. */
export function metricSources(
  asked: readonly string[] | undefined,
  known: KnownMetrics,
  access: TargetAccess,
  headers: readonly (readonly [string, string])[],
  usesProxies = false,
): MetricSource[] {
  const own = new Set(access.targets.map(({ url }) => originOf(url)));
  const source = (url: string, by: SourceBy): MetricSource => {
    const target = parseTarget(url, '--server-metrics');
    const ours = own.has(originOf(target.url));
    const tls = ours || access.tls === null ? access.tls : { ca: access.tls.ca, cert: null, key: null };
    return {
      url: target.url,
      by,
      path: '',
      control: new Control({
        target,
        tls,
        headers: ours ? headers : [],
        timeoutMs: TIMEOUT_MS,
        usesProxies,
      }),
    };
  };
  if (asked !== undefined) return asked.map((url) => source(url, 'given'));
  const { ownPath, stackDir } = known;
  const targets = access.targets.map(
    (target): MetricSource => ({
      url: sideUrl(target, ownPath ?? ''),
      by: 'target',
      path: ownPath ?? '',
      control: new Control({ target, tls: access.tls, headers, timeoutMs: TIMEOUT_MS, usesProxies }),
    }),
  );
  const workers = stackDir === null ? [] : workerMetrics(stackDir).map((url) => source(url, 'stack'));
  return [...(ownPath === null ? [] : targets), ...workers];
}

/** Scheme, host and port; the whole of a Unix socket. */
function originOf(url: string): string {
  return url.startsWith('unix:') ? url : new URL(url).origin;
}

/** The metrics of Dynamo's workers in a stack: of each that has a DYN_SYSTEM_PORT, on its first node. Empty without a plan. */
export function workerMetrics(stackDir: string): string[] {
  let plan: StackPlan;
  try {
    plan = JSON.parse(readFileSync(path.join(stackDir, 'resolved.json'), 'utf8')) as StackPlan;
  } catch {
    return [];
  }
  return plan.steps.flatMap(({ id, env, nodes }) => {
    const port = env['DYN_SYSTEM_PORT'];
    // A worker's further nodes have steps of their own (`prefill-0.1`), and take no requests.
    if (port === undefined || id.includes('.') || !/^\d+$/.test(port)) return [];
    const host = plan.mode === 'local' ? '127.0.0.1' : nodes[0];
    return host === undefined ? [] : [`http://${host}:${port}/metrics`];
  });
}
