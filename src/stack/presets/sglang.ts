import { type Engine, expandDynamo } from './dynamo.ts';
import { parallelFindings } from './parallel-sizes.ts';
import type { Preset } from './preset.ts';

const ENGINE: Engine = {
  planes: () => ({}),
  frontend: () => ({}),
  worker(_name, role, service, planes) {
    const split = role === 'prefill' || role === 'decode';
    const apart = role === 'decode' ? 100 : 0;
    return {
      launch: 'per_node',
      ports: { dist_init: 29_500 + apart, ...(split && { bootstrap: 30_001 + apart }) },
      command: [planes.python, '-m', 'dynamo.sglang'],
      args: {
        '--model-path': '${model.path}',
        '--served-model-name': '${model.served_name}',
        ...(service.engine_config !== undefined && { '--config': '${service.engine_config}' }),
        ...(split && {
          '--disaggregation-mode': role,
          '--disaggregation-bootstrap-port': '${ports.bootstrap}',
          '--disaggregation-transfer-backend': 'nixl',
        }),
        '--dist-init-addr': '${leader.address}:${ports.dist_init}',
        '--nnodes': '${service.nodes}',
        '--node-rank': '${node.rank}',
      },
    };
  },
  components: (role) => (role === 'prefill' ? ['prefill'] : ['backend', 'decode']),
  check: parallelFindings,
  timing: { timeout: '60m', interval: '2s', stall_timeout: '15m' },
  cleanupGlobs: [],
};

export const SGLANG: Preset = {
  name: 'dynamo-sglang',
  about: 'Dynamo with SGLang workers, one srun for each node of a replica',
  expand: (input) => expandDynamo(input, ENGINE),
};
