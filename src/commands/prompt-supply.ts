import path from 'node:path';
import { sum } from '../core/distribution.ts';
import { BenchError, EXIT, errorText } from '../core/errors.ts';
import type { PromptFacts } from '../core/prompt-facts.ts';
import type { Phase } from '../core/record.ts';
import type { PointSpec, RunSpec } from '../core/spec.ts';
import {
  type Calibration,
  defaultCacheDir,
  fitCalibration,
  type PrepareJob,
  type Probe,
} from '../datasets/index.ts';
import type { Connection } from './connect.ts';
import type { LevelLog } from './level-log.ts';
import type { Progress } from './progress.ts';
import { chunkTokensInChild, prepareInChild } from './prompt-child.ts';

/** Prompts made for a point that is bounded by time; beyond them the first words change and the rest is used again. */
const TIMED_PROMPTS_PER_SLOT = 4;
const TIMED_PROMPTS_LEAST = 64;

export type SharesBefore = (point: PointSpec) => readonly PointSpec[];

export interface PromptOrder {
  readonly spec: RunSpec;
  readonly points: readonly PointSpec[];
  /** Shares of the same point that come before this one; none where the points are whole. */
  readonly before?: SharesBefore;
  /** All points of the run, whole; absent: those of the spec. */
  readonly run?: readonly PointSpec[];
  /** Folder for files of this run's time. */
  readonly scratch: string;
  /** The server is not our mock: the embedded tokenizer says nothing about its counts. */
  readonly foreign: boolean;
  readonly connection: Connection;
  readonly model: string;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

export interface PromptSupply {
  readonly spoolPath: string;
  readonly facts: PromptFacts;
  readonly warnings: readonly string[];
}

type CountedBySpec = Pick<RunSpec, 'holdLoad' | 'prompts'>;

/** How many prompts of each phase a point needs: whole conversations, so that one that is used again keeps its turn. */
function promptCounts(point: PointSpec, { holdLoad, prompts }: CountedBySpec): Record<Phase, number> {
  const turns = prompts.turns?.count ?? 1;
  const timed = Math.max(TIMED_PROMPTS_LEAST, TIMED_PROMPTS_PER_SLOT * point.concurrency);
  return {
    warmup: point.warmup,
    measured: point.requests ?? turns * Math.ceil(timed / turns),
    hold: holdLoad ? 2 * turns * Math.min(point.concurrency, point.requests ?? point.concurrency) : 0,
  };
}

function sumCounts(points: readonly PointSpec[], spec: CountedBySpec): Record<Phase, number> {
  const counts = points.filter((point) => point.concurrency > 0).map((point) => promptCounts(point, spec));
  const total = (phase: Phase): number => sum(counts.map((count) => count[phase]));
  return { warmup: total('warmup'), measured: total('measured'), hold: total('hold') };
}

/** The job of making all prompts of the points. Lengths go on behind those of the shares `before` a point. */
export function prepareJob(
  spec: RunSpec,
  points: readonly PointSpec[],
  foreign: boolean,
  before?: SharesBefore,
  run: readonly PointSpec[] = spec.points,
): PrepareJob {
  const variables = spec.extraBody['chat_template_kwargs'];
  return {
    dataset: spec.dataset,
    prompts: spec.prompts,
    points: points.map((point) => ({
      point,
      counts: promptCounts(point, spec),
      ...(before === undefined ? {} : { before: sumCounts(before(point), spec) }),
    })),
    run: run.map((point) => ({ point, counts: promptCounts(point, spec) })),
    cacheDir: defaultCacheDir(process.env),
    calibration: null,
    foreignServer: foreign,
    ...(typeof variables === 'object' && variables !== null
      ? { templateVariables: variables as Record<string, unknown> }
      : {}),
  };
}

/**
 * Has all prompts made by a child that ends before the first measured send. Where nobody here knows what
 * the server's template adds, two probes are sent and the server's own count tells it.
 */
export async function preparePromptsFor(order: PromptOrder): Promise<PromptSupply> {
  const { spec, signal, progress } = order;
  const spoolPath = path.join(order.scratch, 'prompts');
  const job = prepareJob(spec, order.points, order.foreign, order.before, order.run);
  const options = { signal };
  let prepared = await prepareInChild(job, spoolPath, options);
  if ('needsProbe' in prepared) {
    const calibration = await calibrate(order, prepared.needsProbe);
    if (typeof calibration === 'string') {
      progress.say(`note: nobody can tell what the server's template adds: ${calibration}`);
    }
    prepared = await prepareInChild(
      { ...job, calibration: typeof calibration === 'string' ? 'unknown' : calibration },
      spoolPath,
      options,
    );
    if ('needsProbe' in prepared)
      throw new BenchError(EXIT.bug, 'prompts ask for a calibration that they were given');
  }
  return { spoolPath, facts: prepared.facts, warnings: prepared.warnings };
}

/** What the server counts for two texts of known length, or why it does not tell. */
async function calibrate(order: PromptOrder, probes: readonly [Probe, Probe]): Promise<Calibration | string> {
  const counts: number[] = [];
  for (const probe of probes) {
    const { finished } = await order.connection.askEdited(order.model, new Set(), probe.content, 1);
    const { outcome, detail, promptTokens } = finished.record;
    if (promptTokens !== null) counts.push(promptTokens);
    else return outcome === 'good' ? 'it sends no usage' : `a probe ended with ${outcome}: ${detail}`;
  }
  try {
    return fitCalibration(probes, [counts[0]!, counts[1]!]);
  } catch (error) {
    // Where ISL is the bare text, the template's share is good to know and not needed.
    if (order.spec.prompts.islCounts === 'content') return errorText(error);
    throw error;
  }
}

/**
 * Has the tokens per chunk of a level's requests counted by the local tokenizer where the server did not tell them; `estimates`: it is
 * not the model's.
 */
export async function countChunkTokens(
  { spec, estimates }: { readonly spec: RunSpec; readonly estimates: boolean },
  log: LevelLog,
  scratch: string,
  warn: (warning: string) => void,
): Promise<void> {
  try {
    const tokenizer = { name: spec.prompts.tokenizer, estimates };
    await log.countTokens((texts) => chunkTokensInChild(texts, tokenizer, scratch), estimates);
  } catch (error) {
    warn(`tokens per chunk are unknown: ${errorText(error)}`);
  }
}
