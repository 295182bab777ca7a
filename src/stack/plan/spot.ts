import type { Service, Stack } from '../file/stack.ts';
import type { Placement } from './place.ts';

/** Everything that one step's texts are filled from. */
export interface Spot {
  readonly name: string;
  readonly service: Service;
  readonly replica: number;
  /** Nodes of the replica, and those of the step among them. */
  readonly replicaNodes: readonly string[];
  readonly nodes: readonly string[];
  /** Position of the step within its replica. */
  readonly rank: number;
}

/** Id of the step. */
export function idOf({ name, replica, rank }: Spot): string {
  return rank === 0 ? `${name}-${replica}` : `${name}-${replica}.${rank}`;
}

/** Local mode has one node, whatever the placement says. */
export function onThisMachine(services: Stack['services']): Stack['services'] {
  return Object.fromEntries(
    Object.entries(services).map(([name, service]) => [name, { ...service, placement: 'head' as const }]),
  );
}

/** All steps: what others wait for comes first; else the order of the file. */
export function spotsOf(services: Stack['services'], place: Placement): Spot[] {
  return inStartOrder(services).flatMap((name) => {
    const service = services[name]!;
    return place.get(name)!.flatMap((replicaNodes, replica) => {
      const spot = { name, service, replica, replicaNodes };
      return service.launch === 'per_node'
        ? replicaNodes.map((node, rank) => ({ ...spot, nodes: [node], rank }))
        : [{ ...spot, nodes: replicaNodes, rank: 0 }];
    });
  });
}

function inStartOrder(services: Stack['services']): string[] {
  const order: string[] = [];
  const visit = (name: string): void => {
    if (order.includes(name)) return;
    for (const { service } of services[name]!.depends_on) visit(service);
    order.push(name);
  };
  for (const name of Object.keys(services)) visit(name);
  return order;
}
