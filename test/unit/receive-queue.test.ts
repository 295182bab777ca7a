import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { unreadBytes, unreadSockets } from '../../src/host/receive-queue.ts';

/** Lines as a kernel writes them: a listener with two connections in its backlog, then three streams. */
const TABLE = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000002 00:00000000 00000000     0        0 77 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:EC66 01 00000000:00000144 00:00000000 00000000     0        0 1001 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:EC66 0100007F:1F90 01 00000200:00000000 01:00000014 00000000     0        0 1002 1 0000000000000000 20 4 30 10 -1
  13: 0100007F:EC68 0100007F:1F90 08 00000000:00040001 00:00000000 00000000  1000        0 1003 1 0000000000000000 20 4 30 10 -1
`;

describe('the receive queues of the kernel', () => {
  it('are read from its table; backlogs and what is to be sent are none', () => {
    expect(unreadSockets(TABLE)).toEqual([
      { inode: '1001', bytes: 0x144 },
      { inode: '1003', bytes: 0x40001 },
    ]);
    expect(unreadSockets('')).toEqual([]);
  });

  it('tell the unread bytes of a process of our own, and nothing of one that is not there', async (context) => {
    const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [accepted] = (await once(server, 'connection')) as [Socket];
    const before = unreadBytes(process.pid);
    if (before === null) {
      server.close();
      context.skip('this system has no /proc/net/tcp');
    }
    client.write('x'.repeat(1_000));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(unreadBytes(process.pid)! - before!).toBe(1_000);
    expect(unreadBytes(2 ** 30)).toBeNull();
    client.destroy();
    accepted.destroy();
    server.close();
  });
});
