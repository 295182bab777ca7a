import { describe, expect, it } from 'vitest';
import { finishOf } from '../../src/core/finish-reason.ts';

describe('a finish reason', () => {
  it.each([
    ['complete', ['stop', 'length', 'tool_calls', 'function_call', 'eos_token', 'stop_sequence', 'eos']],
    ['complete', ['end_turn', 'max_tokens', 'tool_use', 'model_length', 'COMPLETE', 'MAX_TOKENS', 'STOP']],
    ['aborted', ['abort', 'error', 'cancelled', 'timeout', 'error: worker 3 is gone', 'abort: no KV blocks']],
    ['aborted', ['insufficient_system_resource', 'network_error', 'USER_CANCEL', 'ERROR_LIMIT', 'canceled']],
    ['aborted', ['FinishError', 'timed-out', 'request_aborted', 'shutdown', 'preempted', 'server error']],
    ['filtered', ['content_filter', 'content-filter', 'SAFETY', 'sensitive', 'ERROR_TOXIC', 'refusal']],
    ['filtered', ['RECITATION', 'guardrail_intervened', 'PROHIBITED_CONTENT', 'blacklist']],
    ['unknown', ['repetition', 'model_context_window_exceeded', 'because', 'stopped?', '', 'terror', '42']],
  ])('is %s: %j', (finish, reasons) => {
    expect(reasons.map(finishOf)).toEqual(reasons.map(() => finish));
  });

  it('is read by its name, not by the message behind it', () => {
    expect(finishOf('error: blocked by a filter')).toBe('aborted');
    expect(finishOf('stop: no error')).toBe('complete');
  });
});
