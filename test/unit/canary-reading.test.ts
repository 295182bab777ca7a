import { describe, expect, it } from 'vitest';
import { CanaryReading } from '../../src/commands/canary-reading.ts';
import type { RequestRecord } from '../../src/core/record.ts';
import { makeRecord } from '../fixtures/records.ts';

/** Of 30 tokens: the number of chunks with text, of which one was read in full, and the data of those without. */
function warningOf(chunks: number, silent: readonly string[] = [], tokens = 30): string | null {
  const reading = new CanaryReading();
  for (const data of silent) reading.noteChunk(data, '');
  if (chunks > 0) reading.noteChunk('{"read":1}', 'text');
  return reading.warning(recordOf(chunks, { asked: 30, counted: tokens, by: 'usage' }));
}

function recordOf(chunks: number, osl: RequestRecord['osl']): RequestRecord {
  return makeRecord({ gapsMs: Array<number>(chunks).fill(10), osl });
}

const ROLE = '{"role":1}';
const unread = (count: number): string[] => [ROLE, ...Array<string>(count - 1).fill('{"thought":" word"}')];

describe('what was read of a test request', () => {
  it('is no matter where each token has its chunk, or some have one together', () => {
    for (const chunks of [4, 5, 15, 16, 29, 30]) expect(warningOf(chunks, [ROLE, '{}'])).toBeNull();
    expect(warningOf(16, unread(30))).toBeNull();
    expect(warningOf(15, unread(7))).toBeNull();
    expect(warningOf(1, [], 7)).toBeNull();
  });

  it('is a warning with the chunk where no text was seen', () => {
    expect(warningOf(0, unread(30))).toBe(
      'the test request\'s 30 output tokens showed no text, so nothing can be timed: no text was found in 30 chunks such as {"thought":" word"}',
    );
  });

  it('is a warning with the chunk where half of the tokens may be in chunks without text', () => {
    const text =
      'the test request\'s 30 output tokens showed text in 15 chunks; no text was found in 8 chunks such as {"thought":" word"}';
    expect(warningOf(15, unread(8))).toBe(text);
    expect(warningOf(14, unread(7), 28)).toContain('showed text in 14 chunks');
    expect(warningOf(8, unread(22))).toContain('showed text in 8 chunks; no text was found in 22 chunks');
  });

  it('is a warning with the chunk where there are far fewer than tokens', () => {
    expect(warningOf(3)).toBe('the test request\'s 30 output tokens came in 3 chunks such as {"read":1}');
    expect(warningOf(1, [], 8)).toContain('8 output tokens came in 1 chunks');
  });

  it('is not judged where the server does not count', () => {
    const reading = new CanaryReading();
    reading.noteChunk(ROLE, '');
    expect(reading.warning(recordOf(1, { asked: 30, counted: null, by: 'none' }))).toBeNull();
    expect(reading.warning(recordOf(1, { asked: 30, counted: 30, by: 'tokenizer' }))).toBeNull();
  });

  it('is shown in part where a chunk is long', () => {
    const warning = warningOf(0, [`{"x":"${'y'.repeat(500)}"}`])!;
    expect(warning).toContain('{"x":"yyy');
    expect(warning.endsWith('…')).toBe(true);
    expect(warning.length).toBeLessThan(400);
  });
});
