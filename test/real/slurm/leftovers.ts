import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';

/**
 * Processes that carry a mark in the environment they were started with, as `pid 12: sleep 60`, with the TCP ports
 * they listen on. The mark is `NAME=value`, or a name alone for any value. Nodes of a test cluster are no obstacle:
 * this host sees their processes and ports. A process that cleared its environment is not found; zombies have ended.
 */
export function leftovers(mark: string): string[] {
  const ports = listeningPorts();
  return processIds()
    .filter((pid) => pid !== process.pid && marked(pid, mark))
    .map((pid) => {
      const command = read(pid, 'cmdline').split('\0').join(' ').trim();
      const held = sockets(pid).flatMap((inode) => ports.get(inode) ?? []);
      return `pid ${pid}: ${command}${held.length > 0 ? `, listening on ${held.join(' ')}` : ''}`;
    });
}

/** Sockets that listen now, as `127.0.0.2:8000`, on any of the given ports. */
export function listeners(ports: readonly number[]): string[] {
  return [...listeningPorts().values()].filter((address) =>
    ports.includes(Number(address.split(':').at(-1))),
  );
}

function processIds(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function marked(pid: number, mark: string): boolean {
  return read(pid, 'environ')
    .split('\0')
    .some((entry) => entry === mark || (!mark.includes('=') && entry.startsWith(`${mark}=`)));
}

/** Empty when the process has ended in the meantime. */
function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** Inodes of a process's sockets. */
function sockets(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(path.join(folder, fd)))?.[1] ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

/** Address of each listening TCP socket, by inode. */
function listeningPorts(): ReadonlyMap<string, string> {
  const lines = ['tcp', 'tcp6'].flatMap((file) =>
    readFileSync(`/proc/net/${file}`, 'utf8').split('\n').slice(1),
  );
  return new Map(
    lines
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === '0A')
      .map((fields) => [fields[9]!, readable(fields[1]!)]),
  );
}

/** `0200007F:1F40` is `127.0.0.2:8000`; IPv6 addresses are left as they are. */
function readable(address: string): string {
  const [host, port] = address.split(':') as [string, string];
  const bytes = host.match(/../g)!.map((byte) => Number.parseInt(byte, 16));
  return `${host.length === 8 ? bytes.reverse().join('.') : host}:${Number.parseInt(port, 16)}`;
}
