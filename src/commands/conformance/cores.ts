import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** What is put before a command to keep it on its cores; nothing where that cannot be done. */
export interface Cores {
  readonly server: readonly string[];
  readonly client: readonly string[];
  /** One core alone. */
  readonly oneForClient: readonly string[];
  /** For people. */
  readonly about: string;
}

/** The first core for the server, the others for the client. */
export function divideCores(): Cores {
  const cores = allowedCores();
  const [first, ...rest] = cores;
  if (rest.length === 0 || spawnSync('taskset', ['--version']).status !== 0) {
    const about = 'NOT pinned (taskset or a second core is missing): server and client share what there is';
    return { server: [], client: [], oneForClient: [], about };
  }
  const pin = (list: readonly number[]): string[] => ['taskset', '-c', list.join(',')];
  return {
    server: pin([first!]),
    client: pin(rest),
    oneForClient: pin([rest[0]!]),
    about: `server on core ${first}, client on ${rest.length === 1 ? 'core' : 'cores'} ${rest.join(', ')}`,
  };
}

/** Numbers of the cores that this process may use; none where the system does not say. */
function allowedCores(): number[] {
  let status: string;
  try {
    status = readFileSync('/proc/self/status', 'utf8');
  } catch {
    return [];
  }
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [from, to] = range.split('-').map(Number);
    return Array.from({ length: (to ?? from!) - from! + 1 }, (_, i) => from! + i);
  });
}
