import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
const LISTENING = '0A';

/** A socket with unread bytes, as a table of the kernel tells of it. */
export interface UnreadSocket {
  readonly inode: string;
  readonly bytes: number;
}

/** Sockets of a table in the form of `/proc/net/tcp` that have unread bytes; what listens has a queue of another kind. */
export function unreadSockets(table: string): UnreadSocket[] {
  return table.split('\n').flatMap((line) => {
    const [, , , state, queues, , , , , inode] = line.trim().split(/\s+/);
    if (queues === undefined || inode === undefined || state === LISTENING) return [];
    const bytes = Number.parseInt(queues.slice(queues.indexOf(':') + 1), 16);
    return bytes > 0 ? [{ inode, bytes }] : [];
  });
}

/**
 * Bytes that lie unread in all TCP sockets of a process of this user; null where the system does not tell.
 * It takes as long as there are sockets on the host, so it is not for a process that measures.
 */
export function unreadBytes(pid: number): number | null {
  try {
    const unread = TABLES.flatMap((file) => unreadSockets(readTable(file)));
    if (unread.length === 0) return 0;
    const own = socketsOf(pid);
    return unread.reduce((total, { inode, bytes }) => total + (own.has(inode) ? bytes : 0), 0);
  } catch {
    return null;
  }
}

/** A host without IPv6 has no table of it. */
function readTable(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    if (file === TABLES[0]) throw error;
    return '';
  }
}

function socketsOf(pid: number): Set<string> {
  const folder = `/proc/${pid}/fd`;
  const inodes = new Set<string>();
  for (const name of readdirSync(folder)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${name}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      // Closed meanwhile.
    }
  }
  return inodes;
}
