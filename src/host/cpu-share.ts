import { readFileSync } from 'node:fs';

/** Ticks of the system's counters of CPU time. */
export const TICKS_PER_S = 100;

/** Time of all cores in user space, in the kernel and taken by a hypervisor, in ticks; null where the system does not say. */
export function busyTicks(): { readonly ticks: number; readonly cores: number } | null {
  const text = readIfThere('/proc/stat');
  if (text === null) return null;
  const lines = text.split('\n');
  const [user = 0, nice = 0, system = 0, , , , , steal = 0] = lines[0]!.split(/\s+/).slice(1).map(Number);
  return {
    ticks: user + nice + system + steal,
    cores: lines.filter((line) => /^cpu\d/.test(line)).length,
  };
}

export function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Share of all cores that other processes have from its making on. */
export class OtherCpu {
  readonly #before = busyTicks();
  readonly #own = process.cpuUsage();
  readonly #startedMs = performance.now();

  /** From 0; null where the system does not say. */
  ratio(): number | null {
    const now = busyTicks();
    if (now === null || this.#before === null) return null;
    const { user, system } = process.cpuUsage(this.#own);
    const othersS = (now.ticks - this.#before.ticks) / TICKS_PER_S - (user + system) / 1e6;
    const coreS = (now.cores * (performance.now() - this.#startedMs)) / 1_000;
    return coreS > 0 ? Math.max(0, othersS / coreS) : null;
  }
}
