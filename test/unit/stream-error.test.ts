import { describe, expect, it } from 'vitest';
import { emptyDelta } from '../../src/endpoints/dialect.ts';
import { openaiChat } from '../../src/endpoints/openai-chat.ts';

function read(event: unknown) {
  const delta = emptyDelta();
  openaiChat.read(JSON.stringify(event), delta);
  return delta;
}

const choices = [{ index: 0, delta: { content: 'x' } }];
/** Of a chunk without output. */
const silent = [{ index: 0, delta: {}, finish_reason: null }];
const usage = { prompt_tokens: 3, completion_tokens: 2 };

describe('an error in a stream', () => {
  it.each<[string, unknown]>([
    ['no capacity', { error: { message: 'no capacity', code: 500 } }],
    ['no capacity', { error: 'no capacity' }],
    ['no capacity', { error: true, message: 'no capacity' }],
    ['{"code":7}', { error: { code: 7 } }],
    ['no capacity', { object: 'error', message: 'no capacity', code: 40303 }],
    ['no capacity', { type: 'error', message: 'no capacity' }],
    ['no capacity', { type: 'error', error: { type: 'overloaded_error', message: 'no capacity' } }],
    ['no capacity', { type: 'invalid_request_error', message: 'no capacity' }],
    ['no capacity', { event: 'error', message: 'no capacity' }],
    ['no capacity', { code: 500, message: 'no capacity' }],
    ['no capacity', { code: '500', msg: 'no capacity' }],
    ['no capacity', { code: 'InvalidParameter', message: 'no capacity', request_id: 'r' }],
    ['no capacity', { status: 503, message: 'no capacity' }],
    ['no capacity', { status: 'error', message: 'no capacity' }],
    ['no capacity', { status: 'failed', message: 'no capacity' }],
    ['no capacity', { statusCode: 429, message: 'no capacity' }],
    ['no capacity', { error_code: 336_100, error_msg: 'no capacity' }],
    ['{"code":502}', { code: 502 }],
    ['no capacity', { code: 7, message: 'no capacity' }],
    ['no capacity', { code: 'no_capacity', message: 'no capacity' }],
    ['no capacity', { detail: 'no capacity' }],
    ['no capacity', { detail: [{ loc: ['body'], msg: 'no capacity', type: 'value' }] }],
    ['no capacity', { detail: { error: 'no capacity' } }],
    ['no capacity', { type: 'about:blank', title: 'no capacity', status: 500 }],
    ['no capacity', { errors: [{ message: 'no capacity' }] }],
    ['no capacity', { errors: ['no capacity'] }],
    ['no capacity', { success: false, message: 'no capacity' }],
    ['no capacity', { choices: null, base_resp: { status_code: 1004, status_msg: 'no capacity' } }],
    [
      'no capacity',
      { id: 'x', object: 'chat.completion.chunk', choices: [], code: 500, message: 'no capacity' },
    ],
    ['no capacity', { choices, error: { message: 'no capacity' } }],
    ['no capacity', { choices: silent, code: 500, message: 'no capacity' }],
    ['no capacity', { choices: silent, status: '503', detail: 'no capacity' }],
    ['no capacity', { choices: silent, errors: [{ message: 'no capacity' }] }],
    ['no capacity', { choices: silent, type: 'error', message: 'no capacity' }],
    ['no capacity', { choices: [{ index: 0, error: { message: 'no capacity' }, finish_reason: 'error' }] }],
    ['no capacity', [{ error: { message: 'no capacity', status: 'UNAVAILABLE' } }]],
  ])('is reported with its message: %s of %j', (message, event) => {
    expect(read(event)).toMatchObject({ error: message, text: '', other: null });
  });

  it.each<[unknown]>([
    [{ id: 'x', object: 'chat.completion.chunk', choices: [], usage }],
    [{ choices: [], usage, error: null }],
    [{ usage }],
    [{ usage: null }],
    [{ choices, error: { code: 0, message: '' } }],
    [{ choices: silent, error: { message: null, type: null }, errors: [null, {}] }],
    [{ choices: silent, code: 200, message: 'fine' }],
    [{ choices: silent, code: 399, message: 'fine' }],
    [{ choices: silent, code: 500 }],
    [{ choices: silent, detail: 'kept' }],
    [{ id: 'x', object: 'chat.completion.chunk' }],
    [{ id: 'x', model: 'm' }],
    [{ choices: [], prompt_filter_results: [{ prompt_index: 0, content_filter_results: {} }] }],
    [{ prompt_filter_results: [] }],
    [{ choices: [], usage, base_resp: { status_code: 0, status_msg: '' } }],
    [{ object: 'chat.completion.chunk', choices: null, code: 0, message: 'ok' }],
    [{ choices, error: '' }],
    [{ choices, error: {}, detail: 'kept', code: 500, message: 'kept', status: 'failed' }],
    [{ choices: [null] }],
    [{ object: 'chat.completion.chunk', choices: [], code: 200, message: 'success', status: 'processing' }],
  ])('is none in %j', (event) => {
    expect(read(event)).toMatchObject({ error: null, other: null });
  });

  it.each<[unknown, 'heartbeat' | 'unknown']>([
    [{ type: 'ping' }, 'heartbeat'],
    [{ type: 'queue', status: 'queued', message: 'third in the queue', detail: 'wait' }, 'heartbeat'],
    [{}, 'heartbeat'],
    [{ code: 0, message: 'success' }, 'unknown'],
    [{ message: 'something happened' }, 'unknown'],
    [{ id: 'x', message: 'something happened' }, 'unknown'],
    [{ status: 'queued' }, 'unknown'],
    [{ status: 'in line', message: 'third of five' }, 'unknown'],
    [{ code: 'processing', message: 'third of five' }, 'unknown'],
    [{ code: 7 }, 'unknown'],
    [{ success: true }, 'unknown'],
  ])('is none yet in %j, which is of another kind: %s', (event, other) => {
    expect(read(event)).toMatchObject({ error: null, other });
  });
});
