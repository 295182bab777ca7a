import { parseRanks } from './rank-list.ts';
import type { FailureClass } from './why.ts';

/** What srun or slurmstepd tell of a step, on srun's stderr or in the step's log. */
export type SrunEvent =
  | {
      readonly kind: 'launching';
      readonly step: string;
      readonly node: string;
      readonly tasks: number;
      readonly ranks: readonly number[];
    }
  | { readonly kind: 'tasks-started'; readonly node: string; readonly tasks: number }
  /** The step waits for resources of the job; `reason` is SLURM's. */
  | { readonly kind: 'blocked'; readonly reason: string }
  /** A blocked step has been created after all. */
  | { readonly kind: 'created' }
  | {
      readonly kind: 'task-exit';
      readonly node: string;
      readonly ranks: readonly number[];
      /** Exit code, or 128 + signal. */
      readonly exitCode: number;
      /** `Killed`, `Segmentation fault`, …; null when the task exited by itself. */
      readonly signal: string | null;
    }
  | { readonly kind: 'task-done'; readonly node: string; readonly ranks: readonly number[] }
  /** srun or SLURM ends the step: a consequence of what came before, or of somebody's wish. */
  | { readonly kind: 'terminating'; readonly text: string }
  | {
      readonly kind: 'cancelled';
      readonly what: 'step' | 'job';
      readonly id: string;
      readonly node: string;
      readonly because: 'time-limit' | 'node-failure' | 'preempted' | 'host-oom' | 'cancelled';
      /** What stands after `DUE TO`; null when nothing does. */
      readonly reason: string | null;
    }
  /** The step never ran or cannot go on. `node` is where it was told; null for srun itself. */
  | {
      readonly kind: 'broken';
      readonly failureClass: FailureClass;
      readonly message: string;
      readonly hint: string | null;
      readonly node: string | null;
      /** Another line of the step tells more as a rule. */
      readonly vague: boolean;
    }
  /** Any other error line: it explains an end of the step, but is none by itself. */
  | { readonly kind: 'complaint'; readonly message: string; readonly node: string | null };

interface BrokenRule {
  readonly pattern: RegExp;
  readonly failureClass: FailureClass;
  readonly hint: string | null;
  readonly vague?: true;
}

/** Messages after `srun: error:`, `slurmstepd-H: error:` or `srun:`. The first that fits is it. */
const BROKEN: readonly BrokenRule[] = [
  {
    pattern: /^execve\(\): .+: No such file or directory$/,
    failureClass: 'missing-path',
    hint: 'Is the path right inside of the container, and is its folder in the mounts? A script whose first line names a missing interpreter says this too.',
  },
  {
    pattern: /^execve\(\): .+: Permission denied$/,
    failureClass: 'not-executable',
    hint: 'chmod +x the script, or run it with `bash SCRIPT`.',
  },
  {
    pattern: /^execve\(\): .+: Exec format error$/,
    failureClass: 'not-executable',
    hint: 'The program is for another architecture (aarch64, x86-64), or a script without a #! line.',
  },
  { pattern: /^execve\(\): /, failureClass: 'not-executable', hint: null },
  {
    pattern: /^unrecognized option '--(?:no-)?container-/,
    failureClass: 'container',
    hint: 'pyxis is not installed here: `srun --help` lists no --container-image. Use container.runtime none, or ask the site.',
  },
  {
    pattern: /^(?:unrecognized|invalid|ambiguous) option |^option .* requires an argument/,
    failureClass: 'step-refused',
    hint: 'This srun does not know the option: take it out of srun.extra, or see `srun --help`.',
  },
  {
    pattern:
      /^pyxis: (?:--container-mounts: source path does not exist|could not (?:mount|create mount)| +enroot-mount: failed)/,
    failureClass: 'mount',
    hint: 'The source of a mount must exist on every node of the step.',
  },
  {
    pattern: /^pyxis: (?:--container-mounts: invalid format|mount (?:source|target) must)/,
    failureClass: 'mount',
    hint: 'A mount is SRC:DST or SRC:DST:FLAGS, with absolute paths.',
  },
  {
    pattern: /^pyxis: (?:failed to (?:import|create container filesystem|load)|couldn't (?:import|load))/,
    failureClass: 'image',
    hint: 'Is the image there (a .sqsh path on every node) or the registry reachable with credentials? enroot before 4.0 wants `registry#path:tag`.',
  },
  {
    pattern:
      /^pyxis: (?:failed to|couldn't|unable to|container (?:start|exited)|child \d+ (?:failed|terminated)|a container with name)/,
    failureClass: 'container',
    hint: 'The container did not start on this node: read the enroot log around this line, and try another node.',
    vague: true,
  },
  {
    pattern: /^pyxis: --[\w-]+: |^Invalid --container-/,
    failureClass: 'container',
    hint: 'pyxis refuses the option: --container-env takes names, not NAME=VALUE.',
  },
  {
    pattern: /spank: required plugin \S+: \w+\(\) failed|^Failed to invoke spank plugin stack/,
    failureClass: 'container',
    hint: 'A plugin of SLURM (pyxis, as a rule) could not prepare the task: see its lines around this one.',
    vague: true,
  },
  {
    pattern:
      /Invalid MPI type|cannot find mpi plugin|can not load PMIx library|MPI: Unable to load|mpi\/pmix.*(?:fail|error)/i,
    failureClass: 'mpi',
    hint: 'SLURM here cannot do this --mpi: see `srun --mpi=list`, and whether libpmix is on every node.',
  },
  {
    pattern:
      /Detected \d+ oom[-_]kill event|\boom[-_]kill\b|Some of (?:your processes|the step tasks) .*(?:oom|OOM)/i,
    failureClass: 'host-oom',
    hint: 'The node ran out of memory: ask for --mem=0, or load fewer workers on the node.',
  },
  {
    pattern:
      /Job \d+ has expired|Invalid job id specified|Expired or invalid job|Job\/step already completing or completed/i,
    failureClass: 'job-ended',
    hint: 'The allocation is over: see `scontrol show job`, and ask for more time.',
  },
  {
    pattern: /^Node failure on /,
    failureClass: 'node-failure',
    hint: 'Take the node out (--exclude) and launch again.',
  },
  {
    pattern: /Unable to create step for job \d+: (?:Requested nodes are busy|Job step creation temporarily)/,
    failureClass: 'step-blocked',
    hint: 'Another step holds the node: every step needs --overlap.',
  },
  {
    pattern: /More processors requested than permitted/,
    failureClass: 'step-refused',
    hint: 'The job has fewer CPUs on the node than the step has tasks: allocate with --exclusive, or add --overcommit.',
  },
  {
    pattern: /Requested node configuration is not available|Invalid node name|Hostlist is empty/,
    failureClass: 'step-refused',
    hint: 'The step asks for a node that is not in the allocation, or for more than a node has.',
  },
  {
    pattern: /Could not open (?:stdout|stderr|stdin) file/,
    failureClass: 'missing-path',
    hint: 'The folder of the step log must exist on the host that runs srun.',
  },
  {
    pattern:
      /^Unable to (?:create step|confirm allocation|allocate resources)|Step launch|launch failed|Unable to contact slurm/i,
    failureClass: 'step-refused',
    hint: null,
  },
];

const LABEL = /^ {0,8}\d{1,7}: /;
const SAYS = /^(?:srun|slurmstepd(?:-(\S+))?): (?:(?:error|fatal): )?(.*)$/;
const ERROR = /^(?:srun|slurmstepd\S*): (?:error|fatal): /;
const LAUNCHING = /^launching (?:StepId=)?(\S+) on host ([^\s,]+), (\d+) tasks?: (\S+)$/;
const STARTED = /\bNode ([^\s,]+), (\d+) tasks? started$/;
const BLOCKED = /step creation (?:temporarily disabled|still disabled), retrying(?: \((.*)\))?/;
const TASKS = /^([^\s:]+): tasks? ([\d,-]+): (.*)$/;
const CANCELLED = /\*\*\* (STEP|JOB) (\S+) ON (\S+) CANCELLED AT (\S+)(?: DUE TO (.*?))? \*\*\*/i;

/** What signals are called by srun, and their numbers. */
const SIGNALS: readonly (readonly [RegExp, number])[] = [
  [/^Killed/, 9],
  [/^Terminated/, 15],
  [/^Segmentation fault/, 11],
  [/^Aborted/, 6],
  [/^Bus error/, 7],
  [/^Out Of Memory/, 9],
  [/^Illegal instruction/, 4],
  [/^Floating point exception/, 8],
  [/^Trace\/breakpoint trap/, 5],
  [/^Hangup/, 1],
  [/^Interrupt/, 2],
  [/^Quit/, 3],
  [/^Broken pipe/, 13],
  [/^User defined signal 1/, 10],
  [/^User defined signal 2/, 12],
];

/**
 * What a line tells, of srun's stderr or of a step's log (where slurmstepd's lines stand with a rank
 * label); null when it is neither srun's nor slurmstepd's, or tells nothing of the step's fate.
 */
export function srunSays(raw: string): SrunEvent | null {
  const line = raw.replace(LABEL, '').trimEnd();
  const says = SAYS.exec(line);
  if (says === null) return null;
  const node = says[1] ?? null;
  // `launch/slurm: _task_start:` and the like are names of srun's functions.
  const text = says[2]!.replace(/^(?:[\w/]+: )?_\w+: /, '');
  return progress(text) ?? taskEnd(text) ?? cancelled(text) ?? broken(text, node, ERROR.test(line));
}

function progress(text: string): SrunEvent | null {
  const launching = LAUNCHING.exec(text);
  if (launching !== null) {
    const [, step, node, tasks, ranks] = launching;
    return { kind: 'launching', step: step!, node: node!, tasks: Number(tasks), ranks: parseRanks(ranks!) };
  }
  const started = STARTED.exec(text);
  if (started !== null) return { kind: 'tasks-started', node: started[1]!, tasks: Number(started[2]) };
  const blocked = BLOCKED.exec(text);
  if (blocked !== null) return { kind: 'blocked', reason: blocked[1] ?? 'waiting for resources' };
  return /^Step created for (?:job|StepId)/.test(text) ? { kind: 'created' } : null;
}

function taskEnd(text: string): SrunEvent | null {
  if (/^(?:Force Terminated|Terminating|forcing job termination|Job step aborted)/.test(text))
    return { kind: 'terminating', text };
  const tasks = TASKS.exec(text);
  if (tasks === null) return null;
  const [, node, list, what] = tasks;
  const ranks = parseRanks(list!);
  if (what === 'Completed') return { kind: 'task-done', node: node!, ranks };
  const exit = /^Exited with exit code (\d+)/.exec(what!);
  if (exit !== null)
    return { kind: 'task-exit', node: node!, ranks, exitCode: Number(exit[1]), signal: null };
  const signal = SIGNALS.find(([name]) => name.test(what!));
  if (signal === undefined) return null;
  return { kind: 'task-exit', node: node!, ranks, exitCode: 128 + signal[1], signal: what! };
}

function cancelled(text: string): SrunEvent | null {
  const match = CANCELLED.exec(text);
  if (match === null) return null;
  const [, what, id, node, , reason] = match;
  return {
    kind: 'cancelled',
    what: what!.toUpperCase() === 'JOB' ? 'job' : 'step',
    id: id!,
    node: node!,
    because: cancelClass(reason ?? ''),
    reason: reason ?? null,
  };
}

function cancelClass(reason: string): 'time-limit' | 'node-failure' | 'preempted' | 'host-oom' | 'cancelled' {
  if (/time limit/i.test(reason)) return 'time-limit';
  if (/node fail/i.test(reason)) return 'node-failure';
  if (/preempt/i.test(reason)) return 'preempted';
  return /out of memory|oom/i.test(reason) ? 'host-oom' : 'cancelled';
}

function broken(text: string, node: string | null, error: boolean): SrunEvent | null {
  // Without `error:` srun only talks, but for what it says of its own options.
  if (!error && !/^(?:unrecognized|invalid|ambiguous) option|^option /.test(text)) return null;
  const rule = BROKEN.find(({ pattern }) => pattern.test(text));
  if (rule === undefined) return { kind: 'complaint', message: text, node };
  const where = /^Node failure on (\S+)/.exec(text)?.[1] ?? node;
  const { failureClass, hint, vague = false } = rule;
  return { kind: 'broken', failureClass, message: text, hint, node: where, vague };
}
