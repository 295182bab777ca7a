import { describe, expect, it } from 'vitest';
import { BenchError } from '../../src/core/errors.ts';
import { faultTokens, parseFault } from '../../src/mock/faults.ts';
import { MOCK_DEFAULTS, MOCK_FLAGS, parseMockOptions } from '../../src/mock/options.ts';

describe('parseMockOptions', () => {
  it('takes the defaults where nothing is given', () => {
    const options = parseMockOptions({});
    expect(options).toMatchObject({
      host: '127.0.0.1',
      port: 8000,
      model: 'mock',
      fault: null,
      eosMeanTokens: null,
      prefixCache: true,
    });
    expect(options.timing).toEqual({
      ttftMs: null,
      stepMs: 10,
      spread: false,
      stepPerStreamMs: 0.02,
      baseTtftMs: 20,
      prefillTokensPerS: 200_000,
      kvTokens: 2_000_000,
      jitterRatio: 0,
      tokensPerStep: [1],
      seed: 1,
    });
  });

  it('reads what is given and ignores other keys', () => {
    const options = parseMockOptions({
      _: ['mock'],
      ttft: '200ms',
      step: '0.5s',
      'kv-tokens': 0,
      'tokens-per-chunk': '1,2,3',
      refuse: 'ignore_eos, min_tokens',
      fault: 'reset-mid@7',
      'fault-rate': 0.25,
      usage: false,
      framing: 'split',
    });
    expect(options.timing).toMatchObject({
      ttftMs: 200,
      stepMs: 500,
      kvTokens: Number.POSITIVE_INFINITY,
      tokensPerStep: [1, 2, 3],
    });
    expect([...options.refuse]).toEqual(['ignore_eos', 'min_tokens']);
    expect(options).toMatchObject({
      fault: { kind: 'reset-mid', atTokens: 7 },
      faultRatio: 0.25,
      usage: false,
      framing: 'split',
    });
  });

  it('takes a single number of tokens per chunk as a number too', () => {
    expect(parseMockOptions({ 'tokens-per-chunk': 4 }).timing.tokensPerStep).toEqual([4]);
  });

  it.each([
    ['port', 70_000],
    ['port', 'http'],
    ['seed', -1],
    ['ttft', '200'],
    ['step', 'fast'],
    ['prefill-tokens-per-s', 0],
    ['kv-tokens', 1.5],
    ['jitter', -0.1],
    ['jitter', ''],
    ['tokens-per-chunk', '1,0'],
    ['tokens-per-chunk', ''],
    ['eos-mean', 0.5],
    ['reasoning', -3],
    ['text', 'klingon'],
    ['framing', 'lf'],
    ['refuse', 'temperature'],
    ['fault', 'explode'],
    ['fault', 'cut@-1'],
    ['fault-rate', 1.1],
    ['model', ' '],
    ['usage', 'maybe'],
  ])('refuses --%s %s with exit 2 and names the flag', (name, value) => {
    let thrown: unknown;
    try {
      parseMockOptions({ [name]: value });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(BenchError);
    expect((thrown as BenchError).exitCode).toBe(2);
    expect((thrown as BenchError).message).toContain(`--${name}`);
    expect((thrown as BenchError).hint).toBeTruthy();
  });
});

describe('MOCK_FLAGS', () => {
  it('has a text for each flag, each default once, of the type it says', () => {
    const names = MOCK_FLAGS.map((flag) => flag.name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of Object.keys(MOCK_DEFAULTS)) expect(names).toContain(name);
    for (const flag of MOCK_FLAGS) {
      expect(flag.about.length).toBeGreaterThan(10);
      if (flag.default !== undefined) expect(typeof flag.default).toBe(flag.type);
    }
  });
});

describe('faults', () => {
  it('reads a kind with or without its place', () => {
    expect(parseFault('cut')).toEqual({ kind: 'cut', atTokens: null });
    expect(parseFault(' stall@0 ')).toEqual({ kind: 'stall', atTokens: 0 });
    expect(parseFault('cut@')).toBeNull();
    expect(parseFault('cutting')).toBeNull();
  });

  it('strikes at half of the output, at least after one token and at most after all', () => {
    expect(faultTokens({ kind: 'cut', atTokens: null }, 10)).toBe(5);
    expect(faultTokens({ kind: 'cut', atTokens: null }, 1)).toBe(1);
    expect(faultTokens({ kind: 'cut', atTokens: 3 }, 10)).toBe(3);
    expect(faultTokens({ kind: 'cut', atTokens: 30 }, 10)).toBe(10);
  });
});
