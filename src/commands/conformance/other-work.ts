import { readdirSync } from 'node:fs';
import { busyTicks, readIfThere, TICKS_PER_S } from '../../host/cpu-share.ts';

/** CPU seconds of the process groups are collected this often: what ends between two looks is missed. */
const EVERY_MS = 100;

/** What else runs on this machine's cores. */
export class OtherWork {
  readonly #groups: () => readonly (number | undefined)[];
  readonly #timer: NodeJS.Timeout;
  readonly #ownTicks = new Map<number, number>();
  /** What those had used before that were there at the start. */
  readonly #earlierTicks: number;
  readonly #startedAtMs = performance.now();
  readonly #busyTicks = busyTicks();
  readonly #own = process.cpuUsage();

  /** `groups` names the leaders of the process groups whose work is meant to be there. */
  constructor(groups: () => readonly (number | undefined)[]) {
    this.#groups = groups;
    this.#look();
    this.#earlierTicks = this.#groupTicks();
    this.#timer = setInterval(() => this.#look(), EVERY_MS);
  }

  /** Share of all cores that other processes had since the start, from 0; null where nobody says. */
  stop(): number | null {
    this.#look();
    clearInterval(this.#timer);
    const now = busyTicks();
    if (now === null || this.#busyTicks === null) return null;
    const { user, system } = process.cpuUsage(this.#own);
    const busyS = (now.ticks - this.#busyTicks.ticks) / TICKS_PER_S;
    const groupsS = (this.#groupTicks() - this.#earlierTicks) / TICKS_PER_S;
    const coreS = (now.cores * (performance.now() - this.#startedAtMs)) / 1_000;
    return Math.max(0, busyS - groupsS - (user + system) / 1e6) / coreS;
  }

  #groupTicks(): number {
    return [...this.#ownTicks.values()].reduce((total, ticks) => total + ticks, 0);
  }

  #look(): void {
    const leaders = new Set(this.#groups());
    for (const pid of processIds()) {
      const ticks = ticksOf(pid, leaders);
      if (ticks !== null) this.#ownTicks.set(pid, ticks);
    }
  }
}

function processIds(): number[] {
  try {
    return readdirSync('/proc').map(Number).filter(Number.isInteger);
  } catch {
    return [];
  }
}

/** CPU time of a process in ticks; null when it is of none of the groups. */
function ticksOf(pid: number, leaders: ReadonlySet<number | undefined>): number | null {
  const text = readIfThere(`/proc/${pid}/stat`);
  // The name of the program, in brackets, may hold anything.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ');
  if (fields === undefined || !leaders.has(Number(fields[2]))) return null;
  return Number(fields[11]) + Number(fields[12]);
}
