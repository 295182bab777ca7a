import type { PromptFacts } from '../core/prompt-facts.ts';
import type { ChatTemplate } from './chat-template.ts';
import type { PrepareJob } from './prepare.ts';
import { spread, type TextParts } from './text-maker.ts';
import type { LoadedTokenizer } from './tokenizer.ts';
import type { WordList } from './word-list.ts';

/** First words tried in the template's frame; as many as salt needs, and quick to try. */
const MOST_FIRST_WORDS = 512;
/** Slopes this near to 1 come from a server whose words are one token each. */
const SLOPE_TOLERANCE = 1e-6;

/** How the tokens around the content are known. */
export interface Share {
  readonly by: PromptFacts['template']['by'];
  /** Tokens that the template adds; null when unknown. */
  readonly tokens: number | null;
  /** Server tokens per local token of content; 1 but for a calibrated foreign server. */
  readonly slope: number;
}

/** What the template adds: computed here, calibrated on the server, or unknown. */
export function shareOf(
  job: PrepareJob,
  template: ChatTemplate | null,
  framedTokens: number | null,
  tokenizer: LoadedTokenizer,
): Share {
  if (template === null) {
    if (job.calibration === null || job.calibration === 'unknown')
      return { by: 'unknown', tokens: null, slope: 1 };
    const { slope, interceptTokens } = job.calibration;
    const isOne = Math.abs(slope - 1) < SLOPE_TOLERANCE;
    return {
      by: 'calibrated',
      tokens: isOne ? Math.round(interceptTokens) : interceptTokens,
      slope: isOne ? 1 : slope,
    };
  }
  const word = 'the';
  const tokens = tokenizer.encode(template.render(word)).length - tokenizer.encode(word).length;
  return { by: 'computed', tokens: framedTokens ?? tokens, slope: 1 };
}

/**
 * The first words that hold in the template's frame, and the tokens that the frame takes. Null when the
 * template is no frame or no word holds in it.
 */
export function frameWords(
  tokenizer: LoadedTokenizer,
  template: ChatTemplate | null,
  list: WordList,
): { readonly parts: TextParts; readonly tokens: number | null } | null {
  const { words, firstWords } = list;
  if (template === null) return firstWords.length === 0 ? null : { parts: list, tokens: null };
  if (template.frame === null || firstWords.length === 0) return null;
  const { prefix, suffix } = template.frame;
  const sample = spread(firstWords, MOST_FIRST_WORDS);
  const totals = sample.map((word) => tokenizer.encode(prefix + word + suffix).length);
  const least = Math.min(...totals);
  return {
    parts: { words, firstWords: sample.filter((_, i) => totals[i] === least) },
    tokens: least - 1,
  };
}
