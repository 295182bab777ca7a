import type { InferredOptionTypes, Options } from 'yargs';

export const GATE_OPTIONS = {
  baseline: {
    type: 'string',
    demandOption: true,
    describe: 'file that the runs are held against, or that --update makes; a folder of runs will do',
  },
  policy: {
    type: 'string',
    describe: 'gate.yaml: what may change by how much [default: four metrics, 2 % each, all of them valid]',
  },
  anchor: {
    type: 'string',
    describe: 'a second baseline that stays as it is, so that small losses cannot add up unseen',
  },
  update: { type: 'boolean', default: false, describe: 'make the baseline of these runs; nothing is judged' },
  add: {
    type: 'boolean',
    default: false,
    describe:
      'with --update: keep the runs that the baseline has; three made at different times let single runs be judged',
  },
  'fail-inconclusive': {
    type: 'boolean',
    default: false,
    describe: 'exit 6 when the runs do not tell',
  },
  format: {
    choices: ['table', 'markdown', 'json'],
    default: 'table',
    describe: 'what to print on stdout',
  },
  summary: {
    type: 'string',
    describe: 'file that the Markdown is appended to [default: GITHUB_STEP_SUMMARY]',
  },
  junit: { type: 'string', describe: 'file for JUnit XML' },
  annotations: {
    choices: ['auto', 'always', 'never'],
    default: 'auto',
    describe: 'print annotations of GitHub Actions; auto: where that runs',
  },
} as const satisfies Record<string, Options>;

export type GateArgs = InferredOptionTypes<typeof GATE_OPTIONS> & { readonly runs: readonly string[] };
