import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { QueueLook, unreadSocket } from '../../src/host/receive-queue.ts';

/** Lines as a kernel writes them: a listener with two connections in its backlog, then three streams. */
const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 77 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:EC66 01 00000000:00000144 00:00000000 00000000     0        0 1001 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:EC66 0100007F:1F90 01 00000200:00000000 01:00000014 00000000     0        0 1002 1 0000000000000000 20 4 30 10 -1
  13: 0100007F:EC68 0100007F:1F90 08 00000000:00040001 00:00000000 00000000  1000        0 1003 1 0000000000000000 20 4 30 10 -1
`;

/** All parts of a look. */
function unreadBytes(look: QueueLook): number {
  const parts = look.parts();
  for (let part = parts.next(); ; part = parts.next()) if (part.done) return part.value;
}

describe('the receive queues of the kernel', () => {
  it('are read from its table; backlogs and what is to be sent are none', () => {
    expect(TABLE.split('\n').flatMap((line) => unreadSocket(line) ?? [])).toEqual([
      { inode: '1001', bytes: 0x144 },
      { inode: '1003', bytes: 0x40001 },
    ]);
  });

  it.skipIf(!existsSync('/proc/net/tcp'))('tell the unread bytes of a process, and of no other', async () => {
    const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [accepted] = (await once(server, 'connection')) as [Socket];
    const own = new QueueLook(process.pid);
    const other = new QueueLook(process.ppid);
    const before = unreadBytes(own);
    client.write('x'.repeat(1_000));
    await new Promise((resolve) => setTimeout(resolve, 50));
    // The parent may have unread bytes of its own, never these.
    expect(unreadBytes(own) - before).toBe(1_000);
    expect(unreadBytes(own) - before).toBe(1_000);
    expect(unreadBytes(other)).not.toBe(1_000);
    accepted.resume();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(unreadBytes(own)).toBe(before);
    client.destroy();
    server.close();
  });
  if (!existsSync('/proc/net/tcp')) console.error('SKIPPED: no /proc/net/tcp here');
});
