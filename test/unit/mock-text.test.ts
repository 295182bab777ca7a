import { describe, expect, it } from 'vitest';
import { PrefixCache } from '../../src/mock/prefix-cache.ts';
import { eosLength, OutputText } from '../../src/mock/text.ts';

describe('PrefixCache', () => {
  const a = 'a'.repeat(64);
  const b = 'b'.repeat(64);

  it('knows the shared start of a prompt, in whole blocks', () => {
    const cache = new PrefixCache();
    expect(cache.visit(`${a}${a}tail`)).toBe(0);
    expect(cache.visit(`${a}${a}other`)).toBe(128);
    expect(cache.visit(a + b)).toBe(64);
    expect(cache.visit(b + a)).toBe(0);
    expect(cache.visit(`x${a}${a}`)).toBe(0);
  });

  it('does not take a block for known because it was seen at another place', () => {
    const cache = new PrefixCache();
    cache.visit(a + b);
    expect(cache.visit(b)).toBe(0);
  });

  it('says nothing of prompts shorter than a block', () => {
    const cache = new PrefixCache();
    cache.visit('short');
    expect(cache.visit('short')).toBe(0);
  });

  it('forgets what was unused longest when it is full', () => {
    const cache = new PrefixCache(2);
    cache.visit(a);
    cache.visit(b);
    expect(cache.visit(a)).toBe(64);
    cache.visit('c'.repeat(64));
    expect(cache.visit(a)).toBe(64);
    expect(cache.visit(b)).toBe(0);
  });
});

describe('OutputText', () => {
  it('gives one word per token, the same in one piece or in several', () => {
    const text = new OutputText('words', ['one', 'two', 'three', 'four']);
    const whole = text.plain(2, 0, 50);
    expect(whole.trim().split(' ')).toHaveLength(50);
    expect(text.plain(2, 0, 17) + text.plain(2, 17, 50)).toBe(whole);
    expect(text.isAscii).toBe(true);
  });

  it('escapes for JSON', () => {
    const text = new OutputText('words', ['say"', 'back\\']);
    expect(JSON.parse(`"${text.escaped(0, 0, 4)}"`)).toBe(text.plain(0, 0, 4));
  });

  it('has multibyte words of two, three and four bytes', () => {
    const text = new OutputText('unicode', ['plain']);
    const all = text.plain(0, 0, 16);
    expect(all).toContain('é');
    expect(all).toContain('世');
    expect(all).toContain('🙂');
    expect(text.isAscii).toBe(false);
  });
});

describe('eosLength', () => {
  it('is geometric with the mean asked for', () => {
    const lengths = Array.from({ length: 20_000 }, (_, i) => eosLength(50, 1, i));
    const mean = lengths.reduce((total, length) => total + length, 0) / lengths.length;
    // Standard deviation of the geometric distribution is about its mean: five standard errors are 1.8.
    expect(Math.abs(mean - 50)).toBeLessThan(1.8);
    expect(Math.min(...lengths)).toBe(1);
    // P(length > 50) = (1 - 1/50)^50 = 0.364.
    const longer = lengths.filter((length) => length > 50).length / lengths.length;
    expect(Math.abs(longer - 0.364)).toBeLessThan(0.017);
  });

  it('repeats with its seed', () => {
    expect(eosLength(50, 1, 'prompt')).toBe(eosLength(50, 1, 'prompt'));
    expect(eosLength(1, 1, 'prompt')).toBe(1);
  });
});
