import type { Verb } from './verb.ts';

/** All verbs, in the order of the help. */
export const VERBS: Readonly<Record<string, Verb>> = {
  sweep: {
    usage: 'sweep',
    about: 'measure a shape at several concurrency levels',
    load: async () => (await import('./measure-verbs.ts')).addSweep,
  },
  run: {
    usage: 'run',
    about: 'measure one point',
    load: async () => (await import('./measure-verbs.ts')).addRun,
  },
  serving: {
    usage: 'serving',
    about: 'take the flags and give the output of sglang.bench_serving',
    load: async () => (await import('./serving/verb.ts')).addServing,
  },
  check: {
    usage: 'check',
    about: 'ask a server for its models and stream one request',
    load: async () => (await import('./check.ts')).addCheck,
  },
  prompts: {
    usage: 'prompts',
    about: 'print or save the prompts of a run, with their counts',
    load: async () => (await import('./prompts.ts')).addPrompts,
  },
  report: {
    usage: 'report <dir>',
    about: "show the results of a run again, or another tool's; export a run",
    load: async () => (await import('./report.ts')).addReport,
  },
  compare: {
    usage: 'compare <baseline> <candidate..>',
    about: 'tell by repeats what changed from one side to one or several others, with bounds',
    load: async () => (await import('./compare.ts')).addCompare,
  },
  ab: {
    usage: 'ab',
    about: 'measure two live servers in turn, A B B A, and tell what differs',
    load: async () => (await import('./ab.ts')).addAb,
  },
  capacity: {
    usage: 'capacity',
    about: 'find the highest concurrency or rate that meets limits of latencies',
    load: async () => (await import('./capacity.ts')).addCapacity,
  },
  gate: {
    usage: 'gate <run..>',
    about: 'pass or fail runs against a baseline, by a policy, for CI',
    load: async () => (await import('./gate/verb.ts')).addGate,
  },
  mock: {
    usage: 'mock',
    about: 'serve a simulated model with a known schedule',
    load: async () => (await import('./mock.ts')).addMock,
  },
  conformance: {
    usage: 'conformance',
    about: "score a client's numbers against a server with a known schedule",
    load: async () => (await import('./conformance/verb.ts')).addConformance,
  },
  stack: {
    usage: 'stack',
    about: 'launch, prove ready, watch and tear down the stack under test',
    load: async () => (await import('./stack/index.ts')).addStack,
  },
};
