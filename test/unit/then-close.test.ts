import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { thenClose } from '../../src/commands/then-close.ts';
import { BenchError, EXIT, type ExitCode, usageError } from '../../src/core/errors.ts';

const LEFT = new BenchError(EXIT.launch, 'still there: process 5', 'try again');
const fails = async (): Promise<never> => {
  throw LEFT;
};
const ends = (code: ExitCode) => async (): Promise<ExitCode> => code;

describe('what is closed behind a run', () => {
  let told = '';
  beforeEach(() => {
    told = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      told += String(text);
      return true;
    });
  });
  afterEach(() => vi.restoreAllMocks());

  it('decides a run that ended well', async () => {
    await expect(thenClose(ends(EXIT.ok), fails)).rejects.toBe(LEFT);
    expect(told).toBe('');
    expect(await thenClose(ends(EXIT.ok), async () => undefined)).toBe(EXIT.ok);
  });

  it('is told beside a run that was stopped or failed, whose code stands', async () => {
    for (const code of [EXIT.interrupted, EXIT.verdict, EXIT.launch]) {
      told = '';
      expect(await thenClose(ends(code), fails)).toBe(code);
      expect(told).toBe('bench: still there: process 5\n  try again\n');
    }
  });

  it('is told beside an error, which stands, and is done in any case', async () => {
    const wrong = usageError('--load-on: nosuch is no node', 'say head');
    const work = async (): Promise<never> => {
      throw wrong;
    };
    await expect(thenClose(work, fails)).rejects.toBe(wrong);
    expect(told).toContain('still there: process 5');
    const close = vi.fn(async () => undefined);
    await expect(thenClose(work, close)).rejects.toBe(wrong);
    expect(close).toHaveBeenCalledOnce();
  });
});
