/** A socket that something listens on. */
export interface Listener {
  readonly port: number;
  /** Address it is bound to, `0.0.0.0` or `::` for all. */
  readonly address: string;
  /** Process id and command line; null where the user may not see them. */
  readonly holder: string | null;
}

export interface GpuFact {
  readonly index: number;
  readonly name: string;
  readonly usedMiB: number;
  readonly totalMiB: number;
}

/** What the preflight script has told of one node. What it did not tell is null or empty. */
export interface NodeFacts {
  readonly node: string;
  readonly host: string | null;
  /** As `uname -m` says: `x86_64`, `aarch64`. */
  readonly machine: string | null;
  /** The node's clock in seconds since 1970. */
  readonly clockS: number | null;
  readonly addresses: readonly string[];
  /** By path; `refused`: it is there, but the user may not do what is needed. */
  readonly paths: ReadonlyMap<string, 'ok' | 'missing' | 'refused'>;
  readonly diskFreeKb: ReadonlyMap<string, number>;
  readonly memoryTotalKb: number | null;
  readonly memoryFreeKb: number | null;
  /** Most memory a process may lock (RDMA needs it), `unlimited` or a number of KiB. */
  readonly memlockKb: string | null;
  readonly listeners: readonly Listener[];
  readonly leftovers: readonly string[];
  readonly gpus: readonly GpuFact[];
  readonly driver: string | null;
  /** What the GPUs may do, each kind once: `1980/1755 MHz, 700 W` (highest, as set, power limit); null where none told. */
  readonly gpuClocks: string | null;
  /** Whether srun there knows pyxis' options; null when there is no srun. */
  readonly pyxis: boolean | null;
  readonly mpi: readonly string[];
  readonly slurm: string | null;
  /** Container tools with what they say of their version. */
  readonly tools: Readonly<Record<string, string>>;
  /** Whether the script came to its end. */
  readonly complete: boolean;
}

const LABEL = /^ {0,8}\d{1,7}: /;

/** Reads what the preflight script printed on a node; lines that are not its own are passed over. */
export function parsePreflight(node: string, text: string): NodeFacts {
  const rows = text
    .split('\n')
    .map((line) => line.replace(LABEL, '').replace(/\r$/, '').split('\t'))
    .filter((row) => row.length > 1);
  const all = (key: string): string[][] => rows.filter(([name]) => name === key).map((row) => row.slice(1));
  const one = (key: string): string | null => all(key)[0]?.[0] || null;
  const gpus = all('gpu').map(([row]) => row!.split(',').map((field) => field.trim()));
  const pyxis = one('pyxis');
  return {
    node,
    host: one('host'),
    machine: one('machine'),
    clockS: number(one('clock')),
    addresses: all('address').map(([address]) => address!),
    paths: new Map(all('path').map(([path, , state]) => [path!, pathState(state)])),
    diskFreeKb: new Map(all('disk').map(([folder, free]) => [folder!, number(free ?? null) ?? 0])),
    memoryTotalKb: number(one('memory_total_kb')),
    memoryFreeKb: number(one('memory_free_kb')),
    memlockKb: one('memlock_kb'),
    listeners: all('listen').map(([port, address, holder]) => ({
      port: Number(port),
      address: addressOf(address ?? ''),
      holder: holder?.trim() || null,
    })),
    leftovers: all('leftover').map(([path]) => path!),
    gpus: gpus.map(([index, name, used, total]) => ({
      index: Number(index),
      name: name ?? '',
      usedMiB: number(used ?? null) ?? 0,
      totalMiB: number(total ?? null) ?? 0,
    })),
    driver: gpus[0]?.[4] ?? null,
    gpuClocks: clocksOf(all('gpu_clocks').map(([row]) => row!)),
    pyxis: pyxis === null ? null : pyxis === 'yes',
    mpi: [...new Set(all('mpi').map(([name]) => name!))],
    slurm: one('srun'),
    tools: Object.fromEntries(all('tool').map(([name, version]) => [name!, version ?? ''])),
    complete: one('done') !== null,
  };
}

/** Rows of highest clock, clock as set, and power limit. What a driver does not know (`[N/A]`, an error) is `?`. */
function clocksOf(rows: readonly string[]): string | null {
  const kinds = rows.flatMap((row) => {
    const [highest, set, watts, ...more] = row.split(',').map((field) => number(field.trim()));
    return watts === undefined || more.length > 0
      ? []
      : `${highest ?? '?'}/${set ?? '?'} MHz, ${watts ?? '?'} W`;
  });
  return kinds.length === 0 ? null : [...new Set(kinds)].sort().join('; ');
}

function number(text: string | null): number | null {
  if (text === null || text.trim() === '') return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
}

function pathState(text: string | undefined): 'ok' | 'missing' | 'refused' {
  return text === 'ok' || text === 'refused' ? text : 'missing';
}

/** An address as /proc/net/tcp writes it: 32-bit words in the byte order of a little-endian machine. */
function addressOf(hex: string): string {
  if (!/^(?:[0-9A-F]{8}|[0-9A-F]{32})$/i.test(hex)) return hex;
  const bytes = [...hex.matchAll(/.{8}/g)].flatMap(([word]) => [...Buffer.from(word, 'hex')].reverse());
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.every((byte) => byte === 0)) return '::';
  // ::ffff:1.2.3.4, and ::1
  if (bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff) return bytes.slice(12).join('.');
  const groups = Array.from({ length: 8 }, (_, index) => (bytes[index * 2]! << 8) | bytes[index * 2 + 1]!);
  const text = groups.map((group) => group.toString(16)).join(':');
  return text === '0:0:0:0:0:0:0:1' ? '::1' : text;
}
