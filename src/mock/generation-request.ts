import { ApiError } from './api-error.ts';
import type { MockOptions } from './options.ts';
import type { MockTokenizer } from './tokenizer.ts';

export type Api = 'chat' | 'completions';

/** A checked request for output. */
export interface GenerationRequest {
  readonly api: Api;
  readonly stream: boolean;
  readonly promptText: string;
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly ignoreEos: boolean;
  readonly includeUsage: boolean;
  readonly continuousUsage: boolean;
}

/** What the old completions API makes when nothing is said, and the mock everywhere. */
const DEFAULT_MAX_TOKENS = 16;
const MOST_TOKENS = 10_000_000;

/** Top-level fields that `--refuse-unknown` lets pass: OpenAI's, and those that engines added. */
const KNOWN_FIELDS: ReadonlySet<string> = new Set(
  `model messages prompt suffix echo best_of stream stream_options max_tokens max_completion_tokens temperature
  top_p top_k min_p n stop seed user logprobs top_logprobs logit_bias frequency_penalty presence_penalty
  repetition_penalty response_format tools tool_choice parallel_tool_calls functions function_call
  reasoning_effort modalities audio prediction service_tier store metadata web_search_options verbosity
  ignore_eos min_tokens stop_token_ids skip_special_tokens include_stop_str_in_output chat_template_kwargs
  nvext`.split(/\s+/),
);

type Fields = Readonly<Record<string, unknown>>;

/** Reads and checks a body. Throws an ApiError: 400 for what is wrong, 404 for an unknown model. */
export function parseGeneration(
  api: Api,
  body: string,
  options: MockOptions,
  tokenizer: MockTokenizer,
): GenerationRequest {
  const fields = parseFields(body);
  refuse(fields, options);
  if (typeof fields['model'] !== 'string') throw new ApiError(400, 'model: a string is required');
  if (fields['model'] !== options.model) {
    throw new ApiError(
      404,
      `The model \`${fields['model']}\` does not exist.`,
      'invalid_request_error',
      'model_not_found',
    );
  }
  if (fields['n'] !== undefined && fields['n'] !== null && fields['n'] !== 1)
    throw new ApiError(400, 'n: only 1 is served');
  const prompt = api === 'chat' ? chatPrompt(fields, tokenizer) : completionPrompt(fields, tokenizer);
  const maxTokens =
    integer(fields, 'max_completion_tokens', 1) ?? integer(fields, 'max_tokens', 1) ?? DEFAULT_MAX_TOKENS;
  const minTokens = integer(fields, 'min_tokens', 0) ?? 0;
  if (minTokens > maxTokens)
    throw new ApiError(400, `min_tokens: ${minTokens} is more than max_tokens, ${maxTokens}`);
  const room = prompt.promptTokens + maxTokens;
  if (options.timing.ttftMs === null && room > options.timing.kvTokens) {
    throw new ApiError(
      400,
      `prompt and max_tokens are ${room} tokens, more than the maximum of ${options.timing.kvTokens}`,
    );
  }
  const streamOptions = asFields(fields['stream_options']);
  return {
    api,
    stream: flag(fields, 'stream'),
    ...prompt,
    maxTokens,
    minTokens,
    ignoreEos: flag(fields, 'ignore_eos'),
    includeUsage: flag(streamOptions, 'include_usage'),
    continuousUsage: flag(streamOptions, 'continuous_usage_stats'),
  };
}

function parseFields(body: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new ApiError(400, 'the body is not valid JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new ApiError(400, 'the body is not a JSON object');
  return value as Fields;
}

/** Words the refusal as Dynamo does. */
function refuse(fields: Fields, options: MockOptions): void {
  const streamOptions = asFields(fields['stream_options']);
  const refused = [...options.refuse].filter(
    (name) => name in (name === 'continuous_usage_stats' ? streamOptions : fields),
  );
  const unknown = options.refuseUnknown ? Object.keys(fields).filter((name) => !KNOWN_FIELDS.has(name)) : [];
  const names = [...refused, ...unknown];
  if (names.length > 0)
    throw new ApiError(400, `Unsupported parameter(s): ${names.map((name) => `\`${name}\``).join(', ')}`);
}

function chatPrompt(
  fields: Fields,
  tokenizer: MockTokenizer,
): Pick<GenerationRequest, 'promptText' | 'promptTokens'> {
  const raw = fields['messages'];
  if (!Array.isArray(raw) || raw.length === 0)
    throw new ApiError(400, 'messages: a list of at least one message is required');
  const messages = raw.map((message: unknown, i) => {
    const { role, content } = asFields(message);
    const text = contentText(content);
    if (typeof role !== 'string' || text === null)
      throw new ApiError(400, `messages[${i}]: role and content are required`);
    return { role, content: text };
  });
  return {
    promptText: messages.map(({ role, content }) => `${role}\n${content}\n`).join(''),
    promptTokens: tokenizer.countPrompt(messages),
  };
}

/** The text of a message's content: a string, or a list of text parts. null when it is neither. */
function contentText(content: unknown): string | null {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return null;
  const texts = content.map((part: unknown) => asFields(part)['text']);
  return texts.every((text) => typeof text === 'string') ? texts.join('') : null;
}

function completionPrompt(
  fields: Fields,
  tokenizer: MockTokenizer,
): Pick<GenerationRequest, 'promptText' | 'promptTokens'> {
  const raw = fields['prompt'];
  const prompt: unknown = Array.isArray(raw) && raw.length === 1 && typeof raw[0] !== 'number' ? raw[0] : raw;
  if (typeof prompt === 'string') return { promptText: prompt, promptTokens: tokenizer.count(prompt) };
  if (Array.isArray(prompt) && prompt.length > 0 && prompt.every((id) => Number.isSafeInteger(id))) {
    return { promptText: prompt.join(' '), promptTokens: prompt.length };
  }
  throw new ApiError(400, 'prompt: a string or a list of token ids is required');
}

function asFields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function flag(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false;
  if (typeof value === 'boolean') return value;
  throw new ApiError(400, `${name}: a boolean is required`);
}

function integer(fields: Fields, name: string, low: number): number | null {
  const value = fields[name] ?? null;
  if (value === null) return null;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= low && value <= MOST_TOKENS)
    return value;
  throw new ApiError(400, `${name}: an integer from ${low} to ${MOST_TOKENS} is required`);
}
