import { usageError } from '../../core/errors.ts';
import type { Stack } from '../../stack/file/stack.ts';
import { jobFacts } from '../../stack/launch/slurm.ts';
import { expandNodeList } from '../../stack/plan/node-list.ts';
import type { MeasureArgs } from '../options.ts';

export type LoadPlaces = Pick<MeasureArgs, 'load-on' | 'load-nodes' | 'load-job' | 'load-nodelist'>;

/**
 * Refuses (exit 2), before anything is launched, to send load from nodes that the stack's job will not have. Nodes
 * of a job that does not exist yet are known by the file alone. `ownJob`: the job that this process runs in.
 */
export function checkLoadPlaces(stack: Stack, places: LoadPlaces, ownJob: string | undefined): void {
  const { cluster, name } = stack;
  if (cluster.mode === 'local') {
    if (places['load-on'] !== 'login')
      throw usageError(
        `--load-on: ${places['load-on']} is no node of ${name}, which runs on this machine (cluster.mode: local)`,
        'leave --load-on out: the load is sent from here',
      );
    if (places['load-nodes'] !== undefined && (places['load-job'] ?? ownJob) === undefined)
      throw usageError(
        `--load-nodes: ${name} runs on this machine (cluster.mode: local) and there is no SLURM job`,
        'use --workers, which starts load generators on this host',
      );
    return;
  }
  if (cluster.mode === 'attach') return;
  const count = typeof cluster.nodes === 'number' ? cluster.nodes : stack.nodesNeeded;
  const named = nodesInFile(stack);
  if (places['load-on'] !== 'login' && places['load-on'] !== 'head' && !named.includes(places['load-on']))
    throw usageError(
      `--load-on: ${places['load-on']} is no node that ${name} names (${named.join(', ') || 'it names none'})`,
      'use head; or ask for nodes by name under cluster.extra: [--nodelist=…]',
    );
  if (places['load-job'] === undefined) refuseTooMany(places, count, `the job of ${name}`);
}

/** The same for a stack that attaches to a job, whose nodes are known. A job that is unknown is left to the launch to report. */
export async function checkAttachedPlaces(jobId: string, places: LoadPlaces): Promise<void> {
  if (places['load-on'] === 'login' && places['load-nodes'] === undefined) return;
  const list = (await jobFacts(jobId))?.nodeList ?? '';
  if (list === '') return;
  const nodes = expandNodeList(list);
  if (places['load-on'] !== 'login' && places['load-on'] !== 'head' && !nodes.includes(places['load-on']))
    throw usageError(
      `--load-on: ${places['load-on']} is no node of job ${jobId} (${list})`,
      'use login, head or one of its nodes',
    );
  if (places['load-job'] !== undefined) return;
  refuseTooMany(places, nodes.length, `job ${jobId}`);
  const missing = listed(places).filter((node) => !nodes.includes(node));
  if (missing.length > 0)
    throw usageError(
      `--load-nodelist: ${missing.join(', ')} is not in job ${jobId} (${list})`,
      'name its nodes',
    );
}

function refuseTooMany(places: LoadPlaces, count: number, job: string): void {
  const wanted = places['load-nodes'];
  if (wanted !== undefined && wanted > count)
    throw usageError(
      `--load-nodes: ${wanted} nodes, but ${job} has ${count}`,
      `give at most ${count}, or ask for more under cluster.nodes`,
    );
}

/** Nodes that the file names for services or for the job. */
function nodesInFile({ cluster, services }: Stack): string[] {
  const placed = Object.values(services).flatMap(({ placement }) =>
    typeof placement === 'object' && 'nodes' in placement ? placement.nodes : [],
  );
  const { extra = [] } = cluster;
  const asked = extra.flatMap((word, at) => {
    const list =
      /^(?:--nodelist=|-w=?)(.+)$/.exec(word)?.[1] ??
      (/^(--nodelist|-w)$/.test(word) ? extra[at + 1] : undefined);
    return list === undefined ? [] : expandNodeList(list);
  });
  return [...new Set([...(cluster.head === undefined ? [] : [cluster.head]), ...placed, ...asked])];
}

function listed(places: LoadPlaces): string[] {
  const list = places['load-nodelist']?.trim() ?? '';
  return list === '' ? [] : list.split(',').map((node) => node.trim());
}
