import type { PromptFacts } from '../core/prompt-facts.ts';
import { Random } from '../core/random.ts';
import type { Phase } from '../core/record.ts';
import type { PointSpec } from '../core/spec.ts';
import { adjustedTextMaker } from './adjusted-text.ts';
import { type ChatTemplate, loadChatTemplate } from './chat-template.ts';
import { readEmbedded, readEmbeddedLines } from './embedded.ts';
import type { PrepareJob, Probe, PromptMaker } from './prepare.ts';
import { frameWords, type Share, shareOf } from './template-share.ts';
import {
  CountedCorpus,
  corpusPieces,
  corpusTextMaker,
  drawWords,
  type MadeText,
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

/** A prompt's place in the run. */
export interface Place {
  readonly point: PointSpec;
  readonly phase: Phase;
  /** Number within the phase of the point, all load generators together. */
  readonly index: number;
}

/** What a dataset of exact lengths decides. */
export interface Composition {
  readonly facts?: Partial<Pick<PromptFacts, 'rows' | 'sharedRatio'>>;
  readonly warnings: readonly string[];
  /** Prompts that are used again keep their first words. */
  readonly keepsWords?: boolean;
  lengths(place: Place): { readonly isl: number; readonly osl: number };
  /** A text of so many tokens; its head is what it shares with other prompts. */
  text(place: Place, tokens: number, texts: TextMaker): MadeText & { readonly head?: string };
}

/** Throws usage errors (exit 2) for lengths below `leastIsl`, which the chat template needs. */
export type Compose = (job: PrepareJob, leastIsl: number) => Composition;

/**
 * Prompts of exact length in tokens of the chosen tokenizer, composed as the dataset says. Gives the maker, or the
 * two probes to send first when nobody here knows what the server's template adds. Throws usage errors
 * (exit 2) for tokenizers that cannot be read and lengths that leave no room for the template.
 */
export async function openExactPrompts(
  job: PrepareJob,
  compose: Compose,
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
  return new ExactPrompts(job, compose, { tokenizer, template, list, fresh, estimates });
}

/** Two texts of known length, whose counts by the server tell what its template adds. */
export function makeProbes(
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

class ExactPrompts implements PromptMaker {
  readonly facts: PromptFacts;
  readonly salting: PromptMaker['salting'];
  readonly warnings: readonly string[];
  readonly checksPerPoint: number;
  readonly #job: PrepareJob;
  readonly #compose: Compose;
  readonly #composition: Composition;
  readonly #ingredients: Ingredients;
  readonly #share: Share;
  readonly #texts: TextMaker;

  constructor(job: PrepareJob, compose: Compose, ingredients: Ingredients) {
    const { tokenizer, template, list, fresh, estimates } = ingredients;
    this.#job = job;
    this.#compose = compose;
    this.#ingredients = ingredients;

    const framed = list === null ? null : frameWords(tokenizer, template, list);
    const built = framed === null ? null : this.#constructed(framed.parts);
    this.#share = shareOf(job, template, framed?.tokens ?? null, tokenizer);
    this.#texts = built ?? this.#corrected();
    this.#composition = compose(job, this.#leastIsl);
    this.checksPerPoint = fresh ? CHECKS_WHEN_FRESH : CHECKS_WHEN_CACHED;
    this.salting = {
      seed: job.prompts.seed,
      salt: job.prompts.salt,
      firstWords: this.#texts.parts.firstWords,
      words: this.#texts.parts.words,
      saltWords: this.#composition.keepsWords === true ? 0 : SALT_WORDS,
    };
    this.facts = {
      ...job.prompts,
      ...this.#composition.facts,
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
    this.warnings = this.#composition.warnings;
  }

  make: PromptMaker['make'] = (point, phase, index) => {
    const place = { point, phase, index };
    const { isl, osl } = this.#composition.lengths(place);
    const { text, excess, head } = this.#composition.text(place, this.#makerTokens(isl), this.#texts);
    const share = this.#share.slope === 1 ? this.#share.tokens : null;
    const known = this.#job.prompts.islCounts === 'prompt' ? isl : isl + (share ?? 0);
    const promptTokens = this.#countsTemplateOnly
      ? this.#rendered(text)
      : share === null
        ? null
        : known + excess;
    return { text, isl, osl, promptTokens, excess, ...(head === undefined ? {} : { head }) };
  };

  holds: PromptMaker['holds'] = ({ text, isl, promptTokens }) =>
    this.#count(text) === this.#makerTokens(isl!) + this.#countedShare &&
    (this.#ingredients.template === null || this.#rendered(text) === promptTokens);

  adjusted(): PromptMaker {
    return new ExactPrompts(this.#job, this.#compose, { ...this.#ingredients, list: null });
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

  /** The shortest input length that leaves room for a token of text. */
  get #leastIsl(): number {
    const { islCounts } = this.#job.prompts;
    return islCounts === 'content' ? 1 : Math.floor(this.#share.tokens ?? 0) + 1;
  }
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
