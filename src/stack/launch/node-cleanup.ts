import { jobComment } from '../plan/job-comment.ts';
import type { StackPlan } from '../plan/planned.ts';
import { cleanupScript, LEFT_WORD } from './marked-processes.ts';
import { failedNodes, jobFacts, jobIsOver, jobRequest, runCommand } from './slurm.ts';

/** Longest time of the program that ends left-overs on the nodes. */
const CLEANUP_TIMEOUT_MS = 60_000;
/** How long a node of a job that has ended may take to become free for the same program. */
const FREE_WITHIN_S = 20;

interface Surroundings {
  /** Environment of the commands that are sent to the nodes. */
  readonly env: NodeJS.ProcessEnv;
  note(text: string): void;
}

/** What a look at the nodes of a job has found. */
export interface NodeCleanup {
  /** What could not be ended or removed, in words, and the nodes that do not answer. */
  readonly left: readonly string[];
  /** Nodes that were not cleaned because the job had ended, or ended meanwhile: their processes are gone with it, files are not. */
  readonly missed: readonly string[];
}

export const NOTHING_TO_CLEAN: NodeCleanup = { left: [], missed: [] };

/**
 * A step on each node that had one of ours ends what no step holds any more, and removes files; without a running job
 * there is none.
 */
export async function cleanNodes(plan: StackPlan, jobId: string, around: Surroundings): Promise<NodeCleanup> {
  const facts = await jobFacts(jobId).catch(() => undefined);
  if (facts === undefined)
    return { left: uncleaned('the nodes could not be cleaned: SLURM does not answer', around), missed: [] };
  const ours = [...new Set(plan.steps.flatMap((step) => step.nodes))];
  if (facts?.state !== 'RUNNING') return { left: [], missed: ours };
  const silent = (await failedNodes(plan.nodes)).filter((node) => ours.includes(node));
  const unknown = silent.flatMap((node) => uncleaned(`all that still runs on ${node}`, around));
  const nodes = ours.filter((node) => !silent.includes(node));
  if (nodes.length === 0) return { left: unknown, missed: [] };
  const count = nodes.length;
  const { code, stdout, stderr } = await runCommand(
    [
      'srun',
      `--jobid=${jobId}`,
      '--overlap',
      `--nodes=${count}`,
      `--ntasks=${count}`,
      '--ntasks-per-node=1',
      '--kill-on-bad-exit=1',
      `--nodelist=${nodes.join(',')}`,
      ...cleanupStep(plan),
    ],
    { env: around.env, timeoutMs: CLEANUP_TIMEOUT_MS },
  );
  const left = [...unknown, ...leftOvers(stdout)];
  if (code === 0) return { left, missed: [] };
  if (await jobIsOver(jobId)) return { left, missed: nodes };
  const said = stderr.trim().split('\n').at(-1) ?? '';
  return { left: [...left, ...uncleaned(`the nodes could not be cleaned: ${said}`, around)], missed: [] };
}

/**
 * Cleans nodes whose job has ended, by a job of a few seconds on each that is free, asked for as the one before was; gives
 * what is or may still be there, in words. `before`: what an earlier teardown left there, which counts until it has been looked for again.
 */
export async function cleanAfterJob(
  plan: StackPlan,
  { missed, before }: { readonly missed: readonly string[]; readonly before: readonly string[] },
  jobId: string,
  around: Surroundings,
): Promise<string[]> {
  const { cleanupGlobs: globs } = plan;
  if (missed.length === 0 || (globs.length === 0 && before.length === 0)) return [...before];
  const silent = await failedNodes(missed);
  const request = await jobRequest(jobId);
  const looks = await Promise.all(
    missed.map(async (node) => ({
      node,
      found: silent.includes(node) ? null : await lookOn(node, plan, request, around),
    })),
  );
  const unseen = looks.flatMap(({ node, found }) => (found === null ? [node] : []));
  const files = globs.length === 0 ? [] : unseen.map((node) => `possibly ${globs.join(' ')} on ${node}`);
  const still = before.filter((one) =>
    unseen.some((node) => one.endsWith(` on ${node}`) || !/ on \S+$/.test(one)),
  );
  const unknown = [...new Set([...still, ...files])].flatMap((one) => uncleaned(one, around));
  return [...looks.flatMap(({ found }) => found ?? []), ...unknown];
}

/** What the cleaning program could not end or remove on a node; null when the node takes no job now. */
async function lookOn(
  node: string,
  plan: StackPlan,
  request: readonly string[],
  around: Surroundings,
): Promise<string[] | null> {
  const { code, stdout } = await runCommand(
    [
      'srun',
      ...request,
      '--nodes=1',
      '--ntasks=1',
      `--nodelist=${node}`,
      `--immediate=${FREE_WITHIN_S}`,
      '--time=1',
      `--comment=${jobComment(plan.run, plan.runDir)}`,
      ...cleanupStep(plan),
    ],
    { env: outsideJobs(around.env), timeoutMs: CLEANUP_TIMEOUT_MS },
  );
  return code === 0 ? leftOvers(stdout) : null;
}

/** An environment in which srun asks for a job of its own. */
function outsideJobs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^SLURM_(?:JOB|NODE|NNODES)/.test(name)));
}

function uncleaned(left: string, around: Surroundings): string[] {
  around.note(`not known: ${left}`);
  return [left];
}

/** Whether something that was left is on a node of a job, or may be: after the job's end it can be seen by another job alone. */
export function isOnNodes(left: string): boolean {
  return / on \S+$|^the nodes could not be cleaned/.test(left);
}

/** The processes that the cleaning program could not end and the files that it could not remove, as it printed them. */
export function leftOvers(stdout: string): string[] {
  return stdout
    .split('\n')
    .flatMap((line) => (line.startsWith(`${LEFT_WORD} `) ? [line.slice(LEFT_WORD.length + 1).trim()] : []));
}

/** The step itself, behind the options that say where it runs. */
function cleanupStep({ run, cleanupGlobs }: StackPlan): string[] {
  return ['--input=none', '-J', `${run}.cleanup`, 'bash', '-c', cleanupScript(run, cleanupGlobs)];
}
