import { loadText } from '../core/load.ts';
import { splitPoint } from '../core/load-share.ts';
import { arrivalText } from '../core/run-facts.ts';
import { publicSpec, publicUrls } from '../core/secrets.ts';
import type { PointSpec, RunSpec } from '../core/spec.ts';
import { unitQuestion } from '../core/trace-question.ts';
import { iteratePrompts } from '../datasets/index.ts';
import { ENDPOINTS } from '../endpoints/index.ts';
import { SERVERS, UNKNOWN_SERVER_FIELDS } from '../endpoints/servers.ts';
import { streamPath } from '../endpoints/target.ts';
import { shellQuote } from '../stack/plan/shell-quote.ts';
import type { TargetAccess } from './arguments.ts';
import { LearntEdits } from './body-edits.ts';
import type { LoadPlan } from './load-plan.ts';
import type { MeasureArgs } from './options.ts';
import { prepareJob } from './prompt-supply.ts';
import { srunCommand } from './ranks/srun-channel.ts';
import type { LoadPlaces } from './stack/load-places.ts';

const SHOWN_PROMPT_CHARACTERS = 160;

/**
 * What a run would do, and one request as it would be sent to a server that nobody has probed. `where` names a stack
 * whose address is known later. Sends nothing; secrets are left out.
 */
export async function showPlan(
  spec: RunSpec,
  access: TargetAccess,
  load: LoadPlan | null,
  where: string | null,
  repeats: number,
): Promise<string> {
  const points = spec.points.slice(spec.skip);
  const lines = points.map((point) => {
    const load =
      point.requests === null ? `${(point.durationMs ?? 0) / 1_000} s` : `${point.requests} requests`;
    return `  ${loadText(point).padEnd(8)} ${askedText(point)}  ${load}, ${point.warmup} warm-up`;
  });
  const server = SERVERS.find((kind) => kind.name === spec.server);
  const dialect = ENDPOINTS.find((kind) => kind.name === spec.endpoint)!;
  const fields = new Set(server?.fields ?? UNKNOWN_SERVER_FIELDS);
  const sample = await samplePrompt(spec);
  const edits = new LearntEdits(spec.omit);
  const ask = { model: spec.model ?? '<the only listed model>', maxTokens: sample.osl, edits };
  const { before, after } = dialect.frame(ask, fields, publicSpec(spec).extraBody);
  const headers = access.headers.map(
    ([name, value]) =>
      `${name}: ${name.toLowerCase() === 'content-type' || name.toLowerCase() === 'accept' ? value : '***'}`,
  );
  return [
    `plan: ${points.length} ${points.length === 1 ? 'point' : 'points'} against ${where ?? spec.urls.join(', ')}${repeats === 1 ? '' : `, ${repeats} times`}`,
    ...arrivalLines(spec),
    ...lines,
    ...(load === null ? [] : showLoad(load, points, spec.name)),
    `prompts: ${promptWords(spec)}, tokenizer ${spec.prompts.tokenizer}, seed ${spec.prompts.seed}, salt ${spec.prompts.salt}`,
    '',
    `POST ${publicUrls(streamPath(access.targets[0]!, dialect.path))}`,
    ...headers,
    '',
    `${before}${sample.text}${after}`,
    '',
  ].join('\n');
}

/** How requests arrive, and how many may be in flight; nothing in a closed loop, whose points say it. */
function arrivalLines(spec: RunSpec): string[] {
  if (spec.arrival === 'closed') return [];
  const question = unitQuestion(spec);
  return [
    `arrivals: ${arrivalText(spec)}, at most ${spec.points[0]!.concurrency} in flight`,
    ...(question === null ? [] : [`warning: ${question}`]),
  ];
}

function promptWords({ dataset, prompts }: RunSpec): string {
  const { file, prefix, turns, text } = prompts;
  if (file !== undefined) return `${dataset} of ${file.path}`;
  if (turns !== undefined)
    return `${text} in conversations of ${turns.count} turns, ${turns.isl} tokens each from the second on`;
  if (prefix === undefined) return text;
  const groups = prefix.groups === 1 ? 'one prefix' : `one of ${prefix.groups} prefixes`;
  return `${text} behind ${groups} of ${prefix.tokens} tokens`;
}

function askedText({ isl, osl, lengths }: PointSpec): string {
  return lengths === undefined ? `${isl}x${osl}` : 'lengths of the dataset';
}

/** In a plan, the stack that a run would launch or attach to. */
export interface ToldStack {
  readonly where: string;
  /** What stands for the number of its job where there is none yet; null without a job. */
  readonly job: string | null;
  readonly model: string | null;
}

/** null without a stack. Exit 2 when its file is wrong or there is none, 4 when the one to attach to is not up. */
export async function stackTold(
  args: Pick<MeasureArgs, 'stack' | 'stack-run' | 'out'> & LoadPlaces,
): Promise<ToldStack | null> {
  if (args.stack !== undefined) {
    const { newOrder } = await import('./stack/order.ts');
    const { checkLoadPlaces } = await import('./stack/load-places.ts');
    const { stack } = newOrder(args.stack, args.out ?? 'results', {});
    checkLoadPlaces(stack, args, process.env['SLURM_JOB_ID']);
    const where = `the stack that ${args.stack} launches (bench stack plan ${shellQuote(args.stack)} shows it)`;
    return { where, job: 'JOB', model: null };
  }
  if (args['stack-run'] === undefined) return null;
  const { attachStack } = await import('./stack/session.ts');
  const { link, close } = attachStack(args['stack-run']);
  await close();
  const { url, job, servedModel } = link.state;
  return {
    where: `${url ?? 'no frontend'}, the stack in ${args['stack-run']}`,
    job: job?.id ?? null,
    model: servedModel,
  };
}

/** Who sends what: how each point is shared out, and the command that starts the load generators. */
function showLoad(load: LoadPlan, points: readonly PointSpec[], name: string): string[] {
  const where =
    load.slurm === null ? 'on this host' : `on ${load.slurm.nodes} nodes of job ${load.slurm.job}`;
  const shares = points.map((point) => {
    const counts = new Map<string, number>();
    for (const { concurrency, requests } of splitPoint(point, load.tasks)) {
      const amount = requests === null ? '' : `, ${requests} requests`;
      const share = concurrency === 0 ? 'idle' : `${concurrency} in flight${amount}`;
      counts.set(share, (counts.get(share) ?? 0) + 1);
    }
    const parts = [...counts].map(([share, count]) => `${count} × (${share})`);
    return `  ${loadText(point).padEnd(8)} ${parts.join(' + ')}`;
  });
  const command = load.slurm === null ? [] : [`  ${srunCommand(load.slurm, load.tasks, name).join(' ')}`];
  return [`load: ${load.tasks} load generators ${where}`, ...shares, ...command];
}

/** The start of the first prompt, escaped for JSON. */
async function samplePrompt(spec: RunSpec): Promise<{ readonly text: string; readonly osl: number }> {
  const point = spec.points[spec.skip]!;
  const job = {
    ...prepareJob(spec, [point], false),
    points: [{ point, counts: { warmup: 0, measured: 1, hold: 0 } }],
  };
  for await (const made of iteratePrompts(job)) {
    const text = JSON.stringify(made.text).slice(1, -1);
    const share = made.promptTokens ?? made.isl;
    const cut = `${text.slice(0, SHOWN_PROMPT_CHARACTERS)}… (${share} tokens)`;
    return { text: text.length <= SHOWN_PROMPT_CHARACTERS ? text : cut, osl: made.osl };
  }
  return { text: '', osl: point.osl };
}
