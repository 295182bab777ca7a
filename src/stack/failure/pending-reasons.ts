import type { Why } from './why.ts';

/** Why a job waits, by SLURM's name for it. */
export interface PendingReason {
  /** What it means, in words. */
  readonly meaning: string;
  readonly hint: string | null;
  /** No waiting helps: the request or the limits must change. */
  readonly terminal: boolean;
}

interface Rule extends PendingReason {
  readonly pattern: RegExp;
}

const waits = (pattern: RegExp, meaning: string, hint: string | null = null): Rule => ({
  pattern,
  meaning,
  hint,
  terminal: false,
});
const never = (pattern: RegExp, meaning: string, hint: string): Rule => ({
  pattern,
  meaning,
  hint,
  terminal: true,
});

/** The first that fits. Names are those of `squeue -o %r`; what follows a comma or a blank is detail. */
const REASONS: readonly Rule[] = [
  waits(/^None$/, 'it has not been looked at yet'),
  waits(/^Priority$/, 'jobs of higher priority are before it'),
  waits(/^Resources$/, 'it waits for nodes to become free'),
  waits(/^(?:BeginTime|Reservation)$/, 'its time has not come yet'),
  waits(/^Cleaning$|^Prolog$/, 'nodes are being prepared'),
  waits(/^Dependency$/, 'it waits for another job'),
  waits(/^Licenses$/, 'it waits for licences'),
  never(
    /^DependencyNeverSatisfied$/,
    'the job it depends on has failed',
    'Submit it without the dependency.',
  ),
  never(
    /^PartitionNodeLimit$/,
    'it asks for more nodes than the partition has or allows',
    'Use fewer nodes, or another partition: `sinfo`.',
  ),
  never(
    /^PartitionTimeLimit$/,
    'it asks for more time than the partition allows',
    'Use a shorter cluster.time, or another partition: `sinfo -o "%P %l"`.',
  ),
  waits(
    /^PartitionConfig$/,
    'the partition cannot give what it asks for as things are',
    'If it stays so: fewer nodes, tasks or less time.',
  ),
  waits(/^Partition(?:Down|Inactive)$/, 'the partition is down', 'Use another partition: `sinfo`.'),
  waits(/^NodeDown$/, 'a node that it needs is down', 'Take the node out of the request.'),
  never(
    /^ReqNodeNotAvail/,
    'a node that it asks for is down, drained or reserved',
    'Ask for other nodes: `sinfo -R` tells why these are not available.',
  ),
  never(/^InvalidAccount$/, 'the account is not valid', 'See `sacctmgr show assoc user=$USER`.'),
  never(/^InvalidQOS$/, 'the QOS is not valid for the account', 'See `sacctmgr show assoc user=$USER`.'),
  never(
    /^(?:Constraints|BadConstraints|NodeConstraint)/,
    'no node has what it asks for',
    'See `sinfo -o "%n %f %G"`.',
  ),
  never(
    /^JobHeld(?:User|Admin)$/,
    'it is held',
    '`scontrol release JOB` (an administrator for JobHeldAdmin).',
  ),
  never(
    /^(?:JobLaunchFailure|launch_failed_requeued_held|NonZeroExitCode|SystemFailure)/,
    'it could not be started on its nodes',
    'See `scontrol show job`, and ask the site.',
  ),
  never(
    /^(?:Assoc|QOS|MaxJobs|MaxNode)/,
    'a limit of the account or QOS is reached, and it holds while other jobs run, if not for good',
    'End other jobs, or use less: `sacctmgr show assoc`, `sacctmgr show qos`.',
  ),
];

const UNKNOWN = 'SLURM gives that reason';

/**
 * What a reason of `squeue -o %r` means. Just submitted jobs may show another reason for a moment, so one
 * that ends the waiting should be seen twice.
 */
export function pendingReason(reason: string): PendingReason {
  const name = reason.trim().replace(/^\((.*)\)$/, '$1');
  const rule = REASONS.find(({ pattern }) => pattern.test(name.split(/[, ]/, 1)[0]!));
  return rule ?? { meaning: UNKNOWN, hint: 'See `scontrol show job`.', terminal: false };
}

/** The failure of a job that does not start: its reason forbids it, or the patience is over. */
export function whyPending(jobId: string, reason: string, waitedMs: number): Why {
  const { meaning, hint, terminal } = pendingReason(reason);
  const seconds = Math.round(waitedMs / 1000);
  const ends = terminal ? 'will not start' : `has not started in ${seconds} s`;
  const more = terminal ? hint : (hint ?? 'Wait longer (cluster.pending_timeout), or ask for less.');
  return {
    failureClass: 'job-pending',
    message: `job ${jobId} ${ends}: ${meaning} (${reason.trim() || 'no reason given'})`,
    hint: more,
    step: null,
    rank: null,
    node: null,
    exitCode: null,
    evidence: null,
    logFile: null,
  };
}
