import { describe, expect, it } from 'vitest';
import { formatDuration, parseDurationMs } from '../../src/core/units.ts';

describe('durations', () => {
  it.each([
    [0, '0 ms'],
    [850.4, '850 ms'],
    [12_345, '12.3 s'],
    [60_000, '1 m 00 s'],
    [245_000, '4 m 05 s'],
    [3_599_000, '59 m 59 s'],
    [3_599_600, '1 h 00 m'],
    [3_720_000, '1 h 02 m'],
    [7_199_900, '2 h 00 m'],
    [90_000_000, '25 h 00 m'],
  ])('of %d ms are told as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  it.each([
    ['500ms', 500],
    ['1.5m', 90_000],
    ['2min', 120_000],
    ['1h', 3_600_000],
    ['0', 0],
    ['596h', 2_145_600_000],
  ])('are read from %s', (text, ms) => {
    expect(parseDurationMs(text, '--pause')).toBe(ms);
  });

  it.each(['596.1h', '2145600001ms', '1000h'])('are refused where no timer is so long: %s', (text) => {
    expect(() => parseDurationMs(text, '--grace')).toThrow(`--grace: "${text}" is longer than 596h`);
  });

  it.each(['5', '-1s', '1 day', '', '1e3ms'])('are not read from "%s"', (text) => {
    expect(() => parseDurationMs(text, '--pause')).toThrow(`--pause: "${text}" is not a duration`);
  });
});
