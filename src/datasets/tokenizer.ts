import { createHash } from 'node:crypto';
import { Tokenizer } from '@huggingface/tokenizers';
import { errorText, usageError } from '../core/errors.ts';
import { jsonComplaint } from '../core/json-row.ts';
import { decodeAsNative } from './byte-fallback.ts';
import type { TokenizerFiles } from './tokenizer-source.ts';

/** A tokenizer ready to encode. */
export interface LoadedTokenizer {
  readonly name: string;
  readonly source: string;
  /** sha256 of tokenizer.json in hex, a byte-order mark at its start left out. */
  readonly hash: string;
  /** Whether each character of a token stands for one byte (GPT-2's byte-level BPE). */
  readonly byteLevel: boolean;
  readonly config: Readonly<Record<string, unknown>>;
  /** Token ids of a text: special tokens in it are recognised, none are added. */
  encode(text: string): number[];
  /** Token ids with the special tokens that this major version of Python's transformers puts around a lone text. */
  encodeWithSpecial(text: string, transformers: 4 | 5): number[];
  /** The text of one or more ids as that version decodes them by default: special tokens kept. */
  decode(ids: readonly number[], transformers: 4 | 5): string;
  /** Entries of the model's own vocabulary: of the added tokens only those that stand in it too. */
  readonly vocabularySize: number;
  /** As `encode`, with the text of each token as the vocabulary writes it. */
  encodeTokens(text: string): { readonly ids: number[]; readonly tokens: readonly string[] };
  /** Entries of the vocabulary, special tokens left out, in the order of their ids. */
  vocabulary(): string[];
  /** Whether the token is a special or added one, which stands in the text as it is written. */
  isAdded(token: string): boolean;
}

const MODELS = ['BPE', 'WordPiece', 'Unigram'];

/** Parses and builds a tokenizer. Throws a usage error (exit 2) when the files hold none that is supported. */
export function loadTokenizer(files: TokenizerFiles): LoadedTokenizer {
  const json = parseObject(files.tokenizerJson, `${files.source}`);
  const config =
    files.configJson === null
      ? {}
      : parseObject(files.configJson, `tokenizer_config.json of ${files.source}`);
  const type = modelType(json['model']);
  if (type === null || !MODELS.includes(type)) {
    throw usageError(
      `--tokenizer: ${files.source} holds ${type === null ? 'no tokenizer model' : `a ${type} model`}`,
      `give a tokenizer.json of a ${MODELS.join(', ')} model`,
    );
  }
  const complete = {
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: null,
    added_tokens: [],
    ...json,
  };
  let tokenizer: Tokenizer;
  try {
    tokenizer = new Tokenizer(complete, config);
  } catch (error) {
    throw usageError(
      `--tokenizer: ${files.source} cannot be used (${errorText(error)})`,
      'give the tokenizer.json of another revision, or leave --tokenizer out to use the embedded one',
    );
  }
  const added = new Set([...tokenizer.get_added_tokens_decoder().values()].map((token) => token.content));
  const encodeTokens: LoadedTokenizer['encodeTokens'] = (text) =>
    tokenizer.encode(text, { add_special_tokens: false });
  decodeAsNative(tokenizer.decoder);
  const frame = classFrame(tokenizer, config);
  return {
    name: files.name,
    source: files.source,
    hash: createHash('sha256').update(files.tokenizerJson).digest('hex'),
    byteLevel: usesByteLevel(json['pre_tokenizer']),
    config,
    encode: (text) => encodeTokens(text).ids,
    encodeWithSpecial: (text, transformers) =>
      transformers === 5 || frame === null
        ? tokenizer.encode(text).ids
        : [...frame.before, ...encodeTokens(text).ids, ...frame.after],
    // Only where the model's config says so are spaces cleaned up, and since version 5 never those of BPE.
    decode: (ids, transformers) =>
      tokenizer.decode([...ids], {
        clean_up_tokenization_spaces:
          config['clean_up_tokenization_spaces'] === true && !(transformers === 5 && type === 'BPE'),
      }),
    get vocabularySize() {
      return Object.keys((json['model'] as { readonly vocab: object }).vocab).length;
    },
    encodeTokens,
    vocabulary: () => [...tokenizer.get_vocab(false).keys()].filter((token) => typeof token === 'string'),
    isAdded: (token) => added.has(token),
  };
}

/** Classes of transformers 4 that put their own tokens around a text, whatever tokenizer.json says. */
const FRAMING_CLASSES = /^(?:Llama|CodeLlama|Gemma|Cohere)Tokenizer(?:Fast)?$/;

/** Ids that such a class puts around a text, null for a tokenizer of another class. */
function classFrame(
  tokenizer: Tokenizer,
  config: Readonly<Record<string, unknown>>,
): { readonly before: readonly number[]; readonly after: readonly number[] } | null {
  const { add_bos_token = true, add_eos_token = false, bos_token, eos_token, tokenizer_class } = config;
  if (!FRAMING_CLASSES.test(String(tokenizer_class))) return null;
  return {
    before: add_bos_token === true ? idsOf(tokenizer, bos_token) : [],
    after: add_eos_token === true ? idsOf(tokenizer, eos_token) : [],
  };
}

/** Id of a token that the config writes as a text or as an object with `content`; none when it is not there. */
function idsOf(tokenizer: Tokenizer, token: unknown): number[] {
  const content = typeof token === 'object' && token !== null && 'content' in token ? token.content : token;
  const id = typeof content === 'string' ? tokenizer.token_to_id(content) : undefined;
  return id === undefined ? [] : [id];
}

function parseObject(text: string, what: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw usageError(
      `--tokenizer: ${what} is not JSON (${jsonComplaint(error)})`,
      'give the tokenizer.json of a model; if it is a Git LFS pointer, fetch the real file',
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw usageError(`--tokenizer: ${what} is not a JSON object`, 'give the tokenizer.json of a model');
  }
  return value as Record<string, unknown>;
}

/** The model's type; files before the field existed are told apart by what they hold. */
function modelType(model: unknown): string | null {
  if (typeof model !== 'object' || model === null || !('vocab' in model)) return null;
  if ('type' in model && typeof model.type === 'string') return model.type;
  return 'merges' in model ? 'BPE' : 'WordPiece';
}

function usesByteLevel(preTokenizer: unknown): boolean {
  if (typeof preTokenizer !== 'object' || preTokenizer === null) return false;
  if ('type' in preTokenizer && preTokenizer.type === 'ByteLevel') return true;
  const parts = 'pretokenizers' in preTokenizer ? preTokenizer.pretokenizers : null;
  return Array.isArray(parts) && parts.some(usesByteLevel);
}
