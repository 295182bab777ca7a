import { type Engine, expandDynamo, isAtLeast } from './dynamo.ts';
import { parallelFindings } from './parallel-sizes.ts';
import type { Preset } from './preset.ts';

const KV_TRANSFER = '{"kv_connector":"NixlConnector","kv_role":"kv_both"}';

const ENGINE: Engine = {
  planes: () => ({}),
  frontend: () => ({}),
  worker(_name, role, service, planes) {
    const several = (service.nodes ?? 1) > 1;
    const split = role === 'prefill' || role === 'decode';
    return {
      ...(several && { launch: 'per_node' as const, follower_args: ['--headless'], unset: ['VLLM_PORT'] }),
      ports: {
        nixl: 20_097 + (role === 'decode' ? 100 : 0),
        ...(several && { master: 29_500 + (role === 'decode' ? 100 : 0) }),
      },
      env: { VLLM_NIXL_SIDE_CHANNEL_PORT: '${ports.nixl}' },
      command: [planes.python, '-m', 'dynamo.vllm'],
      args: {
        '--model': '${model.path}',
        '--served-model-name': '${model.served_name}',
        ...(service.engine_config !== undefined && { '--config': '${service.engine_config}' }),
        ...(split &&
          (isAtLeast(planes.dynamo, [1, 0])
            ? { '--disaggregation-mode': role }
            : role === 'prefill' && { '--is-prefill-worker': true })),
        ...(split && { '--kv-transfer-config': KV_TRANSFER }),
        ...(several && {
          '--nnodes': '${service.nodes}',
          '--node-rank': '${node.rank}',
          '--master-addr': '${leader.address}',
          '--master-port': '${ports.master}',
        }),
      },
    };
  },
  components: (role) => (role === 'prefill' ? ['prefill'] : ['backend', 'decode']),
  check: parallelFindings,
  timing: { timeout: '60m', interval: '2s', stall_timeout: '15m' },
  cleanupGlobs: [],
};

export const VLLM: Preset = {
  name: 'dynamo-vllm',
  about: 'Dynamo with vLLM workers, one srun for each node of a replica',
  expand: (input) => expandDynamo(input, ENGINE),
};
