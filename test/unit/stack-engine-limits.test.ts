import { describe, expect, it } from 'vitest';
import { hostPathOf } from '../../src/stack/file/container-path.ts';
import { checkEngine, type EngineService, type LoadShape } from '../../src/stack/preflight/engine-limits.ts';

const prefill: EngineService = { name: 'prefill', role: 'prefill', replicas: 1, ranks: 4, command: [] };
const decode: EngineService = { name: 'decode', role: 'decode', replicas: 1, ranks: 4, command: [] };
const shape = (isl: number, osl: number, concurrency: number): LoadShape => ({ isl, osl, concurrency });

/** The settings of a deployment of DeepSeek-R1 FP4 with MTP on two nodes of four GPUs. */
const PREFILL = `
backend: pytorch
tensor_parallel_size: 4
moe_expert_parallel_size: 4
enable_attention_dp: true
max_batch_size: 1
max_num_tokens: 8192
max_seq_len: 8192
kv_cache_config: {free_gpu_memory_fraction: 0.75}
disable_overlap_scheduler: true
speculative_config: {decoding_type: MTP, num_nextn_predict_layers: 1}
cache_transceiver_config: {backend: DEFAULT}
`;
const DECODE = `
backend: pytorch
tensor_parallel_size: 4
enable_attention_dp: false
max_batch_size: 256
max_num_tokens: 512
max_seq_len: 8704
cuda_graph_config: {enable_padding: true, batch_sizes: [1, 2, 4, 8, 16, 32, 64, 128, 256]}
speculative_config: {decoding_type: MTP, num_nextn_predict_layers: 1}
`;

const told = (service: EngineService, yaml: string | null, shapes: readonly LoadShape[]): string[] =>
  checkEngine(service, yaml, shapes).map(({ level, what, value }) => `${level} ${what}: ${value}`);
const wrong = (...of: Parameters<typeof told>): string[] =>
  told(...of).filter((line) => !line.startsWith('ok'));

describe('the limits of an engine', () => {
  it('allow what the deployment was made for', () => {
    expect(told(prefill, PREFILL, [shape(4000, 1000, 128)])).toEqual([
      'ok prefill: parallelism: TP 4 × PP 1 = 4, ranks 4',
      'ok prefill: sequence length: ISL + 1 4001, at most 8192',
      'ok prefill: prompt length: ISL 4000, max_num_tokens 8192',
    ]);
    expect(told(decode, DECODE, [shape(4000, 1000, 128)])).toEqual([
      'ok decode: parallelism: TP 4 × PP 1 = 4, ranks 4',
      'ok decode: sequence length: ISL + OSL 5000, at most 8704',
      'ok decode: concurrency: 128 at once, at most 256 (256 a batch)',
      'ok decode: MTP: max_num_tokens 512, needed 512 (batch 256 × 2)',
    ]);
  });

  it('want as many ranks as TP × PP', () => {
    const two = { ...decode, ranks: 8 };
    expect(wrong(two, DECODE, [])).toEqual(['error decode: parallelism: TP 4 × PP 1 = 4, ranks 8']);
    expect(wrong(two, `${DECODE}pipeline_parallel_size: 2\n`, [])).toEqual([]);
    expect(told({ ...two, ranks: null }, DECODE, []).join()).not.toContain('parallelism');
  });

  it('hold the longest request, with its answer where it is decoded', () => {
    const shapes = [shape(1000, 100, 1), shape(8000, 1000, 1)];
    expect(wrong(decode, DECODE, shapes)).toEqual([
      'error decode: sequence length: ISL + OSL 9000, at most 8704',
    ]);
    expect(wrong(prefill, PREFILL, shapes)).toEqual([]);
    expect(wrong(prefill, PREFILL, [shape(8192, 1, 1)])).toEqual([
      'error prefill: sequence length: ISL + 1 8193, at most 8192',
    ]);
  });

  it('hold a prompt in one batch unless it is chunked', () => {
    const small = PREFILL.replace('max_num_tokens: 8192', 'max_num_tokens: 2048');
    expect(wrong(prefill, small, [shape(4000, 10, 1)])).toEqual([
      'error prefill: prompt length: ISL 4000, max_num_tokens 2048',
    ]);
    expect(wrong(prefill, `${small}enable_chunked_prefill: true\n`, [shape(4000, 10, 1)])).toEqual([]);
    // Decode gets prompts as cache, not as tokens.
    expect(wrong(decode, DECODE, [shape(4000, 10, 1)])).toEqual([]);
  });

  it('hold a prompt in the transfer buffer', () => {
    const buffer = DECODE.concat('cache_transceiver_config: {max_tokens_in_buffer: 2048}\n');
    expect(wrong(decode, buffer, [shape(4000, 10, 1)])).toEqual([
      'error decode: cache transfer: ISL 4000, max_tokens_in_buffer 2048',
    ]);
    expect(wrong(decode, buffer, [shape(2048, 10, 1)])).toEqual([]);
  });

  it('warn when more requests come at once than decode takes', () => {
    const many = [shape(100, 10, 512)];
    expect(wrong(decode, DECODE, many)).toEqual([
      'warn decode: concurrency: 512 at once, at most 256 (256 a batch)',
    ]);
    expect(wrong({ ...decode, replicas: 2 }, DECODE, many)).toEqual([]);
    const dp = DECODE.replace('enable_attention_dp: false', 'enable_attention_dp: true');
    expect(wrong(decode, dp, many)).toEqual([]);
    expect(wrong(decode, dp, [shape(100, 10, 1025)])).toEqual([
      'warn decode: concurrency: 1025 at once, at most 1024 (256 a batch × 4 ranks)',
    ]);
  });

  it('leave room for the tokens that MTP drafts', () => {
    const three = DECODE.replace('num_nextn_predict_layers: 1', 'num_nextn_predict_layers: 3');
    expect(wrong(decode, three, [])).toEqual([
      'error decode: MTP: max_num_tokens 512, needed 1024 (batch 256 × 4)',
    ]);
    const older =
      'max_num_tokens: 100\ncuda_graph_batch_sizes: [1, 64]\nspeculative_config: {decoding_type: MTP, num_nextn_predict_layers: 1}\n';
    expect(wrong(decode, older, [])).toEqual([
      'error decode: MTP: max_num_tokens 100, needed 128 (batch 64 × 2)',
    ]);
  });

  it('are read from flags, which win over the file', () => {
    const vllm = {
      ...decode,
      ranks: null,
      command: ['python3', '-m', 'dynamo.vllm', '--max-model-len', '4096', '--max-num-seqs=64'],
    };
    expect(wrong(vllm, DECODE.replace(/^speculative.*$/m, ''), [shape(4000, 1000, 128)])).toEqual([
      'error decode: sequence length: ISL + OSL 5000, at most 4096',
      'warn decode: concurrency: 128 at once, at most 64 (64 a batch)',
    ]);
    const sglang = {
      ...prefill,
      ranks: null,
      command: ['python3', '-m', 'dynamo.sglang', '--context-length', '3000', '--tp', '8'],
    };
    expect(wrong(sglang, null, [shape(4000, 10, 1)])).toEqual([
      'error prefill: sequence length: ISL + 1 4001, at most 3000',
    ]);
    const mocker = {
      ...prefill,
      command: [
        'python3',
        '-m',
        'dynamo.mocker',
        '--max-num-batched-tokens',
        '2048',
        '--no-enable-chunked-prefill',
      ],
    };
    expect(wrong(mocker, null, [shape(4000, 10, 1)])).toEqual([
      'error prefill: prompt length: ISL 4000, max_num_tokens 2048',
    ]);
    expect(wrong({ ...mocker, command: mocker.command.slice(0, -1) }, null, [shape(4000, 10, 1)])).toEqual(
      [],
    );
  });

  it('are not judged where nothing says them', () => {
    expect(told(decode, null, [shape(9999, 9999, 9999)])).toEqual([]);
    expect(told(decode, '', [])).toEqual([]);
  });

  it('are an error when the file cannot be read', () => {
    expect(checkEngine(decode, 'a: [1', [])).toMatchObject([
      { level: 'error', what: 'decode: engine configuration' },
    ]);
    expect(checkEngine(decode, 'just text', [])[0]?.value).toContain('no settings');
  });
});

describe('a path inside of the container', () => {
  const mounts = [
    '/home/u:/mnt',
    '/lustre/model/deepseek-r1_pyt/:/deepseek-r1_pyt',
    '/scratch/configs:/mnt/engine_configs:ro',
    '/data',
    'tmpfs:/tmp:x-create=dir',
  ];
  it.each([
    ['/mnt/multinode/start.sh', '/home/u/multinode/start.sh'],
    ['/mnt', '/home/u'],
    ['/mnt/engine_configs/mtp/a.yaml', '/scratch/configs/mtp/a.yaml'],
    ['/deepseek-r1_pyt/safetensors/hf/', '/lustre/model/deepseek-r1_pyt/safetensors/hf/'],
    ['/data/x', '/data/x'],
    ['/mnt/../mnt/a', '/home/u/a'],
    ['/mntx/a', null],
    ['/tmp/a', null],
    ['/usr/bin/python3', null],
  ])('%s is %s on the host', (inside, outside) => {
    expect(hostPathOf(inside, mounts)).toBe(outside);
  });

  it('is below a mount of the root, and of the later of two at one place', () => {
    expect(hostPathOf('/a/b', ['/image:/'])).toBe('/image/a/b');
    expect(hostPathOf('/m/x', ['/one:/m', '/two:/m/'])).toBe('/two/x');
  });
});
