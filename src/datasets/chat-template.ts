import { createHash } from 'node:crypto';
import { Template } from '@huggingface/jinja';
import { errorText, usageError } from '../core/errors.ts';
import { jsonComplaint } from '../core/json-row.ts';
import type { TokenizerFiles } from './tokenizer-source.ts';

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** The text that a server puts around one user message before it counts tokens. */
export interface ChatTemplate {
  /** `chat_template.jinja`, `tokenizer_config.json`, `chat_template.json` or `embedded`. */
  readonly source: string;
  /** sha256 of the template's text, in hex. */
  readonly hash: string;
  /** The whole text for one user message with this content, ready for the assistant to go on. */
  render(content: string): string;
  /** The same for a whole conversation. */
  renderMessages(messages: readonly ChatMessage[]): string;
  /**
   * What stands before and after the content; null when the template does more with it than to put it
   * in one place. Holds for contents without white space at their ends.
   */
  readonly frame: { readonly prefix: string; readonly suffix: string } | null;
}

/**
 * Compiles the chat template of a tokenizer; null when it has none. `variables` are what a server adds
 * from `chat_template_kwargs`. `now` gives the date for templates that print it. Throws a usage error
 * (exit 2) when the template cannot be rendered.
 */
export function loadChatTemplate(
  files: TokenizerFiles,
  config: Readonly<Record<string, unknown>>,
  variables: Readonly<Record<string, unknown>> = {},
  now: () => Date = () => new Date(),
): ChatTemplate | null {
  const [source, text] = findTemplate(files, config);
  if (text === null) return null;

  try {
    // The engine's own strftime_now writes months in the user's language and cannot be replaced.
    const template = new Template(text.replaceAll('strftime_now', 'strftime_in_english'));
    const renderMessages = (messages: readonly ChatMessage[]): string =>
      template.render({
        // The same names that transformers gives to a template, `none` where a request gives nothing.
        tools: null,
        documents: null,
        ...specialTokens(config),
        strftime_in_english: (format: string) => strftime(now(), format),
        ...variables,
        messages: [...messages],
        add_generation_prompt: true,
      });
    const render = (content: string): string => renderMessages([{ role: 'user', content }]);
    const hash = createHash('sha256').update(text).digest('hex');
    return { source, hash, render, renderMessages, frame: findFrame(render) };
  } catch (error) {
    throw usageError(
      `the chat template of ${files.source} cannot be rendered (${errorText(error)})`,
      'give a chat_template.jinja beside tokenizer.json that takes one user message, or use --isl-counts content',
    );
  }
}

/** The template's file and text, null where there is none; the first that has one counts. */
function findTemplate(
  files: TokenizerFiles,
  config: Readonly<Record<string, unknown>>,
): readonly [source: string, text: string | null] {
  if (files.templateJinja !== null) return ['chat_template.jinja', files.templateJinja];
  const text = templateOf(config['chat_template']);
  if (text !== null || files.templateJson === null)
    return [files.source === 'embedded' ? 'embedded' : 'tokenizer_config.json', text];
  return ['chat_template.json', templateOfFile(files.templateJson, files.source)];
}

/** The template of a `chat_template.json`, under `chat_template` or as the whole of it. */
function templateOfFile(json: string, source: string): string | null {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw usageError(
      `--tokenizer: chat_template.json of ${source} is not JSON (${jsonComplaint(error)})`,
      'correct the file or take it away',
    );
  }
  return templateOf(
    typeof value === 'object' && value !== null && 'chat_template' in value ? value.chat_template : value,
  );
}

/** One text, or named ones as a list or an object: of them `default` counts, or the only one. */
function templateOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return null;
  const named = Array.isArray(value)
    ? (value as readonly ({ readonly name?: unknown; readonly template?: unknown } | null)[]).map(
        (entry) => [entry?.name, entry?.template] as const,
      )
    : Object.entries(value);
  const [, text] = named.find(([name]) => name === 'default') ?? (named.length === 1 ? named[0]! : []);
  return typeof text === 'string' ? text : null;
}

/** `bos_token` and its kin, written as a text or as an object with `content`. */
function specialTokens(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [name, value] of Object.entries(config)) {
    if (!name.endsWith('_token')) continue;
    if (typeof value === 'string') tokens[name] = value;
    else if (typeof value === 'object' && value !== null && 'content' in value) {
      tokens[name] = String(value.content);
    }
  }
  return tokens;
}

function findFrame(render: (content: string) => string): ChatTemplate['frame'] {
  const [first, second] = ['qzxjv', 'wkpf hgq'];
  const rendered = render(first);
  const at = rendered.indexOf(first);
  if (at < 0) return null;
  const prefix = rendered.slice(0, at);
  const suffix = rendered.slice(at + first.length);
  return render(second) === prefix + second + suffix ? { prefix, suffix } : null;
}

const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const;
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;

/** Python's strftime in the C locale, for the directives that templates use. */
function strftime(date: Date, format: string): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  const directives: Readonly<Record<string, () => string>> = {
    '%Y': () => String(date.getFullYear()),
    '%y': () => two(date.getFullYear() % 100),
    '%m': () => two(date.getMonth() + 1),
    '%d': () => two(date.getDate()),
    '%e': () => String(date.getDate()).padStart(2),
    '%-d': () => String(date.getDate()),
    '%B': () => MONTHS[date.getMonth()]!,
    '%b': () => MONTHS[date.getMonth()]!.slice(0, 3),
    '%A': () => DAYS[date.getDay()]!,
    '%a': () => DAYS[date.getDay()]!.slice(0, 3),
    '%H': () => two(date.getHours()),
    '%M': () => two(date.getMinutes()),
    '%S': () => two(date.getSeconds()),
    '%%': () => '%',
  };
  return format.replace(/%-?[a-zA-Z%]/g, (directive) => directives[directive]?.() ?? directive);
}
