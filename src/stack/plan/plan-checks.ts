import { usageError } from '../../core/errors.ts';
import { COMPUTE_ROLES, type Stack } from '../file/stack.ts';
import { idOf, type Spot } from './spot.ts';

/** GPUs of all services that compute; null when the file does not say for one of them. */
export function countGpus(stack: Stack): number | null {
  const counts = Object.values(stack.services)
    .filter(({ role }) => COMPUTE_ROLES.includes(role))
    .map(({ srun, replicas, nodes, ntasks_per_node, gpus }) => {
      const ranked = srun.mpi === 'pmix' || srun.mpi === 'pmi2';
      const perNode = ranked && stack.cluster.mode !== 'local' ? ntasks_per_node : gpus?.per_node;
      return perNode === undefined ? null : replicas * nodes * perNode;
    });
  const known = counts.filter((one) => one !== null);
  return known.length === 0 || known.length < counts.length ? null : known.reduce((a, b) => a + b, 0);
}

/** Throws (exit 2) when two services on one node want one port. */
export function refusePortClashes(spots: readonly Spot[]): void {
  const owners = new Map<string, string>();
  for (const spot of spots) {
    for (const [port, base] of Object.entries(spot.service.ports)) {
      const number = base + spot.replica;
      for (const node of spot.nodes) {
        const other = owners.get(`${node}:${number}`);
        if (other !== undefined)
          throw usageError(
            `port ${number} of node ${node} is wanted by ${other} and by ${idOf(spot)} (ports.${port})`,
            'give one of the services another ports: entry; replica i gets the number plus i',
          );
        owners.set(`${node}:${number}`, idOf(spot));
      }
    }
  }
}

/** A warning for each node whose workers may take each other's GPUs. */
export function sharedGpus({ cluster }: Stack, spots: readonly Spot[]): string[] {
  const most = cluster.gpus_per_node;
  if (most === undefined || cluster.mode === 'local') return [];
  const workers = spots.filter(({ service }) => COMPUTE_ROLES.includes(service.role));
  const nodes = [...new Set(workers.flatMap((spot) => spot.nodes))];
  return nodes.flatMap((node) => {
    const here = workers.filter((spot) => spot.nodes.includes(node));
    const apart = here.every(({ service }) => 'CUDA_VISIBLE_DEVICES' in service.env);
    return here.length > 1 && !apart
      ? [`${node}: ${here.map(idOf).join(' and ')} share its ${most} GPUs; say which by gpus.visible`]
      : [];
  });
}
