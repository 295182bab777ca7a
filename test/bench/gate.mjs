// How often a gate is wrong, and how often it is right: simulated runs and recorded ones.
//   npm run bench:gate            2,000 gates of each kind
//   npm run bench:gate -- 500     so many
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const gates = Number(process.argv[2] ?? 2_000);
const here = import.meta.dirname;
const folder = mkdtempSync(path.join(os.tmpdir(), 'bench-gate-'));
const outfile = path.join(folder, 'simulation.mjs');
try {
  await build({
    entryPoints: [path.join(here, 'gate-simulation.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    define: { 'import.meta.dirname': JSON.stringify(here) },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
  const simulation = await import(pathToFileURL(outfile).href);
  const {
    BEYOND,
    grossAlarms,
    historyGrossAlarms,
    RECORDING,
    recordedAtRandom,
    recordedInOrder,
    simulate,
    UNCHANGED,
    WORSE,
  } = simulation;
  const percent = (count, { gates }) => `${((100 * count) / gates).toFixed(1)} %`;
  const row = (name, outcome) => {
    const { gates, failed, passed, inconclusive } = outcome;
    console.log(
      `| ${name} | ${gates.toLocaleString('en')} | ${percent(failed, outcome)} | ${percent(passed, outcome)} | ${percent(inconclusive, outcome)} |`,
    );
    return failed / gates;
  };
  const table = (title) =>
    console.log(`\n| ${title} | gates | fail | pass | inconclusive |\n|---|--:|--:|--:|--:|`);

  table('nothing became worse: a failure is a false alarm');
  const alarms = UNCHANGED.map((scenario) => row(scenario.name, simulate(scenario, gates, 1)));
  alarms.push(row('recorded runs, at random', recordedAtRandom(gates, 1)));
  alarms.push(row('recorded runs in their order, A B B A', recordedInOrder('abba')));
  alarms.push(row('recorded runs in their order, baseline first', recordedInOrder('apart')));
  alarms.push(row('recorded runs, three a side, at random', recordedAtRandom(gates, 1, {}, 3)));
  alarms.push(row('recorded runs in their order, three a side, baseline first', recordedInOrder('apart', 3)));
  for (const scenario of BEYOND) row(`not counted: ${scenario.name}`, simulate(scenario, gates, 1));

  table('something became worse: a failure is right');
  const powers = WORSE.map((scenario) => row(scenario.name, simulate(scenario, gates, 1)));
  const gross = { 'tpotMs.p50': 2.5 };
  powers.push(row('recorded runs, three a side: TPOT +150 %', recordedAtRandom(gates, 1, gross, 3)));
  // Of runs that spread by 3 to 9 %, on which the aim is silent.
  row('not counted: recorded runs, TTFT +10 %', recordedAtRandom(gates, 1, { 'ttftMs.p50': 1.1 }));
  row('not counted: recorded runs, TTFT +20 %', recordedAtRandom(gates, 1, { 'ttftMs.p50': 1.2 }));

  console.log('\nthree runs a side and nothing became worse: gates in which a change was called gross');
  for (const variation of [0.1, 0.2, 0.3, 1])
    console.log(
      `  run CV ${100 * variation} %: ${grossAlarms(variation, gates, 1)} of ${gates.toLocaleString('en')}`,
    );

  const draws = 1_000_000;
  for (const days of [3, 5]) {
    console.log(`\none run against ${days} days and nothing changed: values that were called grossly worse`);
    for (const variation of [0.1, 0.2, 0.3, 5])
      console.log(
        `  day CV ${100 * variation} %: ${historyGrossAlarms(days, variation, draws, 1).toLocaleString('en')} of ${draws.toLocaleString('en')}`,
      );
  }

  console.log(`\nrecorded: ${RECORDING.about}`);
  console.log(
    `worst false-alarm rate ${(100 * Math.max(...alarms)).toFixed(1)} % (aim: at most 5 %; 2,000 gates tell it to 1 %)`,
  );
  console.log(`worst power ${(100 * Math.min(...powers)).toFixed(1)} % (aim: at least 90 %)`);
  if (Math.max(...alarms) > 0.05 || Math.min(...powers) < 0.9) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
