import { describe, expect, it } from 'vitest';
import {
  grossAlarms,
  historyGrossAlarms,
  recordedAtRandom,
  simulate,
  UNCHANGED,
  WORSE,
} from '../bench/gate-simulation.ts';

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

it(`calls no change gross in ${GATES} gates where nothing changed, and few where runs differ by as much as they please`, () => {
  expect(grossAlarms(0.1, GATES, 7)).toBe(0);
  const wild = grossAlarms(5, GATES, 7);
  // Of two metrics, each one time in 20.
  expect(wild).toBeGreaterThan(0);
  expect(wild).toBeLessThanOrEqual(2 * MOST_ALARMS);
});

it('calls one run grossly worse than three days where nothing changed about once in 1,000 times where days differ by 20 %', () => {
  const draws = 50_000;
  expect(historyGrossAlarms(3, 0.1, draws, 7)).toBe(0);
  const alarms = historyGrossAlarms(3, 0.2, draws, 7);
  expect(alarms).toBeGreaterThan(0);
  // Of a true rate of 1 in 1,000, more than 75 come once in 2,000 times.
  expect(alarms).toBeLessThanOrEqual(75);
  // By their rank alone a quarter, by the gap at most one in 20; 5 % of 50,000 is uncertain by 50.
  expect(historyGrossAlarms(3, 5, draws, 7)).toBeLessThanOrEqual(draws / 20 + 100);
});

describe(`${GATES} gates of recorded runs`, () => {
  it('raise few false alarms, and show a change', () => {
    expect(recordedAtRandom(GATES, 7).failed).toBeLessThanOrEqual(MOST_ALARMS);
    expect(recordedAtRandom(GATES, 7, { 'ttftMs.p50': 1.2 }).failed).toBeGreaterThanOrEqual(LEAST_SHOWN);
  });

  it('of three runs a side raise few false alarms, and show a gross change', () => {
    expect(recordedAtRandom(GATES, 7, {}, 3).failed).toBeLessThanOrEqual(MOST_ALARMS);
    expect(recordedAtRandom(GATES, 7, { 'tpotMs.p50': 2.5 }, 3).failed).toBeGreaterThanOrEqual(LEAST_SHOWN);
  });
});
