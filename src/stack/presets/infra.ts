import type { ServiceFile } from '../file/schema.ts';
import type { Expansion } from './preset.ts';

type Runtime = Expansion['runtime'];

/** A data folder of the run's own: one in /tmp that is shared would bring back the state of an earlier run. */
const dataDir = (local: boolean, name: string): string =>
  local ? `\${run.dir}/${name}` : `\${run.scratch}/${name}`;

const READY = { timeout: '5m', interval: '500ms', stall_timeout: '5m' };

/** etcd as a service of the head node, listening on the head's address alone where that is an IP address. */
export function etcdService({ etcd }: Runtime, local: boolean): ServiceFile {
  const peer = 'http://127.0.0.1:${ports.peer}';
  return {
    role: 'infra',
    ports: { client: etcd?.port ?? 2379, peer: etcd?.peer_port ?? 2380 },
    command: [etcd?.bin ?? 'etcd'],
    args: {
      '--name': 'bench',
      '--data-dir': etcd?.data_dir ?? dataDir(local, 'etcd'),
      '--listen-client-urls': 'http://${head.bind}:${ports.client}',
      '--advertise-client-urls': 'http://${head.ip}:${ports.client}',
      '--listen-peer-urls': peer,
      '--initial-advertise-peer-urls': peer,
      '--initial-cluster': `bench=${peer}`,
    },
    ready: {
      all: [
        {
          http: {
            url: 'http://${head.ip}:${ports.client}/health',
            json: { path: '$.health', equals: 'true' },
          },
        },
      ],
      ...READY,
    },
    stop: { signal: 'TERM', grace: '10s' },
  };
}

/** NATS with JetStream as a service of the head node. */
export function natsService({ nats }: Runtime, local: boolean): ServiceFile {
  return {
    role: 'infra',
    ports: { client: nats?.port ?? 4222 },
    command: [nats?.bin ?? 'nats-server', '-js'],
    args: {
      '-a': '${head.bind}',
      '-p': '${ports.client}',
      '-sd': nats?.data_dir ?? dataDir(local, 'nats'),
    },
    ready: { all: [{ tcp: '${head.ip}:${ports.client}' }], ...READY },
    stop: { signal: 'TERM', grace: '10s' },
  };
}
