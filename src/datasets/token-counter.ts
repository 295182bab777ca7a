import { type ChatMessage, loadChatTemplate } from './chat-template.ts';
import { readEmbeddedLines } from './embedded.ts';
import { splitAtSpaces } from './text-maker.ts';
import { loadTokenizer } from './tokenizer.ts';
import { EMBEDDED_TOKENIZER, readTokenizerFiles } from './tokenizer-source.ts';

/** Counts as a server does that serves a model with the embedded tokenizer. */
export interface TokenCounter {
  /** Tokens of a chat prompt, template included. */
  countPrompt(messages: readonly ChatMessage[]): number;
  /** Tokens of a bare text. */
  count(text: string): number;
  /** Words that are one token each after a space, in any order. */
  readonly words: readonly string[];
}

/** Pieces whose counts are kept; beyond them the memory starts anew. */
const MOST_PIECES = 50_000;

/**
 * A counter for the embedded tokenizer. Its pre-tokenizer cuts before each space that something follows,
 * so that pieces count alone as they do in a row: each is encoded once, and a long prompt costs look-ups.
 */
export async function openEmbeddedCounter(): Promise<TokenCounter> {
  const files = await readTokenizerFiles(EMBEDDED_TOKENIZER, { env: {}, fetch });
  const tokenizer = loadTokenizer(files);
  const template = loadChatTemplate(files, tokenizer.config)!;
  const words = readEmbeddedLines('tokenizer/words.txt');
  // What the list is there for, so that a server need not encode its words one by one before it is ready.
  const known = new Map(words.map((word) => [` ${word}`, 1]));
  const count = (text: string): number => {
    let tokens = 0;
    for (const piece of splitAtSpaces(text)) {
      let length = known.get(piece);
      if (length === undefined) {
        length = tokenizer.encode(piece).length;
        if (known.size >= MOST_PIECES) known.clear();
        known.set(piece, length);
      }
      tokens += length;
    }
    return tokens;
  };
  return {
    count,
    countPrompt: (messages) => count(template.renderMessages(messages)),
    words,
  };
}
