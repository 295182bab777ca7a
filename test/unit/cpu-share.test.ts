import { afterEach, describe, expect, it, vi } from 'vitest';
import { busyTicks, OtherCpu, readIfThere } from '../../src/host/cpu-share.ts';

/** What /proc/stat holds; null where there is none. */
const proc = vi.hoisted(() => ({ stat: null as string | null }));
vi.mock('node:fs', () => ({
  readFileSync: (file: string, encoding: string) => {
    if (file !== '/proc/stat' || encoding !== 'utf8' || proc.stat === null) throw new Error('ENOENT');
    return proc.stat;
  },
}));

afterEach(() => {
  vi.restoreAllMocks();
});

/** user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice: proc(5). */
const stat = (cpu: readonly number[], cores = 2): string =>
  [
    `cpu  ${cpu.join(' ')}`,
    ...Array.from({ length: cores }, (_, n) => `cpu${n} ${cpu.map((ticks) => ticks / cores).join(' ')}`),
    'intr 5 6 7',
    'ctxt 8',
    'cpu_is_no_core 9',
    '',
  ].join('\n');

describe('busyTicks', () => {
  it('are those in user space, in the kernel, and taken by a hypervisor', () => {
    proc.stat = stat([100, 20, 30, 4_000, 500, 60_000, 700_000, 8, 9_000_000, 10_000_000], 4);
    expect(busyTicks()).toEqual({ ticks: 158, cores: 4 });
    // A kernel that knows no steal.
    proc.stat = 'cpu  1 2 3 4\ncpu0 1 2 3 4\n';
    expect(busyTicks()).toEqual({ ticks: 6, cores: 1 });
  });

  it('are not known without /proc/stat', () => {
    proc.stat = null;
    expect(busyTicks()).toBeNull();
    expect(readIfThere('/proc/stat')).toBeNull();
  });
});

describe('OtherCpu', () => {
  /** What others had in `tookMs`, when all had so many ticks more and this process so many µs. */
  function ratio(
    tookMs: number,
    ticks: number,
    own: { user: number; system: number },
    cores = 2,
  ): number | null {
    const now = vi.spyOn(performance, 'now').mockReturnValue(5_000);
    const usage = vi.spyOn(process, 'cpuUsage').mockReturnValue({ user: 1_000, system: 2_000 });
    proc.stat = stat([1_000, 0, 0, 0, 0, 0, 0, 0], cores);
    const other = new OtherCpu();
    now.mockReturnValue(5_000 + tookMs);
    // Since the one before.
    usage.mockImplementation((before) => {
      expect(before).toEqual({ user: 1_000, system: 2_000 });
      return own;
    });
    proc.stat = stat([1_000 + ticks, 0, 0, 0, 0, 0, 0, 0], cores);
    return other.ratio();
  }

  it('is the share of all cores that others had', () => {
    // 300 ticks are 3 s, 1 s of them ours; 2 cores for 5 s are 10 s.
    expect(ratio(5_000, 300, { user: 600_000, system: 400_000 })).toBeCloseTo(0.2, 12);
    expect(ratio(5_000, 300, { user: 600_000, system: 400_000 }, 4)).toBeCloseTo(0.1, 12);
    expect(ratio(1_000, 200, { user: 0, system: 0 })).toBe(1);
  });

  it('is not below nothing: ticks are rounded', () => {
    expect(ratio(1_000, 50, { user: 300_000, system: 210_000 })).toBe(0);
  });

  it('is not known without time or cores, nor without /proc/stat', () => {
    expect(ratio(0, 1, { user: 0, system: 0 })).toBeNull();
    expect(ratio(1_000, 1, { user: 0, system: 0 }, 0)).toBeNull();
    vi.restoreAllMocks();
    proc.stat = null;
    expect(new OtherCpu().ratio()).toBeNull();
    const gone = new OtherCpu();
    proc.stat = stat([1]);
    expect(gone.ratio()).toBeNull();
    const going = new OtherCpu();
    proc.stat = null;
    expect(going.ratio()).toBeNull();
  });
});
