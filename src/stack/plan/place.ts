import { usageError } from '../../core/errors.ts';
import { COMPUTE_ROLES, type Service } from '../file/stack.ts';

/** Nodes of every replica, by service, each list in the order of the allocation. */
export type Placement = ReadonlyMap<string, readonly (readonly string[])[]>;

type Services = Readonly<Record<string, Service>>;

/** Gives a node that no compute service has yet, or undefined when there is none left. */
type Fresh = () => string | undefined;

/**
 * Pins every replica to its nodes. Services of the head come first; then prefill, decode and aggregated
 * workers take whole nodes in the order of the allocation, beginning after the head; one that shares with a
 * service begins on that service's nodes. Throws (exit 2) when the nodes do not suffice.
 */
export function placeServices(services: Services, nodes: readonly string[], head: string): Placement {
  const taken = new Set<string>([head]);
  const place = placeWith(
    services,
    head,
    () => {
      const node = nodes.find((one) => !taken.has(one));
      if (node !== undefined) taken.add(node);
      return node;
    },
    (node) => taken.add(node),
  );
  const order = new Map(nodes.map((node, i) => [node, i]));
  for (const [name, replicas] of place) {
    for (const replica of replicas) {
      const stranger = replica.find((node) => !order.has(node));
      if (stranger !== undefined)
        throw usageError(
          `service ${name}: node ${stranger} is not in the allocation (${nodes.join(',')})`,
          'change its placement, or the nodes',
        );
    }
  }
  const sorted = (replica: readonly string[]): string[] =>
    [...replica].sort((a, b) => order.get(a)! - order.get(b)!);
  return new Map([...place].map(([name, replicas]) => [name, replicas.map(sorted)]));
}

/** Nodes that an allocation needs for these services, the head included. */
export function needNodes(services: Services): number {
  let made = 0;
  const used = new Set<string>(['0']);
  const place = placeWith(
    services,
    '0',
    () => `${++made}`,
    () => undefined,
  );
  for (const replicas of place.values()) for (const node of replicas.flat()) used.add(node);
  // Without anything on the head, the first worker's node is the head.
  const headUsed = [...place.values()].some((replicas) => replicas.flat().includes('0'));
  return headUsed ? used.size : Math.max(1, used.size - 1);
}

function placeWith(services: Services, head: string, fresh: Fresh, take: (node: string) => void): Placement {
  const place = new Map<string, readonly (readonly string[])[]>();
  const names = Object.keys(services);
  const onHead = names.some((name) => services[name]!.placement === 'head');
  let headFree = !onHead;
  const next: Fresh = () => {
    if (!headFree) return fresh();
    headFree = false;
    return head;
  };
  for (const name of names) {
    const { placement } = services[name]!;
    if (typeof placement === 'object' && 'nodes' in placement) for (const node of placement.nodes) take(node);
  }
  for (const name of inOrder(services)) {
    const { placement, replicas, nodes } = services[name]!;
    const wanted = Array.from({ length: replicas });
    if (placement === 'head') {
      place.set(
        name,
        wanted.map(() => [head]),
      );
    } else if (typeof placement === 'object' && 'nodes' in placement) {
      const all = placement.nodes;
      place.set(
        name,
        wanted.map((_, i) =>
          Array.from({ length: nodes }, (_unused, k) => all[(i * nodes + k) % all.length]!),
        ),
      );
    } else {
      const shared =
        typeof placement === 'object' ? [...new Set((place.get(placement.share) ?? []).flat())] : [];
      place.set(
        name,
        wanted.map((_, i) =>
          Array.from({ length: nodes }, () => {
            const node = shared.shift() ?? next();
            if (node === undefined)
              throw usageError(
                `service ${name}: no node is left for replica ${i}, which needs ${nodes}`,
                `the stack needs ${needNodes(services)} nodes`,
              );
            return node;
          }),
        ),
      );
    }
  }
  return new Map(names.map((name) => [name, place.get(name)!]));
}

/** Those with a place of their own first, then workers by role, and after each those that share with it. */
function inOrder(services: Services): string[] {
  const rank = (name: string): number => {
    const { placement, role } = services[name]!;
    if (placement === 'head' || (typeof placement === 'object' && 'nodes' in placement)) return 0;
    const at = COMPUTE_ROLES.indexOf(role);
    return 1 + (at < 0 ? COMPUTE_ROLES.length : at);
  };
  const waiting = Object.keys(services).sort((a, b) => rank(a) - rank(b));
  const done: string[] = [];
  while (waiting.length > 0) {
    const ready = waiting.findIndex((name) => {
      const { placement } = services[name]!;
      return !(typeof placement === 'object' && 'share' in placement) || done.includes(placement.share);
    });
    // A circle of shares is refused when the file is read; here it must only end.
    done.push(...waiting.splice(Math.max(ready, 0), 1));
  }
  return done;
}
