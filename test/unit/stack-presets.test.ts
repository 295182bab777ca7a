import { describe, expect, it } from 'vitest';
import { expandedText } from '../../src/stack/file/expanded-text.ts';
import { parseStack } from '../../src/stack/file/read.ts';
import { makePlan } from '../../src/stack/plan/plan.ts';
import type { StackPlan } from '../../src/stack/plan/planned.ts';
import { ENV, planOf, read, readShipped, refusalOf, stepOf } from './stack-files.ts';

const NODES = ['a', 'b', 'c', 'd', 'e'];

function planFor(preset: string, dynamo: string, services: string, more = ''): StackPlan {
  const text = `schema: 1
name: x
preset: ${preset}
cluster: {gpus_per_node: 4}
model: {path: /m, served_name: m}
runtime: {dynamo: "${dynamo}"${more}}
services:
  frontend: {}
${services}`;
  return planOf(read(text), NODES);
}

const PAIR = `  prefill: {engine_config: /c/p.yaml}
  decode: {engine_config: /c/d.yaml}
`;

const commandOf = (plan: StackPlan, id: string): string => stepOf(plan, id).command.join(' ');

describe('dynamo-trtllm', () => {
  it('of 0.4 has decode_first, and planes that are etcd and NATS alone', () => {
    const plan = planFor('dynamo-trtllm', '0.4', PAIR);
    expect(commandOf(plan, 'prefill-0')).toBe(
      'trtllm-llmapi-launch python3 -m dynamo.trtllm --model-path /m --served-model-name m --extra-engine-args /c/p.yaml --disaggregation-mode prefill --disaggregation-strategy decode_first',
    );
    const { env } = stepOf(plan, 'decode-0');
    expect(env).toMatchObject({ ETCD_ENDPOINTS: '10.0.0.1:2379', DYN_SYSTEM_ENABLED: 'true' });
    expect(Object.keys(env).filter((name) => /PLANE|BACKEND|STORE/.test(name))).toEqual([]);
  });

  it('of 0.7 says the store, as its planes are named then', () => {
    const { env } = stepOf(planFor('dynamo-trtllm', '0.7', PAIR), 'decode-0');
    expect(env).toMatchObject({ DYN_STORE_KV: 'etcd', DYN_REQUEST_PLANE: 'nats' });
    expect(env).not.toHaveProperty('DYN_DISCOVERY_BACKEND');
  });

  it('of 1.x has no strategy, says its planes and wants the prefill router', () => {
    const plan = planFor('dynamo-trtllm', '1.2', PAIR);
    expect(commandOf(plan, 'decode-0')).toBe(
      'trtllm-llmapi-launch python3 -m dynamo.trtllm --model-path /m --served-model-name m --extra-engine-args /c/d.yaml --disaggregation-mode decode',
    );
    const { env, argv } = stepOf(plan, 'decode-0');
    expect(env).toMatchObject({
      ETCD_ENDPOINTS: 'http://10.0.0.1:2379',
      DYN_DISCOVERY_BACKEND: 'etcd',
      DYN_REQUEST_PLANE: 'tcp',
      DYN_EVENT_PLANE: 'nats',
      DYN_SYSTEM_PORT: '9092',
    });
    expect(env).not.toHaveProperty('DISAGGREGATION_STRATEGY');
    expect(argv).toContain('--mpi=pmix');
    expect(stepOf(plan, 'frontend-0').argv).toContain('--mpi=pmix');
    expect(stepOf(plan, 'etcd-0').argv.filter((word) => word.startsWith('--mpi'))).toEqual([]);
    const router = plan.ready.find(({ kind }) => kind === 'log');
    const lines = [
      'INFO dynamo_llm::discovery::watcher: Prefill worker registered and router activated successfully model_name="m"',
      'INFO dynamo_llm::kv_router::prefill_router: Prefill router activated successfully router_mode=RoundRobin',
      'INFO dynamo_llm::discovery::watcher: added model model_name="m" namespace="dynamo"',
    ];
    expect(router).toMatchObject({ steps: ['frontend-0'], count: 1 });
    const pattern = new RegExp(router?.kind === 'log' ? router.pattern : '(?!)');
    expect(lines.map((line) => pattern.test(line))).toEqual([true, true, false]);
  });

  it('starts etcd and NATS as steps of their own, before what needs them', () => {
    const plan = planFor('dynamo-trtllm', '1.0', PAIR);
    expect(plan.steps.map(({ id }) => id)).toEqual([
      'etcd-0',
      'nats-0',
      'frontend-0',
      'prefill-0',
      'decode-0',
    ]);
    expect(commandOf(plan, 'etcd-0')).toBe(
      'etcd --name bench --data-dir /tmp/bench-stack-r1/etcd --listen-client-urls http://10.0.0.1:2379 --advertise-client-urls http://10.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster bench=http://127.0.0.1:2380',
    );
    expect(commandOf(plan, 'nats-0')).toBe(
      'nats-server -js -a 10.0.0.1 -p 4222 -sd /tmp/bench-stack-r1/nats',
    );
    for (const id of ['frontend-0', 'prefill-0', 'decode-0'])
      expect(stepOf(plan, id).after.map(({ step }) => step)).toEqual(['etcd-0', 'nats-0']);
  });

  it('lets servers without an address of their own listen everywhere, where the head is known by name', () => {
    const stack = read(
      `schema: 1\nname: x\npreset: dynamo-mocker\nmodel: {path: /m, served_name: m}\nservices: {frontend: {}, agg: {}}\n`,
    );
    const plan = makePlan(stack, {
      run: 'r1',
      runDir: '/runs/r1',
      jobId: '1',
      nodes: ['h', 'i'],
      addresses: {},
      env: {},
    });
    expect(commandOf(plan, 'etcd-0')).toContain(
      '--listen-client-urls http://0.0.0.0:2379 --advertise-client-urls http://h:2379',
    );
    expect(plan.url).toBe('http://h:8000');
  });

  it('counts aggregated workers under the names that they have', () => {
    const plan = planFor('dynamo-trtllm', '1.0', '  agg: {replicas: 2, engine_config: /c/a.yaml}\n');
    expect(commandOf(plan, 'agg-0')).not.toContain('--disaggregation-mode');
    expect(plan.ready[0]).toMatchObject({
      kind: 'instances',
      components: ['tensorrt_llm', 'backend', 'decode'],
      least: 2,
    });
    expect(plan.ready.some(({ kind }) => kind === 'log')).toBe(false);
  });

  it('uses servers that are elsewhere', () => {
    const plan = planFor(
      'dynamo-trtllm',
      '1.0',
      PAIR,
      ', inside: external, etcd: {url: "http://e1:2379,http://e2:2379"}, nats: {url: "nats://n:4222"}',
    );
    expect(plan.steps.map(({ id }) => id)).toEqual(['frontend-0', 'prefill-0', 'decode-0']);
    expect(stepOf(plan, 'decode-0').env).toMatchObject({
      ETCD_ENDPOINTS: 'http://e1:2379,http://e2:2379',
      NATS_SERVER: 'nats://n:4222',
    });
    expect(plan.watch.slice(0, 3)).toEqual([
      { kind: 'tcp', host: 'e1', port: 2379 },
      { kind: 'tcp', host: 'e2', port: 2379 },
      { kind: 'tcp', host: 'n', port: 4222 },
    ]);
  });
});

describe('dynamo-vllm', () => {
  it('tells prefill from decode as the version wants it', () => {
    expect(commandOf(planFor('dynamo-vllm', '1.0', '  prefill: {}\n  decode: {}\n'), 'prefill-0')).toBe(
      'python3 -m dynamo.vllm --model /m --served-model-name m --disaggregation-mode prefill --kv-transfer-config {"kv_connector":"NixlConnector","kv_role":"kv_both"}',
    );
    const old = planFor('dynamo-vllm', '0.5', '  prefill: {}\n  decode: {}\n');
    expect(commandOf(old, 'prefill-0')).toContain(' --is-prefill-worker ');
    expect(commandOf(old, 'decode-0')).not.toMatch(/prefill-worker|disaggregation-mode/);
  });

  it('has headless followers where a replica has several nodes', () => {
    const plan = planFor('dynamo-vllm', '1.0', '  agg: {nodes: 2, args: {--tensor-parallel-size: 8}}\n');
    expect(commandOf(plan, 'agg-0')).toBe(
      'python3 -m dynamo.vllm --model /m --served-model-name m --nnodes 2 --node-rank 0 --master-addr b --master-port 29500 --tensor-parallel-size 8',
    );
    expect(commandOf(plan, 'agg-0.1')).toBe(
      'python3 -m dynamo.vllm --model /m --served-model-name m --nnodes 2 --node-rank 1 --master-addr b --master-port 29500 --tensor-parallel-size 8 --headless',
    );
    expect(stepOf(plan, 'agg-0').unset).toContain('VLLM_PORT');
  });
});

describe('dynamo-sglang', () => {
  it('gives each node its rank and the leader', () => {
    expect(commandOf(planFor('dynamo-sglang', '1.0', '  prefill: {}\n  decode: {}\n'), 'decode-0')).toBe(
      'python3 -m dynamo.sglang --model-path /m --served-model-name m --disaggregation-mode decode --disaggregation-bootstrap-port 30101 --disaggregation-transfer-backend nixl --dist-init-addr c:29600 --nnodes 1 --node-rank 0',
    );
  });
});

describe.each(['dynamo-vllm', 'dynamo-sglang'])('%s over several nodes', (preset) => {
  const file = (service: string, runtime = ''): string =>
    `schema: 1\nname: x\npreset: ${preset}\ncluster: {gpus_per_node: 4}\ncontainer: {image: /i.sqsh}\nmodel: {path: /m, served_name: m}\nruntime: {dynamo: "1.4"${runtime}}\nservices:\n  frontend: {}\n  agg: {${service}}\n`;

  it.each([
    ['nodes: 2', '1 GPU'],
    ['nodes: 3, args: {--tensor-parallel-size: 2}', '2 GPUs'],
    ['nodes: 9, args: {--tp: 2, --pp: "2", --dp: 2}', '8 GPUs'],
  ])('need parallel sizes: {%s}', (service, gpus) => {
    expect(refusalOf(file(service)).join()).toMatch(
      new RegExp(
        `^s\\.yaml:10:\\d+: services\\.agg\\.nodes: \\d nodes, but the parallel sizes in args make ${gpus}:`,
      ),
    );
  });

  it.each([
    'nodes: 1',
    'nodes: 2, args: {--tensor-parallel-size: 2}',
    'nodes: 8, args: {--tp-size: 2, -pp: 4}',
    'nodes: 2, args: {--data-parallel-size: 16}',
    'nodes: 2, engine_config: /c.yaml',
    'nodes: 2, command: [own]',
  ])('have them: {%s}', (service) => {
    expect(() => read(file(service))).not.toThrow();
  });

  it('have the planes of their version', () => {
    expect(refusalOf(file('', ', request_plane: http')).join()).toMatch(
      /^s\.yaml:7:\d+: runtime\.request_plane: Dynamo 1\.4 has nats and tcp, no http/,
    );
    expect(() => read(file('', ', request_plane: http').replace('"1.4"', '"1.3"'))).not.toThrow();
    expect(refusalOf(file('', ', discovery: none')).join()).toMatch(/runtime\.discovery: .*etcd, file/);
  });
});

describe('dynamo-mocker', () => {
  it('needs no server in local mode, and on SLURM has those of the guide', () => {
    const local = planOf(readShipped('mocker-local.yaml'), []);
    expect(local.steps.map(({ id }) => id)).toEqual(['frontend-0', 'prefill-0', 'decode-0']);
    expect(stepOf(local, 'prefill-0').env).toMatchObject({
      DYN_DISCOVERY_BACKEND: 'file',
      DYN_REQUEST_PLANE: 'tcp',
      DYN_EVENT_PLANE: 'zmq',
      DYN_SELF_HOST_METADATA: '1',
    });
    expect(commandOf(local, 'prefill-0')).toBe(
      'python3 -m dynamo.mocker --model-path /models/tiny --model-name mocker --disaggregation-mode prefill --bootstrap-ports 50100 --speedup-ratio 10 --max-num-seqs 512',
    );
    const slurm = planOf(readShipped('mocker-slurm.yaml'), ['n1', 'n2']);
    expect(stepOf(slurm, 'decode-0').env).toMatchObject({
      DYN_DISCOVERY_BACKEND: 'etcd',
      DYN_REQUEST_PLANE: 'nats',
      DYN_EVENT_PLANE: 'nats',
      DYN_TCP_RPC_HOST: 'n2',
    });
  });
});

describe('custom', () => {
  it('starts what the file says and asks for a listed model and a token', () => {
    const text = `schema: 1
name: x
cluster: {mode: local}
model: {path: /m, served_name: m}
services:
  frontend: {command: [vllm, serve, "\${model.path}", --port, "\${ports.http}"], ports: {http: 9000}}
`;
    const plan = planOf(read(text), []);
    expect(commandOf(plan, 'frontend-0')).toBe('vllm serve /m --port 9000');
    expect(plan.ready.map(({ kind }) => kind)).toEqual(['model', 'canary']);
  });

  it('needs a command', () => {
    const text =
      'schema: 1\nname: x\nmodel: {path: /m, served_name: m}\nservices:\n  frontend: {ports: {http: 1}}\n';
    expect(() => read(text)).toThrow('s.yaml:5:3: services.frontend: command is missing');
  });
});

describe('the expanded file', () => {
  it.each([
    'dsr1-fp4-gb200-1p1d.yaml',
    'dsr1-fp4-gb200-2p4d.yaml',
    'mocker-local.yaml',
    'mocker-slurm.yaml',
  ])('of %s gives the same plan without a preset', (name) => {
    const nodes = Array.from({ length: 20 }, (_, i) => `n${i}`);
    const stack = readShipped(name);
    const text = expandedText(stack);
    expect(text).toContain('preset: custom');
    expect(planOf(parseStack(text, 'full.yaml', { env: ENV }), nodes)).toEqual(planOf(stack, nodes));
  });

  it('has the run folder in every container where discovery is by files', () => {
    const plan = planFor('dynamo-trtllm', '1.0', PAIR, ', discovery: file, event_plane: zmq');
    expect(stepOf(plan, 'decode-0').env['DYN_FILE_KV']).toBe('/runs/r1/kv');
    const boxed = read(
      `schema: 1\nname: x\npreset: dynamo-mocker\ncontainer: {image: /i.sqsh, mounts: ["/m:/m"]}\nmodel: {path: /m, served_name: m}\nruntime: {discovery: file, request_plane: tcp, event_plane: zmq}\nservices: {frontend: {}, agg: {}}\n`,
    );
    expect(stepOf(planOf(boxed, ['a', 'b']), 'agg-0').argv).toContain(
      '--container-mounts=/m:/m,/runs/r1:/runs/r1',
    );
  });
});
