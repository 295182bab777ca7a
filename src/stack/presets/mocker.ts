import { type Engine, expandDynamo } from './dynamo.ts';
import type { Preset } from './preset.ts';

/** The frontend takes the model's files from the workers; without it, it looks for the model on the hub. */
const ENVIRONMENT = { DYN_SELF_HOST_METADATA: '1', HF_HUB_OFFLINE: '1' };

const ENGINE: Engine = {
  planes: ({ local }) =>
    local
      ? { discovery: 'file', request_plane: 'tcp', event_plane: 'zmq' }
      : { discovery: 'etcd', request_plane: 'nats', event_plane: 'nats' },
  frontend: () => ({ env: ENVIRONMENT, stop: { grace: '10s' } }),
  worker(_name, role, service, planes) {
    return {
      env: ENVIRONMENT,
      ...(role === 'prefill' && { ports: { bootstrap: 50_100 } }),
      command: [planes.python, '-m', 'dynamo.mocker'],
      args: {
        '--model-path': '${model.path}',
        '--model-name': '${model.served_name}',
        ...(role !== 'agg' && { '--disaggregation-mode': role }),
        ...(role === 'prefill' && { '--bootstrap-ports': '${ports.bootstrap}' }),
        ...(service.engine_config !== undefined && { '--extra-engine-args': '${service.engine_config}' }),
      },
      stop: { grace: '10s' },
    };
  },
  components: (role) => (role === 'prefill' ? ['prefill'] : ['backend', 'decode']),
  timing: { timeout: '5m', interval: '500ms', stall_timeout: '2m' },
  cleanupGlobs: [],
};

export const MOCKER: Preset = {
  name: 'dynamo-mocker',
  about: "Dynamo with its own simulated workers: everything real but the engine's compute",
  expand: (input) => expandDynamo(input, ENGINE),
};
