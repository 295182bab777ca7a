import { describe, expect, it } from 'vitest';
import { recordedAtRandom, simulate, UNCHANGED, WORSE } from '../bench/gate-simulation.ts';

/** The short form of `npm run bench:gate`. */
const GATES = 200;
/** Of 200 gates with a true rate of 5 %, more than 20 fail once in 900 times; with one of 90 %, fewer than 168 once in 200. */
const MOST_ALARMS = 20;
const LEAST_SHOWN = 168;

describe(`${GATES} gates of simulated runs`, () => {
  it.each(UNCHANGED)('raise no more false alarms than one in twenty: $name', (scenario) => {
    const { failed, gates } = simulate(scenario, GATES, 7);
    expect(gates).toBe(GATES);
    expect(failed).toBeLessThanOrEqual(MOST_ALARMS);
  });

  it.each(WORSE)('show nine of ten changes: $name', (scenario) => {
    expect(simulate(scenario, GATES, 7).failed).toBeGreaterThanOrEqual(LEAST_SHOWN);
  });
});

describe(`${GATES} gates of recorded runs`, () => {
  it('raise few false alarms, and show a change', () => {
    expect(recordedAtRandom(GATES, 7).failed).toBeLessThanOrEqual(MOST_ALARMS);
    expect(recordedAtRandom(GATES, 7, { 'ttftMs.p50': 1.2 }).failed).toBeGreaterThanOrEqual(LEAST_SHOWN);
  });
});
