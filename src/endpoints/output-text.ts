/** A JSON object of a response, any of whose fields may be of any type. */
export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Names of the same thoughts: a server may fill several of them, so the first that has text counts. */
const THOUGHTS: readonly string[] = [
  'reasoning_content',
  'reasoning',
  'reasoning_details',
  'reasoning_text',
  'thinking',
  'thinking_blocks',
];

/** Where a part of a list has its text; the first that has any counts. */
const PARTS = [
  'text',
  'thinking',
  'reasoning',
  'summary',
  'refusal',
  'content',
  'value',
  'transcript',
] as const;

/** All output of a delta: thoughts, content, refusal, and arguments of calls; `''` where it has none. */
export function outputText(delta: unknown): string {
  if (!isFields(delta)) return typeof delta === 'string' ? delta : '';
  let hasThoughts = false;
  let text = '';
  // Most deltas have a field or two, which costs less to go through than to look for each of those that there may be.
  for (const name in delta) {
    const value = delta[name];
    if (value === null || value === '' || name === 'role') continue;
    if (name === 'content' || name === 'refusal' || name === 'audio') text += textIn(value);
    else if (name === 'tool_calls') text += callsText(value);
    else if (name === 'function_call') text += callText(value);
    else if (THOUGHTS.includes(name)) hasThoughts = true;
  }
  return hasThoughts ? firstText(delta, THOUGHTS) + text : text;
}

function callsText(calls: unknown): string {
  if (!Array.isArray(calls)) return '';
  return calls
    .map((call: unknown) => {
      if (!isFields(call)) return '';
      const { custom } = call;
      return callText(call['function']) + (isFields(custom) ? textIn(custom['input']) : '');
    })
    .join('');
}

/** Arguments are JSON as text, and with some servers an object. */
function callText(call: unknown): string {
  if (!isFields(call)) return '';
  const { arguments: value } = call;
  if (typeof value === 'string') return value;
  return isFields(value) && Object.keys(value).length > 0 ? JSON.stringify(value) : '';
}

/** Text as a string, as a list of parts, or as a part. */
function textIn(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(textIn).join('');
  return isFields(value) ? firstText(value, PARTS) : '';
}

function firstText(fields: Fields, names: readonly string[]): string {
  for (const name of names) {
    const text = textIn(fields[name]);
    if (text !== '') return text;
  }
  return '';
}
