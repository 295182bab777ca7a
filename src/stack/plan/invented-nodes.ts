import type { Stack } from '../file/stack.ts';

/**
 * Names for the nodes of a job that does not exist yet: as many as the stack asks for. Those that the file names
 * are among them, a named head first, the others last, so that none of them becomes the head by its place alone.
 */
export function inventedNodes({ cluster, services, nodesNeeded }: Stack): string[] {
  const head = cluster.head === undefined || cluster.head === 'first' ? [] : [cluster.head];
  const named = new Set(
    Object.values(services).flatMap(({ placement }) =>
      typeof placement === 'object' && 'nodes' in placement ? placement.nodes : [],
    ),
  );
  for (const name of head) named.delete(name);
  const count = typeof cluster.nodes === 'number' ? cluster.nodes : nodesNeeded;
  const invented = Math.max(0, count - head.length - named.size);
  return [...head, ...Array.from({ length: invented }, (_, i) => `NODE${i + 1}`), ...named];
}
