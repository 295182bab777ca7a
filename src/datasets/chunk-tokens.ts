import type { LoadedTokenizer } from './tokenizer.ts';

/**
 * A text with a smaller share of the tokens that the server counted cannot have shown them all. A text is seldom encoded again
 * exactly as it was made, and a tokenizer that is not the model's may be off by a factor.
 */
export const LEAST_SHOWN_RATIO = { exact: 0.8, estimated: 0.5 } as const;

/**
 * Tokens that each chunk of one response carried, for servers that do not say. The whole output text is
 * encoded once; a chunk has the tokens, and parts of tokens, between its ends. The counts are scaled to
 * `serverCount` by rounding the running sum, so that they add up to it exactly; where the server did not
 * count (null), or the text has less than `leastRatio` of its count, they add up to the tokenizer's own count.
 *
 * `text` is the UTF-8 of all output; `ends` are the byte offsets behind each chunk, ascending. Each chunk
 * gets at least one token when there are as many tokens as chunks.
 */
export function splitTokens(
  tokenizer: LoadedTokenizer,
  text: Uint8Array,
  ends: Uint32Array,
  serverCount: number | null,
  leastRatio = 0,
): Uint32Array {
  const boundaries = tokenEnds(tokenizer, text);
  const shown = boundaries.length;
  const completionTokens = serverCount === null || shown < leastRatio * serverCount ? shown : serverCount;
  const chunks = ends.length;
  const counts = new Uint32Array(chunks);
  const total = boundaries.length;
  let given = 0;
  let token = 0;
  for (let i = 0; i < chunks; i++) {
    const end = ends[i]!;
    while (token < total && boundaries[token]! <= end) token++;
    const from = token === 0 ? 0 : boundaries[token - 1]!;
    const inside = token < total ? Math.max(0, end - from) / (boundaries[token]! - from) : 0;
    const share = total === 0 ? (i + 1) / chunks : (token + inside) / total;
    const wanted = Math.round(share * completionTokens);
    const least = completionTokens >= chunks ? given + 1 : given;
    const most = completionTokens >= chunks ? completionTokens - (chunks - 1 - i) : completionTokens;
    const running = i === chunks - 1 ? completionTokens : Math.min(most, Math.max(least, wanted));
    counts[i] = running - given;
    given = running;
  }
  return counts;
}

/** Byte offset behind each token of the text; the last one is the text's length. Strictly ascending. */
function tokenEnds(tokenizer: LoadedTokenizer, text: Uint8Array): number[] {
  if (text.length === 0) return [];
  const { tokens } = tokenizer.encodeTokens(Buffer.from(text).toString('utf8'));
  const ends: number[] = [];
  let end = 0;
  for (const token of tokens) {
    end += tokenBytes(tokenizer, token);
    ends.push(end);
  }
  // Normalizers and unknown tokens change lengths; the offsets are then stretched over the text.
  const stretch = end === 0 ? 1 : text.length / end;
  return ends.map((value) => value * stretch);
}

function tokenBytes(tokenizer: LoadedTokenizer, token: string): number {
  if (tokenizer.isAdded(token)) return Buffer.byteLength(token, 'utf8');
  if (tokenizer.byteLevel) return token.length;
  if (/^<0x[0-9A-F]{2}>$/.test(token)) return 1;
  const written = token.startsWith('##') ? token.slice(2) : token.replaceAll('▁', ' ');
  return Math.max(1, Buffer.byteLength(written, 'utf8'));
}
