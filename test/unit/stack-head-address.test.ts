import { execFileSync } from 'node:child_process';
import os from 'node:os';
import { describe, expect, it } from 'vitest';
import { ADDRESS_SCRIPT, type AddressChoice, chooseAddress } from '../../src/stack/launch/head-address.ts';

const by = (over: Partial<AddressChoice> = {}): AddressChoice => ({
  by: 'ip',
  interface: null,
  prefer: [],
  ...over,
});

const NODE = [
  'lo 127.0.0.1',
  'docker0 172.17.0.1',
  'eth0 203.0.113.7',
  'enp3 10.4.1.9',
  'ib0 192.168.7.9',
  'ib1 169.254.3.3',
].join('\n');

describe('the address of a node', () => {
  it.each([
    ['a private one before a public one', NODE, by(), '10.4.1.9'],
    ['of the interface that is asked for', NODE, by({ interface: 'ib0' }), '192.168.7.9'],
    ['of an interface though it is a loopback', NODE, by({ interface: 'lo' }), '127.0.0.1'],
    ['none where the interface is not there', NODE, by({ interface: 'ib9' }), null],
    ['in the network that is preferred', NODE, by({ prefer: ['192.168.0.0/16'] }), '192.168.7.9'],
    [
      'in the first preferred network that fits',
      NODE,
      by({ prefer: ['10.9.0.0/16', '203.0.113.0/24'] }),
      '203.0.113.7',
    ],
    ['private where no preferred network fits', NODE, by({ prefer: ['10.9.0.0/16'] }), '10.4.1.9'],
    [
      'never of a bridge of containers',
      'lo 127.0.0.1\ndocker0 172.17.0.1\nbr-3f 172.18.0.1\nveth1 10.0.0.9',
      by(),
      null,
    ],
    ['public where nothing else is there', 'lo 127.0.1.1\neth0 198.51.100.4', by(), '198.51.100.4'],
    ['none where there is only a loopback', 'lo 127.0.0.1\nlo 127.0.1.1', by(), null],
    ['none that is link-local', 'eth0 169.254.1.2', by(), null],
    ['none of what is no address', '? fd00::2\neth0 10.0.0\neth1 10.0.0.256\n\nsrun: error', by(), null],
    ['without the name of an interface', '? 10.1.2.3', by(), '10.1.2.3'],
    [
      'at the border of a network',
      'a 172.15.255.255\nb 172.32.0.0\nc 172.31.255.255',
      by(),
      '172.31.255.255',
    ],
    ['in a network of one address', 'a 10.0.0.1\nb 10.0.0.2', by({ prefer: ['10.0.0.2/32'] }), '10.0.0.2'],
    [
      'above the middle of the numbers',
      'a 240.0.0.1\nb 200.0.0.1',
      by({ prefer: ['200.0.0.0/8'] }),
      '200.0.0.1',
    ],
  ])('%s', (_, lines, choice, address) => {
    expect(chooseAddress(lines, choice)).toBe(address);
  });

  it('is among those that the node itself tells', () => {
    const told = execFileSync('bash', ['-c', ADDRESS_SCRIPT], { encoding: 'utf8' });
    const known = Object.values(os.networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .map(({ address }) => address);
    const words = told.split(/\s+/);
    for (const address of known) expect(words).toContain(address);
  });
});
