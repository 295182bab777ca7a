import { describe, expect, it } from 'vitest';
import { LearntEdits, omitWarnings, refusalWarnings } from '../../src/commands/body-edits.ts';

const SENT = {
  model: 'm',
  messages: [],
  stream: true,
  max_tokens: 3,
  temperature: 0,
  stream_options: { include_usage: true, continuous_usage_stats: true },
  ignore_eos: true,
};
const ENGINE = new Set(['ignore_eos', 'min_tokens', 'continuous_usage_stats'] as const);
const says = (message: string, status = 400) => ({ status, body: JSON.stringify({ message }) });
const without = (...names: string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(SENT).filter(([name]) => !names.includes(name)));

describe('what a connection learns of its bodies', () => {
  it('is to leave out all that is named, beside what the user leaves out', () => {
    const edits = new LearntEdits(['stop']);
    expect(edits.learn(says('unknown: ignore_eos, temperature'), SENT, ENGINE, {})).toBe(true);
    expect([...edits.omitted]).toEqual(['stop', 'temperature', 'ignore_eos']);
    expect(edits.refused).toEqual(['temperature', 'ignore_eos']);
    expect(edits.capField).toBe('max_tokens');
  });

  it('is the other name of the limit, last of all and once', () => {
    const edits = new LearntEdits();
    expect(edits.learn(says('unknown: max_tokens, temperature'), SENT, ENGINE, {})).toBe(true);
    expect(edits.capField).toBe('max_tokens');
    expect(edits.learn(says('unknown: max_tokens'), without('temperature'), ENGINE, {})).toBe(true);
    expect(edits.snapshot()).toEqual({
      omitted: new Set(['temperature']),
      capField: 'max_completion_tokens',
    });
    expect(edits.refused).toEqual(['temperature', 'max_tokens']);
    const renamed = { ...without('max_tokens', 'temperature'), max_completion_tokens: 3 };
    expect(edits.learn(says('unknown: max_completion_tokens, use max_tokens'), renamed, ENGINE, {})).toBe(
      false,
    );
    expect(edits.refused).toEqual(['temperature', 'max_tokens']);
  });

  it('is to leave out what engines added where a bad request is all that is said', () => {
    for (const status of [400, 422]) {
      const edits = new LearntEdits();
      expect(edits.learn(says('bad request', status), SENT, ENGINE, {})).toBe(true);
      expect([...edits.omitted]).toEqual(['stream_options.continuous_usage_stats', 'ignore_eos']);
      expect(edits.refused).toEqual(['continuous_usage_stats', 'ignore_eos']);
    }
    expect(new LearntEdits().learn(says('bad request'), SENT, new Set(), {})).toBe(false);
    expect(new LearntEdits().learn(says('broken', 500), SENT, ENGINE, {})).toBe(false);
  });

  it('is never to leave out what the user gave, but to rename it', () => {
    const gave = { temperature: 0, stream_options: { include_usage: true }, max_tokens: 3 };
    const edits = new LearntEdits();
    expect(edits.learn(says('unknown: temperature, include_usage'), SENT, ENGINE, gave)).toBe(false);
    expect(edits.learn(says('unknown: temperature, ignore_eos'), SENT, ENGINE, gave)).toBe(true);
    expect([...edits.omitted]).toEqual(['ignore_eos']);
    expect(edits.learn(says('unknown: max_tokens'), SENT, ENGINE, gave)).toBe(true);
    expect(edits.capField).toBe('max_completion_tokens');
  });

  it('is kept from what comes later, and taken over by another process', () => {
    const edits = new LearntEdits(['a']);
    const before = edits.snapshot();
    edits.adopt(['b'], 'max_completion_tokens');
    expect(edits.snapshot()).toEqual({ omitted: new Set(['a', 'b']), capField: 'max_completion_tokens' });
    expect(before).toEqual({ omitted: new Set(['a']), capField: 'max_tokens' });
  });
});

describe('the warnings about bodies', () => {
  it('say what follows from what the server refused', () => {
    const refused = ['min_tokens', 'max_tokens', 'stream_options', 'temperature', 'seed', 'ignore_eos'];
    expect(refusalWarnings([...refused, 'continuous_usage_stats'])).toEqual([
      'the server refused min_tokens, ignore_eos: output lengths may fall short of what was requested',
      'the server refused max_tokens: it is sent as max_completion_tokens',
      'the server refused stream_options: no usage is requested, and where none comes the tokenizer counts lengths',
      'the server refused temperature, seed: left out',
      'the server refused continuous_usage_stats: the tokenizer counts the tokens of each chunk',
    ]);
    expect(refusalWarnings([])).toEqual([]);
  });

  it('say which omitted field no request has, and that no length is requested', () => {
    expect(omitWarnings(['temperature', 'stream_options.include_usage', 'model'], SENT)).toEqual([]);
    expect(omitWarnings(['top_p', 'stream_options.x'], SENT)).toEqual([
      '--omit: no request has top_p, stream_options.x anyway',
    ]);
    const uncapped =
      '--omit max_tokens: no output length is requested, so outputs end where the server ends them';
    expect(omitWarnings(['max_tokens'], SENT)).toEqual([uncapped]);
    expect(omitWarnings(['max_tokens'], { ...SENT, max_completion_tokens: 3 })).toEqual([]);
  });
});
