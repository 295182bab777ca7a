import { describe, expect, it } from 'vitest';
import { matchFailure } from '../../src/stack/failure/failure-patterns.ts';

/** Lines of good starts: of Dynamo 0.4, of 1.4.2 as it ran, of TensorRT-LLM's launcher, and usual noise. */
const HEALTHY = `2025-08-21T08:17:04.681034Z  INFO dynamo_llm::http::service::service_v2: Starting HTTP service on: 0.0.0.0:8000 address="0.0.0.0:8000"
INFO dynamo_llm::discovery::watcher: added model model_name="hf-574fdb8-nim_fp4"
mpi_rank: 3
rank0 run python3 -m dynamo.trtllm --model-path /m in background
rank0 run mgmn leader node with mpi_world_size: 4 ...
rank3 run mgmn worker node with mpi_world_size: 4 ...
Model init total -- 55.42s
rank 0 using MpiPoolSession to spawn MPI processes
Waiting for the next endpoint to be ready: dyn://dynamo.tensorrt_llm_next.generate
2026-11-26T13:31:20.125381Z  INFO dynamo_llm::http::service::service_v2: Starting HTTP(S) service protocol="HTTP" address="127.0.0.1:18431"
2026-11-26T13:31:22.115058Z  INFO dynamo_llm::discovery::watcher: Prefill worker detected, registering and activating prefill router model_name="dsr1"
2026-11-26T13:31:22.409789Z  INFO dynamo_llm::kv_router::prefill_router::activation: Prefill router activated successfully router_mode=RoundRobin
2026-11-26T13:31:23.064551Z  WARN mm_routing: dsr1 is not supported for MM-aware KV routing (model not supported by the MM-routing registry (mm-routing: failed to read preprocessor_config.json at /root/.cache/x/preprocessor_config.json); image-placeholder token unresolvable from config.json / vocab probe). Falling back to KV routing without MM awareness
2026-11-26T13:31:23.580633Z  INFO dynamo_llm::discovery::model: Adding worker set to model model=dsr1 namespace=["dynamo","backend","generate","chat|completions","decode"]
2026-11-26T13:31:39.652271Z  INFO dynamo_llm::discovery::model: Removed worker set from model model=dsr1 remaining_sets=1
2026-11-26T13:32:04.730448Z  WARN dynamo_runtime::component::endpoint: Failed to unregister endpoint from discovery error="Could not find key '/kv/v1/instances/x'"
[transformers] PyTorch was not found. Models won't be available and only tokenizers, configuration and file/data utilities can be used.
2026-11-26T13:31:46.262473Z INFO dynamo_llm::mocker: Creating mocker engine with config: MockEngineArgs { engine_type: Vllm, num_gpu_blocks: 16384, max_num_seqs: Some(256), startup_time: None }
2026-11-26T13:31:46.674058Z INFO dynamo_llm::mocker: Metrics background tasks started
2025-08-21T08:17:10Z ERROR tower_http::trace::on_failure: response failed classification=Status code: 503 Service Unavailable latency=0 ms
[1] 2026/11/26 13:31:40.000000 [INF] Server is ready
{"level":"warn","ts":"2026-11-26T13:31:40Z","msg":"unrecognized environment variable","environment-variable":"ETCD_ENDPOINTS=10.0.0.1:2379"}
raft2026/11/26 13:31:40 INFO: 8e9e05c52164694d became leader at term 2
WARNING 08-21 08:17:04 [__init__.py:10] Failed to import from vllm._C with ModuleNotFoundError("No module named 'vllm._C'")
INFO 08-21 08:17:04 [core.py:61] Initializing a V1 LLM engine with max_model_len=8704
[TensorRT-LLM] TensorRT-LLM version: 1.0.0rc6
[08/21/2025-08:17:04] [TRT-LLM] [W] Failed to find optional config, using defaults
[08/21/2025-08:17:04] [TRT-LLM] [I] Memory used after loading model weights (inside torch) in memory usage profiling: 95.33 GiB
NCCL version 2.26.5+cuda12.9
Loading safetensors checkpoint shards: 100% Completed | 163/163 [05:12<00:00,  1.91s/it]
FutureWarning: The pynvml package is deprecated. Please install nvidia-ml-py instead.
ERROR
An error occurred while reading optional file, ignored`;

describe('failure patterns', () => {
  it.each(HEALTHY.split('\n'))('hear nothing in a good start: %s', (line) => {
    expect(matchFailure(line)).toBeNull();
  });

  it.each([
    [
      'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of',
      'cuda-oom',
    ],
    ['[TensorRT-LLM][ERROR] CUDA error: out of memory', 'cuda-oom'],
    ['slurmstepd: error: Detected 1 oom_kill event in StepId=1.0. Some of the tasks', 'host-oom'],
    ['RuntimeError: The NVIDIA driver on your system is too old (found version 12040)', 'driver'],
    // Printed by the real frontend, nats-server and etcd on a taken port.
    [
      '2026-11-26T13:31:26.017097Z ERROR dynamo_llm::http::service::service_v2: Failed to bind server to address protocol=HTTP address=127.0.0.1:18431 error=Address already in use (os error 98)',
      'port-taken',
    ],
    [
      'Exception: Failed to start HTTP server: port 18431 already in use. Use --http-port to specify a different port.',
      'port-taken',
    ],
    ['[7] 2026/11/26 13:31:40 [FTL] Error listening on port: 127.0.0.1:4222, "listen tcp"', 'port-taken'],
    ['listen tcp 127.0.0.1:2379: bind: address already in use', 'port-taken'],
    ['ERROR: MODEL_PATH was not set.', 'missing-path'],
    [
      "OSError: /models/nope is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'",
      'missing-path',
    ],
    ["FileNotFoundError: [Errno 2] No such file or directory: '/mnt/x.yaml'", 'missing-path'],
    ['/usr/bin/python3: No module named dynamo', 'missing-path'],
    ["ModuleNotFoundError: No module named 'tensorrt_llm'", 'missing-path'],
    // Printed by a Python that has no Dynamo, and by Dynamo 1.4.2 for a model that is not there.
    [
      "/usr/bin/python3: Error while finding module specification for 'dynamo.frontend' (ModuleNotFoundError: No module named 'dynamo')",
      'missing-path',
    ],
    ["Exception: Model snapshots for '/no/such/model' not found in cache", 'missing-path'],
    [
      "Exception: Failed to fetch model 'a/b' from HuggingFace. Is this a valid HuggingFace ID? Error: request error",
      'missing-path',
    ],
    ['bash: line 1: etcd: command not found', 'missing-path'],
    ['bash: /mnt/start.sh: Permission denied', 'not-executable'],
    ['ERROR: ENGINE_CONFIG was not set.', 'engine-config'],
    ['pydantic_core._pydantic_core.ValidationError: 1 validation error for TorchLlmArgs', 'engine-config'],
    ["TypeError: LLM.__init__() got an unexpected keyword argument 'foo'", 'engine-config'],
    ['__main__.py: error: argument --served-model-name: expected one argument', 'engine-config'],
    ['[node2:12345] PMIX ERROR: NOT-FOUND in file client/pmix_client.c at line 562', 'mpi'],
    [
      'num_fitting_reqs=0 and fitting_disagg_gen_init_requests is empty, may not have enough kvCache',
      'kv-transfer-deadlock',
    ],
    ["thread 'main' panicked at src/main.rs:5:9:", 'crash'],
    ['Fatal Python error: Segmentation fault', 'crash'],
    ["terminate called after throwing an instance of 'std::runtime_error'", 'crash'],
  ])('%s: %s, and the stack is broken', (line, failureClass) => {
    expect(matchFailure(line)).toMatchObject({ failureClass, action: 'fail' });
  });

  it.each([
    ['ConnectionRefusedError: [Errno 111] Connection refused', 'network'],
    [
      'node1:77:99 [0] misc/socket.cc:50 NCCL WARN socketProgress: Connection closed by remote peer',
      'network',
    ],
    ['[1724228224.1] [node1:77:0] ib_mlx5.c:1 UCX  ERROR ibv_reg_mr failed', 'network'],
    ['Error adding model from discovery error="no such repo"', 'engine-config'],
    ['Terminated', 'cancelled'],
    ['asyncio.exceptions.CancelledError', 'cancelled'],
  ])('%s: %s, which explains a failure but is none', (line, failureClass) => {
    expect(matchFailure(line)).toMatchObject({ failureClass, action: 'warn', strength: 'symptom' });
  });

  it.each([
    'etcd lease expired',
    '2026-11-30T23:41:37.357051Z ERROR dynamo_runtime::transports::etcd::lease: Keep-alive lease expired lease_id=6481421135775976721',
    'Unable to maintain lease - expired or revoked. Check etcd server status',
  ])('%s: a lease that expired, the cause of an end that it does not show', (line) => {
    expect(matchFailure(line)).toMatchObject({
      failureClass: 'lease-expired',
      action: 'warn',
      strength: 'cause',
    });
  });

  it('take no warning for the end: Dynamo goes on after it', () => {
    const line =
      "2026-11-30T23:26:09.091945Z  WARN dynamo_llm::hub: ModelExpress download failed for model '/m': Model snapshots for '/m' not found in cache";
    expect(matchFailure(line)).toBeNull();
  });
});
