import { BenchError, EXIT } from '../../core/errors.ts';
import { nodeAddress, runCommand } from './slurm.ts';

/** Where the address of a node is taken from. */
export interface AddressChoice {
  /** `ip`: asked on the node itself; `hostname`: the node's name; `slurm`: SLURM's own `NodeAddr`. */
  readonly by: 'ip' | 'hostname' | 'slurm';
  /** With `ip`: this network interface's address. */
  readonly interface: string | null;
  /** With `ip`: the first address that lies in one of these networks, as `10.4.0.0/16`. */
  readonly prefer: readonly string[];
}

/** Prints `interface address` of each IPv4 address of the node it runs on. */
export const ADDRESS_SCRIPT = [
  'if command -v ip >/dev/null 2>&1; then',
  '  ip -o -4 addr show | awk \'{split($4, a, "/"); print $2, a[1]}\'',
  'else',
  '  for a in $(hostname -I); do echo "? $a"; done',
  'fi',
].join('\n');

/**
 * Addresses of the nodes, under which the others reach them. `hostname -i` is never asked: it may be a
 * loopback address, or that of the login node. Rejects (exit 4) when a node tells none that fits.
 */
export async function addressesOf(
  nodes: readonly string[],
  jobId: string,
  choice: AddressChoice,
  env: NodeJS.ProcessEnv,
): Promise<Record<string, string>> {
  const found = await Promise.all(
    nodes.map(async (node): Promise<[string, string]> => {
      if (choice.by === 'hostname') return [node, node];
      if (choice.by === 'slurm') return [node, await nodeAddress(node)];
      const { stdout, stderr, code } = await runCommand(
        [
          'srun',
          `--jobid=${jobId}`,
          '--overlap',
          '--nodes=1',
          '--ntasks=1',
          '--ntasks-per-node=1',
          '--kill-on-bad-exit=1',
          '-J',
          'bench-stack.address',
          `--nodelist=${node}`,
          '--input=none',
          'bash',
          '-c',
          ADDRESS_SCRIPT,
        ],
        { env },
      );
      const address = chooseAddress(stdout, choice);
      if (address === null) {
        throw new BenchError(
          EXIT.launch,
          `no address of node ${node} fits${choice.interface === null ? '' : ` interface ${choice.interface}`}: ${
            code === 0
              ? stdout.trim().replaceAll('\n', ', ') || 'it has none'
              : stderr.trim().split('\n').at(-1)
          }`,
          'set cluster.network.interface or .prefer, or cluster.network.address: hostname',
        );
      }
      return [node, address];
    }),
  );
  return Object.fromEntries(found);
}

/**
 * The address among lines of `interface address`: that of the interface asked for; else the first in a
 * preferred network; else the first private one (RFC 1918); else the first other that is neither loopback,
 * link-local nor unspecified. null when none is left.
 */
export function chooseAddress(lines: string, choice: AddressChoice): string | null {
  const all = lines
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.length === 2 && toNumber(words[1]!) !== null)
    .map(([name, address]) => ({ name: name!, address: address! }));
  if (choice.interface !== null) return all.find((one) => one.name === choice.interface)?.address ?? null;
  const usable = all.filter(
    ({ address, name }) =>
      !['127.0.0.0/8', '169.254.0.0/16', '0.0.0.0/8'].some((network) => inNetwork(address, network)) &&
      !/^(docker|br-|veth|virbr|cni|flannel)/.test(name),
  );
  const first = (networks: readonly string[]): string | undefined =>
    networks.flatMap((network) => usable.filter(({ address }) => inNetwork(address, network)))[0]?.address;
  return (
    first(choice.prefer) ??
    first(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16']) ??
    usable[0]?.address ??
    null
  );
}

function inNetwork(address: string, network: string): boolean {
  const [base = '', bits = '32'] = network.split('/');
  const [a, b] = [toNumber(address), toNumber(base)];
  const size = 2 ** (32 - Number(bits));
  return a !== null && b !== null && Math.floor(a / size) === Math.floor(b / size);
}

function toNumber(address: string): number | null {
  const parts = address.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255))
    return null;
  return parts.reduce((value, part) => value * 256 + part, 0);
}
