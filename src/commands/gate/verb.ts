import type { AddVerb } from '../verb.ts';
import { runGate } from './gate.ts';
import { GATE_OPTIONS } from './options.ts';

/** Puts `bench gate` into the parser. */
export const addGate: AddVerb = (y, { usage, about, declare, set }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(
        inner.positional('run', {
          type: 'string',
          array: true,
          demandOption: true,
          describe: 'a run, or a folder of repeats (bench sweep --repeats 5)',
        }),
        GATE_OPTIONS,
      )
        .example('$0 gate results/main --update --baseline baseline.json', 'what later runs are held against')
        .example(
          '$0 gate results/change --baseline baseline.json --policy gate.yaml',
          'exit 1 when something became worse',
        )
        .example(
          '$0 gate results/nightly --update --add --baseline baseline.json',
          'one more run of the same software, made at another time',
        ),
    async (argv) => set(runGate({ ...argv, runs: (argv['run'] as string[]).map(String) })),
  );
