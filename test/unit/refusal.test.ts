import { describe, expect, it } from 'vitest';
import { optionalPaths, refusedPaths } from '../../src/endpoints/refusal.ts';

const BODY = {
  model: 'm',
  messages: [],
  temperature: 0,
  max_tokens: 30,
  stream: true,
  stream_options: { include_usage: true, continuous_usage_stats: true },
  ignore_eos: true,
  min_tokens: 30,
  stop: ['a'],
};
const PATHS = optionalPaths(BODY);
const error = (message: string, param: string | null = null): string =>
  JSON.stringify({ error: { message, type: 'invalid_request_error', param, code: 400 } });

describe('what may be left out of a body', () => {
  it('is all but the model, the messages and that it streams, and the fields of objects too', () => {
    expect(PATHS).toEqual([
      'temperature',
      'max_tokens',
      'stream_options',
      'stream_options.include_usage',
      'stream_options.continuous_usage_stats',
      'ignore_eos',
      'min_tokens',
      'stop',
    ]);
  });
});

/** Refusals as servers word them. */
const REFUSALS: readonly (readonly [server: string, status: number, body: string, named: string[]])[] = [
  [
    'Dynamo',
    400,
    error('Unsupported parameter(s): `ignore_eos`, `min_tokens`'),
    ['ignore_eos', 'min_tokens'],
  ],
  [
    'LiteLLM',
    500,
    error("does not support parameters: ['ignore_eos', 'min_tokens']"),
    ['ignore_eos', 'min_tokens'],
  ],
  [
    'pydantic',
    422,
    JSON.stringify({
      detail: [
        { type: 'extra_forbidden', loc: ['body', 'stream_options'], msg: 'Extra inputs are not permitted' },
      ],
    }),
    ['stream_options'],
  ],
  [
    'pydantic, a field of an object, with the whole request beside it',
    422,
    JSON.stringify({
      detail: [{ type: 'x', loc: ['body', 'stream_options', 'include_usage'], msg: 'no', input: BODY }],
    }),
    ['stream_options.include_usage'],
  ],
  [
    'pydantic in the words of another, with the whole request behind it',
    400,
    JSON.stringify({
      object: 'error',
      message:
        "[{'type': 'extra_forbidden', 'loc': ('body', 'ignore_eos'), 'input': {'temperature': 0, 'stop': []}}]",
    }),
    ['ignore_eos'],
  ],
  [
    'Mistral, whose message is an object',
    422,
    JSON.stringify({
      object: 'error',
      message: { detail: [{ loc: ['body', 'ignore_eos'], msg: 'forbidden' }] },
    }),
    ['ignore_eos'],
  ],
  [
    'OpenAI',
    400,
    error("Unsupported parameter: 'max_tokens', use 'max_completion_tokens'", 'max_tokens'),
    ['max_tokens'],
  ],
  [
    'OpenAI, by its param alone',
    400,
    error('Extra inputs are not permitted', 'temperature'),
    ['temperature'],
  ],
  [
    'a param that counts more than other words',
    400,
    error("'min_tokens' cannot be above 'max_tokens'", 'min_tokens'),
    ['min_tokens'],
  ],
  ['by a path', 400, error('unknown field stream_options.include_usage'), ['stream_options.include_usage']],
  ['by the key of the complaint', 400, '{"ignore_eos": ["Unknown field."]}', ['ignore_eos']],
  ['Gemini', 400, '[{"error": {"message": "Unknown name \\"stop\\": Cannot find field."}}]', ['stop']],
  ['a bad request without a word of refusal', 400, '{"message": "temperature must be 1"}', ['temperature']],
  ['the same with 422', 422, '{"message": "temperature must be 1"}', ['temperature']],
  [
    'a validator of the whole request',
    422,
    JSON.stringify({ detail: [{ loc: ['body'], msg: 'no ignore_eos here', input: { temperature: 0 } }] }),
    ['ignore_eos'],
  ],
  ['a text', 400, 'json: unknown field "min_tokens"\n', ['min_tokens']],
  ['a page', 502, '<html><p>min_tokens is not supported</p></html>', ['min_tokens']],
];

describe('the fields that a refusal names', () => {
  it.each(REFUSALS)('%s', (_server, status, body, named) => {
    expect(refusedPaths(status, body, PATHS).sort()).toEqual([...named].sort());
  });

  it.each([
    ['a word that only begins like one', 400, error('stopped: min_tokens_total and x-stop are odd')],
    [
      'a failure that says nothing of a refusal',
      500,
      error('worker died at temperature 0').replace('invalid_', ''),
    ],
    ['a success', 200, error('unsupported: ignore_eos')],
    ['what cannot be left out', 400, error('unknown model, unsupported messages', 'model')],
  ])('none in %s', (_name, status, body) => {
    expect(refusedPaths(status, body, PATHS)).toEqual([]);
  });
});
