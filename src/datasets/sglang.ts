import { BenchError, EXIT, usageError } from '../core/errors.ts';
import { jsonComplaint } from '../core/json-row.ts';
import type { PromptFacts } from '../core/prompt-facts.ts';
import { pythonShuffled, SglangDraws } from '../core/sglang-draws.ts';
import type { SglangPromptSpec } from '../core/spec.ts';
import { readJsonList } from './json-array.ts';
import type { MadePrompt, PrepareJob, PromptMaker } from './prepare.ts';
import { type LoadedTokenizer, loadTokenizer } from './tokenizer.ts';
import { EMBEDDED_TOKENIZER, readTokenizerFiles } from './tokenizer-source.ts';

/** A tokenizer as Python's transformers uses it: version 4.57 until early 2026, since then 5. */
interface PythonTokenizer extends Pick<LoadedTokenizer, 'vocabularySize'> {
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
  /** Tokens that it adds to a lone text. */
  readonly specialTokens: number;
}

/** The token ids of row `index`, of the length that was drawn for it. */
type RowIds = (index: number, length: number) => readonly number[];

/**
 * Prompts as sglang.bench_serving makes them, from the same random streams: `random` repeats and cuts first turns of a
 * ShareGPT file, `random-ids` decodes runs of the vocabulary. Lengths are nominal: nothing is encoded again, so that
 * what the server counts may differ. Every warm-up prompt is row 0, as there. Exit 2 on a file that cannot be used.
 */
export async function openSglangPrompts(job: PrepareJob): Promise<PromptMaker> {
  const spec = job.prompts.sglang;
  if (spec === undefined) throw new BenchError(EXIT.bug, 'prompts of sglang without what decides them');
  const tokenizer = loadTokenizer(
    await readTokenizerFiles(job.prompts.tokenizer, { env: process.env, fetch }),
  );
  return sglangMaker(job, spec, tokenizer);
}

function sglangMaker(job: PrepareJob, spec: SglangPromptSpec, tokenizer: LoadedTokenizer): PromptMaker {
  const { point } = job.points[0]!;
  const { seed, rangeRatio } = job.prompts;
  const draws = new SglangDraws({ ...spec, seed, rangeRatio, isl: point.isl, osl: point.osl });
  // The releases that shorten lengths are those on transformers 5. Where that builds a tokenizer anew from its class,
  // and another than tokenizer.json holds, this one stays as it is.
  const python = pythonTokenizer(tokenizer, spec.lessSpecialTokens ? 5 : 4);
  const fewer = spec.lessSpecialTokens ? python.specialTokens : 0;
  const lengths = draws.isl.map((length) => (fewer === 0 ? length : Math.max(1, length - fewer)));
  const rowIds =
    spec.path === null
      ? vocabularyRuns(draws, python.vocabularySize)
      : repeatedTurns(spec.path, seed, spec.count, python);
  const row = (index: number): MadePrompt => ({
    text: python.decode(rowIds(index, lengths[index]!)),
    isl: lengths[index]!,
    osl: draws.osl[index]!,
    promptTokens: null,
    excess: 0,
  });
  const warmup = row(0);
  const maker: PromptMaker = {
    facts: factsOf(job, tokenizer),
    // Each prompt that is sent was made; none is used again with other words.
    salting: { seed, salt: job.prompts.salt, firstWords: [''], words: [''], saltWords: 0 },
    warnings: [],
    checksPerPoint: 0,
    make: (_point, phase, index) => (phase === 'warmup' ? warmup : row(index % spec.count)),
    holds: () => true,
    adjusted: () => maker,
  };
  return maker;
}

function factsOf(job: PrepareJob, tokenizer: LoadedTokenizer): PromptFacts {
  return {
    ...job.prompts,
    tokenizerName: tokenizer.name,
    tokenizerHash: tokenizer.hash,
    method: 'sglang',
    wordCount: 0,
    template: { source: 'none', hash: null, tokens: null, by: 'unknown' },
    checked: 0,
    estimates: job.foreignServer && job.prompts.tokenizer === EMBEDDED_TOKENIZER,
  };
}

function pythonTokenizer(tokenizer: LoadedTokenizer, transformers: 4 | 5): PythonTokenizer {
  const encode = (text: string): number[] => tokenizer.encodeWithSpecial(text, transformers);
  return {
    encode,
    decode: (ids) => tokenizer.decode(ids, transformers),
    specialTokens: encode('a').length - tokenizer.encode('a').length,
    vocabularySize: tokenizer.vocabularySize,
  };
}

function vocabularyRuns(draws: SglangDraws, size: number): RowIds {
  const offsets = draws.offsets(size);
  return (index, length) => Array.from({ length }, (_, j) => (offsets[index]! + index + j) % size);
}

function repeatedTurns(path: string, seed: number, count: number, tokenizer: PythonTokenizer): RowIds {
  const rows: (readonly number[])[] = [];
  for (const turn of pythonShuffled(firstTurns(path), seed)) {
    if (rows.length === count) break;
    const ids = tokenizer.encode(turn);
    if (ids.length > 0) rows.push(ids);
  }
  if (rows.length < count) {
    throw usageError(
      `--dataset-path: ${path} has ${rows.length} usable conversations, --num-prompts asks for ${count}`,
      'ask for fewer prompts, or name a larger file (sglang would send fewer without a word)',
    );
  }
  return (index, length) => {
    const ids = rows[index]!;
    return Array.from({ length }, (_, j) => ids[j % ids.length]!);
  };
}

/** First turns of all conversations that have a second one. */
function firstTurns(path: string): string[] {
  const turns: string[] = [];
  let index = 0;
  try {
    for (const entry of readJsonList(path)) {
      const turn = firstTurn(entry);
      if (turn === undefined) {
        throw usageError(
          `--dataset-path: conversation ${index} of ${path} has a first turn without text`,
          'give each turn a "value" that is a string',
        );
      }
      if (turn !== null) turns.push(turn);
      index++;
    }
  } catch (error) {
    if (error instanceof BenchError) throw error;
    throw usageError(
      `--dataset-path: cannot read ${path} near conversation ${index} (${jsonComplaint(error)})`,
      'name a ShareGPT JSON: a list of {"conversations": [{"value": …}, …]}',
    );
  }
  return turns;
}

/** null for a conversation of less than two turns, undefined for a turn without text. */
function firstTurn(entry: unknown): string | null | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { conversations, conversation } = entry as { conversations?: unknown; conversation?: unknown };
  const turns = conversations ?? conversation ?? [];
  if (!Array.isArray(turns)) return undefined;
  if (turns.length < 2) return null;
  const value: unknown = (turns[0] as { value?: unknown } | null)?.value;
  return typeof value === 'string' ? value : undefined;
}
