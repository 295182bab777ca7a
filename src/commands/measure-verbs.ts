import type { Options } from 'yargs';
import {
  LOAD_OPTIONS,
  OUTPUT_OPTIONS,
  PROMPT_OPTIONS,
  RUN_OPTIONS,
  SPREAD_OPTIONS,
  STACK_OPTIONS,
  SWEEP_OPTIONS,
} from './options.ts';
import { runMeasure } from './sweep.ts';
import { TARGET_OPTIONS } from './target-options.ts';
import type { AddVerb } from './verb.ts';

/** The options of both in the order of their help, with the verb's own among them. */
const measureOptions = <T extends Record<string, Options>>(own: T) => ({
  ...TARGET_OPTIONS,
  ...PROMPT_OPTIONS,
  ...LOAD_OPTIONS,
  ...SPREAD_OPTIONS,
  ...own,
  ...OUTPUT_OPTIONS,
  ...STACK_OPTIONS,
});

/** Puts `bench sweep` into the parser. */
export const addSweep: AddVerb = (y, { usage, about, declare, set, argv: words }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(inner, measureOptions(SWEEP_OPTIONS))
        .example('$0 sweep --isl 4000 --osl 1000', 'levels 1, 2, 4 … 128 against http://localhost:8000')
        .example(
          '$0 sweep --isl 4000 --osl 1000 --tokenizer /models/r1 --concurrency 1,8,64 --gpus 8',
          "with the model's tokenizer",
        )
        .example(
          '$0 sweep --shape 1000x1000,8000x1000 --url http://head:8000 --tag stack=1p1d',
          'two shapes, tagged',
        )
        .example(
          '$0 sweep --isl 4000 --osl 1000 --stack datasets/stacks/dsr1-fp4-gb200-1p1d.yaml',
          'launch the stack on SLURM, measure it, tear it down',
        )
        .example(
          '$0 sweep --isl 4000 --osl 1000 --repeats 5 --out results/before',
          'five times, for bench compare and bench gate',
        )
        .example('$0 sweep --mock --isl 1000 --osl 100 --pause 0s', 'without any server'),
    async (argv) => set(await runMeasure(argv, 'sweep', words)),
  );

/** Puts `bench run` into the parser. */
export const addRun: AddVerb = (y, { usage, about, declare, set, argv: words }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(inner, measureOptions(RUN_OPTIONS))
        .example('$0 run --isl 1000 --osl 200 --concurrency 16 --requests 200', '200 requests, 16 at a time')
        .example('$0 run --isl 1000 --osl 200 --concurrency 16 --duration 2m', 'for two minutes'),
    async (argv) => {
      const ofSweep = { 'requests-per-concurrency': 4, repeats: 1, skip: 0, pause: '0s', resume: undefined };
      set(await runMeasure({ ...argv, ...ofSweep }, 'run', words));
    },
  );
