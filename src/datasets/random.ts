import { BenchError, EXIT, usageError } from '../core/errors.ts';
import { Random } from '../core/random.ts';
import type { PromptFacts } from '../core/report.ts';
import { adjustedTextMaker } from './adjusted-text.ts';
import { type ChatTemplate, loadChatTemplate } from './chat-template.ts';
import { readEmbedded, readEmbeddedLines } from './embedded.ts';
import type { Calibration, PrepareJob, Probe, PromptMaker } from './prepare.ts';
import { frameWords, type Share, shareOf } from './template-share.ts';
import {
  CountedCorpus,
  corpusPieces,
  corpusTextMaker,
  drawWords,
  SALT_WORDS,
  type TextMaker,
  type TextParts,
  wordTextMaker,
} from './text-maker.ts';
import { type LoadedTokenizer, loadTokenizer } from './tokenizer.ts';
import { EMBEDDED_TOKENIZER, readTokenizerFiles } from './tokenizer-source.ts';
import { type WordList, wordListOf } from './word-list.ts';

const CHECKS_WHEN_FRESH = 16;
const CHECKS_WHEN_CACHED = 1;
/** Tokens of the two probes that measure an unknown template. */
const PROBE_TOKENS = [32, 512] as const;
/** Pieces of the corpus that are encoded in a row to see that they count as they do alone. */
const CORPUS_PROOF_PIECES = 2_000;
/**
 * Prompts of random lengths and random text, in tokens of the chosen tokenizer. Gives the maker, or the
 * two probes to send first when nobody here knows what the server's template adds. Throws usage errors
 * (exit 2) for tokenizers that cannot be read and lengths that leave no room for the template.
 */
export async function openRandomPrompts(
  job: PrepareJob,
): Promise<PromptMaker | { readonly needsProbe: readonly [Probe, Probe] }> {
  const { prompts } = job;
  const files = await readTokenizerFiles(prompts.tokenizer, { env: process.env, fetch });
  const tokenizer = loadTokenizer(files);
  const isEmbedded = prompts.tokenizer === EMBEDDED_TOKENIZER;
  const estimates = isEmbedded && job.foreignServer;
  const template = estimates ? null : loadChatTemplate(files, tokenizer.config, job.templateVariables);
  const { list, fresh } = wordListOf(tokenizer, job.cacheDir);

  if (template === null && job.calibration === null) {
    return { needsProbe: makeProbes(job, tokenizer, list) };
  }
  return new RandomPrompts(job, { tokenizer, template, list, fresh, estimates });
}

/** The straight line through what a server counted for two probes. */
export function fitCalibration(
  probes: readonly [Probe, Probe],
  promptTokens: readonly [number, number],
): Calibration {
  const slope = (promptTokens[1] - promptTokens[0]) / (probes[1].tokens - probes[0].tokens);
  if (!(slope > 0)) {
    throw new BenchError(
      EXIT.target,
      `the server counted ${promptTokens[0]} tokens for a prompt of ${probes[0].tokens} and ${promptTokens[1]} for one of ${probes[1].tokens}`,
      'its prompt_tokens cannot be trusted: use --isl-counts content',
    );
  }
  return { slope, interceptTokens: promptTokens[0] - slope * probes[0].tokens };
}

function makeProbes(
  job: PrepareJob,
  tokenizer: LoadedTokenizer,
  list: WordList | null,
): readonly [Probe, Probe] {
  const parts = list ?? { firstWords: [], words: readEmbeddedLines('tokenizer/words.txt') };
  const usable: TextParts = parts.firstWords.length > 0 ? parts : { ...parts, firstWords: parts.words };
  const probe = (words: number): Probe => {
    const content = drawWords(usable, words, new Random(job.prompts.seed, job.prompts.salt, 'probe', words));
    return { content, tokens: tokenizer.encode(content).length };
  };
  return [probe(PROBE_TOKENS[0]), probe(PROBE_TOKENS[1])];
}

interface Ingredients {
  readonly tokenizer: LoadedTokenizer;
  readonly template: ChatTemplate | null;
  /** Null makes the prompts by encoding and adjusting. */
  readonly list: WordList | null;
  readonly fresh: boolean;
  readonly estimates: boolean;
}

class RandomPrompts implements PromptMaker {
  readonly facts: PromptFacts;
  readonly salting: PromptMaker['salting'];
  readonly warnings: readonly string[];
  readonly checksPerPoint: number;
  readonly #job: PrepareJob;
  readonly #ingredients: Ingredients;
  readonly #share: Share;
  readonly #texts: TextMaker;

  constructor(job: PrepareJob, ingredients: Ingredients) {
    const { tokenizer, template, list, fresh, estimates } = ingredients;
    this.#job = job;
    this.#ingredients = ingredients;

    const framed = list === null ? null : frameWords(tokenizer, template, list);
    const built = framed === null ? null : this.#constructed(framed.parts);
    this.#share = shareOf(job, template, framed?.tokens ?? null, tokenizer);
    this.#texts = built ?? this.#corrected();
    this.checksPerPoint = fresh ? CHECKS_WHEN_FRESH : CHECKS_WHEN_CACHED;
    this.salting = {
      seed: job.prompts.seed,
      salt: job.prompts.salt,
      firstWords: this.#texts.parts.firstWords,
      words: this.#texts.parts.words,
      saltWords: SALT_WORDS,
    };
    this.facts = {
      ...job.prompts,
      tokenizerName: tokenizer.name,
      tokenizerHash: tokenizer.hash,
      method: built === null ? 'adjust' : 'words',
      wordCount: built === null ? 0 : built.parts.words.length,
      template: {
        source: template?.source ?? (this.#share.by === 'calibrated' ? 'server' : 'none'),
        hash: template?.hash ?? null,
        tokens: this.#share.tokens,
        by: this.#share.by,
      },
      checked: 0,
      estimates,
    };
    this.warnings = this.#checkLengths();
  }

  make: PromptMaker['make'] = (point, phase, index) => {
    const { seed, salt, rangeRatio, islCounts } = this.#job.prompts;
    // Lengths do not hang on the salt: runs with the same seed ask for the same work.
    const lengths = new Random(seed, 'lengths', point.index, phase, index);
    const isl = drawLength(point.isl, rangeRatio, this.#shortestIsl, lengths);
    const osl = drawLength(point.osl, rangeRatio, 1, lengths);
    const { text, excess } = this.#texts.make(
      this.#makerTokens(isl),
      new Random(seed, salt, point.index, phase, index),
    );
    const share = this.#share.slope === 1 ? this.#share.tokens : null;
    const known = islCounts === 'prompt' ? isl : isl + (share ?? 0);
    const promptTokens = this.#countsTemplateOnly
      ? this.#rendered(text)
      : share === null
        ? null
        : known + excess;
    return { text, isl, osl, promptTokens, excess };
  };

  holds: PromptMaker['holds'] = ({ text, isl, promptTokens }) =>
    this.#count(text) === this.#makerTokens(isl) + this.#countedShare &&
    (this.#ingredients.template === null || this.#rendered(text) === promptTokens);

  adjusted(): PromptMaker {
    return new RandomPrompts(this.#job, { ...this.#ingredients, list: null });
  }

  /** Tokens of the content for an input length. */
  #makerTokens(isl: number): number {
    const { islCounts } = this.#job.prompts;
    if (islCounts === 'content' || this.#share.tokens === null) return isl;
    return Math.max(1, Math.round((isl - this.#share.tokens) / this.#share.slope));
  }

  /** The template's tokens within `#count`. */
  get #countedShare(): number {
    return this.#ingredients.template !== null && this.#job.prompts.islCounts === 'prompt'
      ? (this.#share.tokens ?? 0)
      : 0;
  }

  /** Tokens of a content as ISL counts them, template included where it is known here. */
  #count(text: string): number {
    if (this.#job.prompts.islCounts === 'prompt') return this.#rendered(text);
    return this.#ingredients.tokenizer.encode(text).length;
  }

  /** Tokens of a content in its template, as the server sees it. */
  #rendered(text: string): number {
    const { tokenizer, template } = this.#ingredients;
    return tokenizer.encode(template === null ? text : template.render(text)).length;
  }

  /** Whether the server's count must be taken from each text: its bare length alone was adjusted. */
  get #countsTemplateOnly(): boolean {
    const { template } = this.#ingredients;
    return this.facts.method === 'adjust' && template !== null && this.#job.prompts.islCounts === 'content';
  }

  #constructed(parts: TextParts): TextMaker | null {
    if (this.#job.prompts.text === 'words') return wordTextMaker(parts);
    const corpus = countCorpus(this.#ingredients.tokenizer, parts);
    return corpus === null ? null : corpusTextMaker(parts, corpus);
  }

  #corrected(): TextMaker {
    const pieces = this.#job.prompts.text === 'corpus' ? corpusPieces(readEmbedded('corpus.txt')) : null;
    const words = readEmbeddedLines('tokenizer/words.txt');
    return adjustedTextMaker(words, pieces, (text) => this.#count(text) - this.#countedShare);
  }

  get #shortestIsl(): number {
    const { islCounts } = this.#job.prompts;
    return islCounts === 'content' ? 1 : Math.floor(this.#share.tokens ?? 0) + 1;
  }

  /** Refuses lengths that cannot be made; tells of lengths that are cut off below. */
  #checkLengths(): string[] {
    const { rangeRatio } = this.#job.prompts;
    const shortest = this.#shortestIsl;
    const warnings: string[] = [];
    for (const { point } of this.#job.points) {
      if (point.isl < shortest) {
        throw usageError(
          `--isl: ${point.isl} tokens leave no room: the chat template alone takes ${shortest - 1}`,
          `ask for at least ${shortest}, or count the bare text with --isl-counts content`,
        );
      }
      if (Math.max(1, Math.trunc(point.isl * rangeRatio)) < shortest) {
        warnings.push(
          `input lengths of point ${point.index} start at ${shortest}, since the chat template takes ${shortest - 1} tokens`,
        );
      }
    }
    return warnings;
  }
}

/** Uniform in [max(1, trunc(L·ratio)), L], and not below `shortest`; a ratio of 1 draws nothing. */
function drawLength(length: number, ratio: number, shortest: number, random: Random): number {
  if (ratio === 1) return length;
  return random.integer(Math.max(shortest, 1, Math.trunc(length * ratio)), length);
}

/** The corpus with its token counts; null when its pieces do not count alone as they do in a row. */
function countCorpus(tokenizer: LoadedTokenizer, parts: TextParts): CountedCorpus | null {
  const anchor = parts.firstWords[0]!;
  const lead = tokenizer.encode(anchor).length;
  const pieces = corpusPieces(readEmbedded('corpus.txt'));
  const corpus = new CountedCorpus(pieces, (piece) => tokenizer.encode(anchor + piece).length - lead);
  for (let start = 0; start < pieces.length; start += CORPUS_PROOF_PIECES) {
    const row = corpus.take(start, CORPUS_PROOF_PIECES);
    if (tokenizer.encode(anchor + row.text).length !== lead + row.tokens) return null;
  }
  return corpus;
}
