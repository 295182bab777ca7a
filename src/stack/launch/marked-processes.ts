import { readdirSync, readFileSync } from 'node:fs';

/** Set in every process of a launch, so that none is ever taken for ours that is not. */
export const RUN_MARK = 'BENCH_STACK_RUN';

/**
 * Ids of this host's processes whose environment has the mark of the run, zombies and this process left
 * out. Only what this user may look at is seen, which is what it may end.
 */
export function markedProcesses(run: string): number[] {
  const mark = `${RUN_MARK}=${run}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark) && !isZombie(pid);
      } catch {
        return false;
      }
    })
    .map(Number);
}

function isZombie(pid: string): boolean {
  return statFields(pid)[0] === 'Z';
}

/**
 * When a process started, in clock ticks since boot: with its id it names the process for good. null when it
 * has ended, also where nobody waits for it, as in a container whose first process is no init.
 */
export function startTicks(pid: number): string | null {
  return ofLiving(pid, 19);
}

/** Process group of a process; null when it has ended. */
export function processGroup(pid: number): number | null {
  const group = ofLiving(pid, 2);
  return group === null ? null : Number(group);
}

function ofLiving(pid: number, field: number): string | null {
  try {
    const fields = statFields(pid);
    return fields[0] === 'Z' ? null : (fields[field] ?? null);
  } catch {
    return null;
  }
}

/** Fields of `/proc/PID/stat` after the command's name: state, parent, group … start time (the 20th). */
function statFields(pid: number | string): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** A line of the cleaning program that begins with this word names a process that did not end, or a file that is still there. */
export const LEFT_WORD = 'left-over:';

/**
 * A bash program that ends what a run left on a node and removes its files: TERM, a moment, KILL, each
 * time to what has the mark then; what is there even so is printed, of files those that are this user's. `globs` come from the stack file
 * and are expanded by the shell there.
 */
export function cleanupScript(run: string, globs: readonly string[]): string {
  return [
    `mark='${RUN_MARK}=${run}'`,
    // One process for all of them: a node has thousands, and this is asked again and again.
    'marked() {',
    '  for d in $(grep -lzxF -- "$mark" /proc/[0-9]*/environ 2>/dev/null); do',
    '    p=$' + '{d#/proc/}; p=$' + '{p%/environ}',
    '    case $p in $$ | $PPID) ;; *) echo "$p" ;; esac',
    '  done',
    '}',
    'for signal in TERM KILL; do',
    '  pids=$(marked)',
    '  [ -z "$pids" ] && break',
    '  kill -$signal $pids 2>/dev/null',
    '  for _ in 1 2 3 4 5 6 7 8 9 10; do [ -z "$(marked)" ] && break; sleep 0.1; done',
    'done',
    'for p in $(marked); do',
    `  echo "${LEFT_WORD} process $p $(tr '\\0' ' ' </proc/$p/cmdline 2>/dev/null | cut -c1-80) on $(uname -n)"`,
    'done',
    ...globs.flatMap((glob) => [
      `for file in ${glob.replaceAll(/[^\w./*?[\]@%+=:,-]/g, '\\$&')}; do`,
      '  rm -rf -- "$file"',
      `  if [ -O "$file" ]; then echo "${LEFT_WORD} file $file on $(uname -n)"; fi`,
      'done',
    ]),
    'true',
  ].join('\n');
}
