import type { ServingFlag } from './flag.ts';

type Declared = Pick<ServingFlag, 'name' | 'type' | 'default' | 'choices' | 'nargs'>;
type Reason = Pick<ServingFlag, 'about' | 'instead'>;

const noted = (about: string, flags: readonly Declared[]): ServingFlag[] =>
  flags.map((flag) => ({ ...flag, standing: 'noted', about }));
const refused = (reason: Reason, flags: readonly Declared[]): ServingFlag[] =>
  flags.map((flag) => ({ ...flag, standing: 'refused', ...reason }));
const lacks = (dataset: string): Reason => ({ about: `bench has no ${dataset} dataset yet` });

/** Accepted, so that a script goes on as it is; each is told about when it is given. */
const NOTED_FLAGS: readonly ServingFlag[] = [
  ...noted('a chat server puts the template around each prompt itself', [
    { name: 'apply-chat-template', type: 'switch', default: false },
  ]),
  ...noted('the prompts are made in a second or so', [
    { name: 'gsp-fast-prepare', type: 'switch', default: false },
  ]),
  ...noted("it goes with sglang's profiling; a disaggregated stack is measured as any other", [
    { name: 'pd-separated', type: 'switch', default: false },
  ]),
  ...noted("it belongs to sglang's own route, and bench speaks OpenAI chat", [
    { name: 'return-logprob', type: 'switch', default: false },
    { name: 'top-logprobs-num', type: 'int', default: 0 },
    { name: 'token-ids-logprob', type: 'int', default: null, nargs: '+' },
    { name: 'logprob-start-len', type: 'int', default: -1 },
    { name: 'return-routed-experts', type: 'switch', default: false },
  ]),
  ...noted('bench has a client of its own', [
    { name: 'rust-client', type: 'switch', default: false },
    { name: 'rust-worker-threads', type: 'int', default: null },
  ]),
];

const REFUSED_FLAGS: readonly ServingFlag[] = [
  ...refused({ about: 'TTFT and ITL need a stream' }, [
    { name: 'disable-stream', type: 'switch', default: false },
  ]),
  ...refused({ about: 'the chat API takes text, not token ids' }, [
    { name: 'tokenize-prompt', type: 'switch', default: false },
  ]),
  ...refused(
    {
      about: 'all requests of a run go to one model',
      instead: "leave it out; an adapter's name can stand in --served-model-name",
    },
    [
      { name: 'lora-name', type: 'str', default: null, nargs: '*' },
      {
        name: 'lora-request-distribution',
        type: 'str',
        default: 'uniform',
        choices: ['uniform', 'distinct', 'skewed'],
      },
      { name: 'lora-zipf-alpha', type: 'float', default: 1.5 },
    ],
  ),
  ...refused(
    {
      about: 'a server that is profiled is not the server under test',
      instead: 'leave it out, and POST /start_profile and /stop_profile yourself',
    },
    [
      { name: 'profile', type: 'switch', default: false },
      {
        name: 'profile-activities',
        type: 'str',
        default: ['CPU', 'GPU'],
        nargs: '+',
        choices: ['CPU', 'GPU', 'CUDA_PROFILER', 'XPU', 'MEM'],
      },
      { name: 'profile-start-step', type: 'int', default: null },
      { name: 'profile-steps', type: 'int', default: null },
      { name: 'profile-num-steps', type: 'int', default: null },
      { name: 'profile-by-stage', type: 'switch', default: false },
      { name: 'profile-stages', type: 'str', default: null, nargs: '+' },
      { name: 'profile-output-dir', type: 'str', default: null },
      { name: 'profile-prefix', type: 'str', default: null },
      { name: 'profile-prefill-url', type: 'str', default: null, nargs: '*' },
      { name: 'profile-decode-url', type: 'str', default: null, nargs: '*' },
    ],
  ),
  ...refused(
    {
      about: 'a decode worker without its prefill has no TTFT to measure',
      instead: 'leave it out; the bootstrap fields can stand in --extra-request-body',
    },
    [{ name: 'fake-prefill', type: 'switch', default: false }],
  ),
  ...refused({ about: 'bench draws the group of each prompt, in no order of groups' }, [
    { name: 'gsp-ordered', type: 'switch', default: false },
  ]),
  ...refused({ about: 'bench serving sends no conversations' }, [
    { name: 'gsp-num-turns', type: 'int', default: 1 },
  ]),
  ...refused({ about: 'bench names no group to a router' }, [
    { name: 'gsp-send-routing-key', type: 'switch', default: false },
  ]),
  ...refused(
    {
      about: 'bench serving follows no trace',
      instead:
        'leave it out; bench run follows one: --dataset trace --arrival trace --dataset-path FILE --slowdown X',
    },
    [
      { name: 'use-trace-timestamps', type: 'switch', default: false },
      { name: 'mooncake-slowdown-factor', type: 'float', default: 1 },
      { name: 'mooncake-num-rounds', type: 'int', default: 1 },
      {
        name: 'mooncake-workload',
        type: 'str',
        default: 'conversation',
        choices: ['mooncake', 'conversation', 'synthetic', 'toolagent'],
      },
    ],
  ),
  ...refused(lacks('image'), [
    { name: 'image-count', type: 'int', default: 1 },
    { name: 'image-resolution', type: 'str', default: '1080p' },
    { name: 'image-format', type: 'str', default: 'jpeg' },
    { name: 'image-content', type: 'str', default: 'random' },
    { name: 'random-image-count', type: 'switch', default: false },
  ]),
  ...refused(lacks('agentic-trace'), [
    { name: 'dataset-offset', type: 'int', default: 0 },
    { name: 'agentic-max-turns', type: 'int', default: null },
  ]),
  ...refused(lacks('speed-bench'), [
    {
      name: 'speed-bench-category',
      type: 'str',
      default: null,
      choices: ['low_entropy', 'mixed', 'high_entropy'],
    },
    { name: 'speed-bench-output-len', type: 'int', default: 512 },
  ]),
];

/** Flags whose value is never read: they do nothing here, or are refused. */
export const UNUSED_FLAGS: readonly ServingFlag[] = [...NOTED_FLAGS, ...REFUSED_FLAGS];
