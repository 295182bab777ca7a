import type { FailureClass } from './why.ts';

/**
 * How much a line tells. `cause` names what is wrong; `crash` shows that a program died, but not of what;
 * `symptom` is seen where something else has failed, and in healthy starts too.
 */
export type Strength = 'cause' | 'crash' | 'symptom';

/** What a line of a task's log means. */
export interface FailurePattern {
  readonly pattern: RegExp;
  readonly failureClass: FailureClass;
  readonly hint: string | null;
  readonly strength: Strength;
  /** `fail`: the stack is broken once this is seen. `warn`: it explains a failure that shows elsewhere. */
  readonly action: 'fail' | 'warn';
}

const cause = (failureClass: FailureClass, pattern: RegExp, hint: string): FailurePattern => ({
  pattern,
  failureClass,
  hint,
  strength: 'cause',
  action: 'fail',
});

const symptom = (
  failureClass: FailureClass,
  pattern: RegExp,
  hint: string | null = null,
): FailurePattern => ({ pattern, failureClass, hint, strength: 'symptom', action: 'warn' });

/**
 * Tried in this order on lines without rank label and colours. Bare `ERROR` is none of them, and neither is
 * anything that a healthy start prints.
 */
export const FAILURE_PATTERNS: readonly FailurePattern[] = [
  cause(
    'cuda-oom',
    /CUDA out of memory|torch(?:\.cuda)?\.OutOfMemoryError|cudaErrorMemoryAllocation|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY|Failed to allocate \d+ bytes|NCCL .*unhandled cuda error/i,
    'Lower free_gpu_memory_fraction (or the batch), or free what an earlier run left: nvidia-smi on the node, and /dev/shm/moe_*.',
  ),
  cause(
    'host-oom',
    /\bDetected \d+ oom[-_ ]kill|\boom[-_]kill(?:er|ed)?\b|Out of memory: Killed process|\bOUT_OF_ME(?:MORY)?\b|^MemoryError\b|OSError: .*Cannot allocate memory/,
    'The node ran out of memory: ask for --mem=0, or load fewer workers at a time on the node.',
  ),
  cause(
    'kv-transfer-deadlock',
    /num_fitting_reqs=0 and fitting_disagg_gen_init_requests is empty|may not have enough kvCache/,
    'cache_transceiver_config.max_tokens_in_buffer must hold the longest prompt (ISL).',
  ),
  cause(
    'driver',
    /The NVIDIA driver on your system is too old|CUDA driver version is insufficient|no kernel image is available for execution|Found no NVIDIA driver|system not yet initialized/i,
    'The image wants another driver than the node has: compare nvidia-smi with the CUDA of the image.',
  ),
  cause(
    'port-taken',
    /address already in use|already in use\. Use --http-port|Failed to bind server to address|\bEADDRINUSE\b|\[FTL\] Error listening on port/i,
    'Another process holds the port, of an earlier run perhaps: `ss -ltnp` on the node, or other ports.',
  ),
  cause(
    'missing-path',
    /ERROR: MODEL_PATH was not set|^Exception: (?:Model snapshots for|Failed to fetch model) |is not a local folder and is not a valid model identifier|unable to extract config\.json from directory|Repository Not Found for url|\bHFValidationError\b/,
    'The model path must be the path inside of the container, below one of the mounts; a name on the hub needs a network, or its files in the cache.',
  ),
  cause(
    'missing-path',
    /^FileNotFoundError: |bash: .+: No such file or directory$|can't open file .*No such file or directory/,
    'Is the path right inside of the container, and its folder in the mounts?',
  ),
  cause(
    'missing-path',
    /^cannot start .+\bENOENT$/,
    'The program is not in PATH, or not where the command says; or the working directory is missing.',
  ),
  cause(
    'not-executable',
    /bash: .+: Permission denied$|^PermissionError: |^cannot start .+\bEACCES$/,
    'The user of the job may not read or run it on this node.',
  ),
  cause(
    'missing-path',
    /bash: .*: command not found$|^ModuleNotFoundError: |python[\d.]*: (?:No module named |Error while finding module specification for )/,
    'The program is not in this image (or PATH): is it the right image?',
  ),
  cause(
    'engine-config',
    /ERROR: ENGINE_CONFIG was not set|^pydantic\S*ValidationError\b|\d+ validation errors? for \w+|^TypeError: .*unexpected keyword argument|^yaml\.\w+\.\w*Error\b|(?:^|\s)error: (?:unrecognized arguments|argument |the following arguments are required)|\bAssertionError: .*(?:tp_size|world_size|tensor_parallel|max_num_tokens|max_seq_len)|larger than the available KV cache|No available memory for the cache blocks|exceeds? .*max_seq_len|max_num_tokens .*(?:less than|smaller)/,
    'The engine refuses its configuration or its flags: compare them with the version in the image.',
  ),
  cause(
    'mpi',
    /\bMPI_INIT\b|\bMPI_Init\b.*(?:fail|abort)|PMIX? ERROR|\bNo MPI\b|MPI_ABORT was invoked|PMIx_Init failed|using MpiPoolSession to spawn MPI processes.*(?:error|fail)|OPAL ERROR/,
    'Workers with several ranks need --mpi pmix, of the version that the image knows: `srun --mpi=list`.',
  ),
  { pattern: /\bpanicked at\b/, failureClass: 'crash', hint: null, strength: 'crash', action: 'fail' },
  {
    pattern:
      /Fatal Python error|^Segmentation fault|Caught signal \d+ \(Segmentation fault|\(core dumped\)|terminate called (?:after|without)|\*\*\* Process received signal \*\*\*|double free or corruption/,
    failureClass: 'crash',
    hint: 'A crash of native code: the lines around it, and other versions of image and driver.',
    strength: 'crash',
    action: 'fail',
  },
  symptom(
    'engine-config',
    /Error adding model from discovery|Checksum for new worker does not match existing WorkerSet's checksum/,
    'Frontend and workers disagree on the model: the same model files, version and flags for all workers?',
  ),
  symptom(
    'network',
    /Unable to create lease|Failed to connect to etcd|Could not connect to (?:etcd|NATS)|nats.*no servers/i,
    'Can the node reach etcd and NATS at the addresses in ETCD_ENDPOINTS and NATS_SERVER? localhost is the head node only.',
  ),
  symptom(
    'network',
    /NIXL_ERR_\w+|\bUCX +(?:ERROR|FATAL)\b|ncclSystemError|ncclInternalError|\bNCCL (?:WARN|error)\b/,
    'Which interfaces do NCCL and UCX use (NCCL_SOCKET_IFNAME, UCX_NET_DEVICES)? Those of the nodes must reach each other.',
  ),
  {
    pattern:
      /\blease (?:has )?expired|Unable to maintain lease|lease .*(?:not found|lost|revoked)|keep.?alive .*fail/i,
    failureClass: 'lease-expired',
    hint: 'The worker did not renew its registration in etcd in time: was it stopped or starved of CPU, or did etcd not answer? See the load of its node, and the log of etcd.',
    strength: 'cause',
    action: 'warn',
  },
  symptom(
    'network',
    /Connection ?(?:refused|reset)|Broken ?pipe|remote process exited|socket closed|peer closed/i,
    'Another process was not there (any more): look for what ended first, and at the addresses used.',
  ),
  symptom(
    'kv-transfer-deadlock',
    /asyncio\.exceptions\.InvalidStateError/,
    'Seen where cache_transceiver_config.max_tokens_in_buffer is smaller than the longest prompt.',
  ),
  symptom(
    'cancelled',
    /^Terminated$|^Killed$|\bKeyboardInterrupt\b|\bSystemExit\b|\bCancelledError\b|Received (?:shutdown signal|SIGTERM)/,
  ),
  symptom('driver', /\bNVRM: Xid\b|\bXid \(PCI/),
];

/** What the line means; null when it means nothing. The first pattern that fits counts. */
export function matchFailure(text: string): FailurePattern | null {
  return FAILURE_PATTERNS.find(({ pattern }) => pattern.test(text)) ?? null;
}

/** What a crash means that no pattern of the table explains: a crash. */
export const PLAIN_CRASH: FailurePattern = {
  pattern: /^/,
  failureClass: 'crash',
  hint: null,
  strength: 'crash',
  action: 'fail',
};

/** What no engine goes on after, though its process may live. */
export const FATAL_ANY_TIME: readonly FailureClass[] = [
  'cuda-oom',
  'host-oom',
  'kv-transfer-deadlock',
  'driver',
  'mpi',
];
