import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
const LISTENING = '0A';
/** The kernel gives about a page of its table at a time. */
const PAGE_BYTES = 4_096;
const LINKS_AT_ONCE = 32;

/** A socket with unread bytes, as a table of the kernel tells of it. */
export interface UnreadSocket {
  readonly inode: string;
  readonly bytes: number;
}

/** The socket of a line of `/proc/net/tcp`, if it has unread bytes; what listens has a queue of another kind. */
export function unreadSocket(line: string): UnreadSocket | null {
  const [, , , state, queues, , , , , inode] = line.trim().split(/\s+/);
  if (queues === undefined || inode === undefined || state === LISTENING) return null;
  const bytes = Number.parseInt(queues.slice(queues.indexOf(':') + 1), 16);
  return bytes > 0 ? { inode, bytes } : null;
}

/**
 * Looks at the receive queues of a process of this user, again and again. A look takes as long as there are sockets
 * on the host, so it is done in small parts, and not by the process that measures.
 */
export class QueueLook {
  readonly #pid: number;
  /** Whether a socket is one of the process's, by its inode, as far as that was found out. */
  readonly #own = new Map<string, boolean>();

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** A look in parts of some 0.1 ms. Returns all unread bytes; throws where the system does not tell. */
  *parts(): Generator<undefined, number> {
    const unread: UnreadSocket[] = [];
    for (const table of TABLES) yield* readTable(table, unread);
    if (unread.some(({ inode }) => !this.#own.has(inode))) yield* this.#findOwn(unread);
    return unread.reduce((total, { inode, bytes }) => total + (this.#own.get(inode) ? bytes : 0), 0);
  }

  /** Finds out whose the sockets are. Those of others will not be asked for again. */
  *#findOwn(unread: readonly UnreadSocket[]): Generator<undefined, void> {
    const folder = `/proc/${this.#pid}/fd`;
    for (const { inode } of unread) if (!this.#own.has(inode)) this.#own.set(inode, false);
    for (const [i, name] of readdirSync(folder).entries()) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`${folder}/${name}`))?.[1];
      if (inode !== undefined) this.#own.set(inode, true);
      if (i % LINKS_AT_ONCE === LINKS_AT_ONCE - 1) yield;
    }
  }
}

function* readTable(file: string, unread: UnreadSocket[]): Generator<undefined, void> {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    // A host without IPv6 has no table of it.
    if (file === TABLES[0]) throw error;
    return;
  }
  try {
    const page = Buffer.allocUnsafe(PAGE_BYTES);
    let rest = '';
    for (let bytes = readSync(fd, page); bytes > 0; bytes = readSync(fd, page)) {
      const lines = (rest + page.toString('latin1', 0, bytes)).split('\n');
      rest = lines.pop()!;
      unread.push(...lines.flatMap((line) => unreadSocket(line) ?? []));
      yield;
    }
  } finally {
    closeSync(fd);
  }
}

/** Where a link leads; nowhere when it is gone. */
function linkOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}
