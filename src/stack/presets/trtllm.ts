import { type Engine, expandDynamo, isAtLeast, type Planes } from './dynamo.ts';
import type { Preset } from './preset.ts';

/** decode_first was the strategy until 0.5: the decode worker takes a request and asks for its prefill. */
const isDecodeFirst = (planes: Planes): boolean => !isAtLeast(planes.dynamo, [0, 6]);

const ENGINE: Engine = {
  planes: () => ({}),
  frontend: (planes) => ({
    srun: isAtLeast(planes.dynamo, [1, 0]) ? { mpi: 'pmix' } : {},
    env: isDecodeFirst(planes) ? GUIDE_HEAD : {},
  }),
  worker(_name, role, _service, planes) {
    const mode = role === 'agg' ? 'prefill_and_decode' : role;
    const strategy = isDecodeFirst(planes) && role !== 'agg';
    return {
      srun: { mpi: 'pmix' },
      env: {
        // What the worker script reads; the command below says the same by flags.
        MODEL_PATH: '${model.path}',
        SERVED_MODEL_NAME: '${model.served_name}',
        ENGINE_CONFIG: '${service.engine_config}',
        DISAGGREGATION_MODE: mode,
        ...(strategy && { DISAGGREGATION_STRATEGY: 'decode_first' }),
        ...(isDecodeFirst(planes) && GUIDE_HEAD),
      },
      command: ['trtllm-llmapi-launch', planes.python, '-m', 'dynamo.trtllm'],
      args: {
        '--model-path': '${model.path}',
        '--served-model-name': '${model.served_name}',
        '--extra-engine-args': '${service.engine_config}',
        ...(role !== 'agg' && { '--disaggregation-mode': mode }),
        ...(strategy && { '--disaggregation-strategy': 'decode_first' }),
      },
      loaded_log: 'Model init total',
    };
  },
  components(role, planes) {
    if (role === 'prefill') return isDecodeFirst(planes) ? ['tensorrt_llm_next', 'prefill'] : ['prefill'];
    return ['tensorrt_llm', 'backend', 'decode'];
  },
  check({ file, roles }, planes) {
    return [...roles]
      .filter(([, role]) => role === 'prefill' || role === 'decode' || role === 'agg')
      .filter(([name]) => file.services[name]!.engine_config === undefined)
      .map(([name]) => ({
        path: ['services', name],
        message: `engine_config is missing: the YAML file of TensorRT-LLM ${planes.dynamo}, as the container sees it`,
        level: 'error' as const,
      }));
  },
  timing: { timeout: '60m', interval: '2s', stall_timeout: '15m' },
  // Left by expert-parallel workers that were killed; the next launch runs out of memory for them.
  cleanupGlobs: ['/dev/shm/moe_*'],
};

const GUIDE_HEAD = { HEAD_NODE: '${head.node}', HEAD_NODE_IP: '${head.ip}' };

export const TRTLLM: Preset = {
  name: 'dynamo-trtllm',
  about: 'Dynamo with TensorRT-LLM workers, one MPI rank for each GPU (0.4 decode_first, 1.x)',
  expand: (input) => expandDynamo(input, ENGINE),
};
