import { usageError } from '../core/errors.ts';
import { Random } from '../core/random.ts';
import type { DatasetFile } from '../core/spec.ts';
import { type BlockId, type TraceRow, traceRows } from '../core/trace.ts';
import { BlockSize, type TraceBlocks } from '../core/trace-blocks.ts';
import { checkUnchanged, datasetLines, meanTokens } from './dataset-file.ts';
import { type Composition, openExactPrompts, type Place } from './exact-prompts.ts';
import { numberOf, type PrepareJob } from './prepare.ts';
import type { TextMaker } from './text-maker.ts';

/** Texts of whole blocks kept, so that a block that many rows share is not made for each. */
const MOST_KEPT_BLOCKS = 4_096;

/**
 * Prompts as long as a recorded load's, which share blocks of text where that did. Each phase of each point goes
 * through the trace from its first row, and again from there behind the last; each time with other texts, so that
 * nothing but what the trace shares is shared.
 */
export async function openTracePrompts(job: PrepareJob): ReturnType<typeof openExactPrompts> {
  const file = job.prompts.file!;
  checkUnchanged(file);
  const trace = readTrace(file);
  return openExactPrompts(job, (_, leastIsl) => composeTrace(job, trace, leastIsl));
}

/** Exit 2 with file, line and value for a trace that cannot be read, or whose blocks are of no one size. */
export function checkTrace({ path, blockTokens }: TraceFile): void {
  const size = new BlockSize(path, blockTokens);
  for (const row of traceRows(datasetLines(path), path)) size.add(row);
  size.found();
}

type TraceFile = Pick<DatasetFile, 'path' | 'blockTokens'>;

interface Trace {
  readonly rows: readonly TraceRow[];
  readonly blocks: TraceBlocks;
}

function readTrace({ path, blockTokens }: TraceFile): Trace {
  const size = new BlockSize(path, blockTokens);
  const rows: TraceRow[] = [];
  for (const row of traceRows(datasetLines(path), path)) {
    size.add(row);
    rows.push(row);
  }
  return { rows, blocks: size.found() };
}

function composeTrace(job: PrepareJob, { rows, blocks }: Trace, leastIsl: number): Composition {
  const file = job.prompts.file!;
  const { tokens: blockTokens, warning } = blocks;
  for (const { line, isl } of rows)
    if (isl < leastIsl)
      throw usageError(
        `${file.path}, line ${line}: input_length ${isl} leaves no room: the chat template alone takes ${leastIsl - 1}`,
        'leave the row out, or count the bare text with --isl-counts content',
      );
  const texts = new BlockTexts(job, blockTokens);
  const rowOf = (index: number): TraceRow => rows[index % rows.length]!;
  return {
    warnings: [...(warning === null ? [] : [warning]), ...repeats(job, rows.length)],
    // What two prompts share is told by their rows: no word may change.
    keepsWords: true,
    facts: {
      rows: {
        count: rows.length,
        isl: meanTokens(rows.map(({ isl }) => isl)),
        osl: meanTokens(rows.map(({ osl }) => osl)),
        leftOut: {},
      },
      sharedRatio: sharedRatio(job, rows, blockTokens),
    },
    lengths: ({ index }) => rowOf(index),
    text(place, tokens, maker) {
      const { hashIds } = rowOf(place.index);
      const round = Math.floor(place.index / rows.length);
      const last = Math.ceil(tokens / blockTokens) - 1;
      const streamOf = (block: number): Random => texts.stream(place, round, block, hashIds[block]);
      if (last === 0) return maker.make(tokens, streamOf(0));
      const head = Array.from({ length: last }, (_, block) =>
        texts.whole(place, round, block, hashIds[block], maker),
      ).join(' ');
      return maker.make(tokens, streamOf(last), { text: head, tokens: last * blockTokens });
    },
  };
}

/** The texts of blocks: of one id the same text within a round of a phase, whoever sends it. */
class BlockTexts {
  readonly #job: PrepareJob;
  readonly #tokens: number;
  readonly #kept = new Map<string, string>();

  constructor(job: PrepareJob, tokens: number) {
    this.#job = job;
    this.#tokens = tokens;
  }

  /** What a block is drawn from. A shorter block of the same stream is the start of a longer one. */
  stream(place: Place, round: number, block: number, id: BlockId | undefined): Random {
    const { seed, salt, sharedSalt = salt } = this.#job.prompts;
    const { point, phase, index } = place;
    return id === undefined
      ? new Random(seed, salt, 'own block', point.index, phase, index, block)
      : new Random(seed, sharedSalt, 'block', point.index, phase, round, id);
  }

  whole(place: Place, round: number, block: number, id: BlockId | undefined, maker: TextMaker): string {
    const make = (): string => maker.make(this.#tokens, this.stream(place, round, block, id)).text;
    if (id === undefined) return make();
    const key = `${place.point.index} ${place.phase} ${round} ${id}`;
    const known = this.#kept.get(key);
    if (known !== undefined) return known;
    const text = make();
    if (this.#kept.size === MOST_KEPT_BLOCKS) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, text);
    return text;
  }
}

function repeats({ points }: PrepareJob, count: number): string[] {
  const rounds = Math.max(
    ...points.map((entry) =>
      Math.ceil(numberOf(entry, 'measured', Math.max(1, entry.counts.measured)) / count),
    ),
  );
  return rounds <= 1
    ? []
    : [
        `the trace has ${count} rows, so a level goes through it up to ${rounds} times, each time with other texts`,
      ];
}

/** Of the measured prompts' tokens, the share whose blocks, from the first on, an earlier prompt of their round had. */
function sharedRatio(job: PrepareJob, rows: readonly TraceRow[], blockTokens: number): number {
  let shared = 0;
  let all = 0;
  for (const { counts } of job.run ?? job.points) {
    const seen = new Set<BlockId>();
    for (let index = 0; index < counts.measured; index++) {
      if (index % rows.length === 0) seen.clear();
      const { isl, hashIds } = rows[index % rows.length]!;
      const fresh = hashIds.findIndex((id) => !seen.has(id));
      shared += Math.min(isl, blockTokens * (fresh < 0 ? hashIds.length : fresh));
      all += isl;
      for (const id of hashIds) seen.add(id);
    }
  }
  return all === 0 ? 0 : shared / all;
}
