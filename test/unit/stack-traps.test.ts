import { describe, expect, it } from 'vitest';
import { planOf, read, refusalOf } from './stack-files.ts';

interface Parts {
  readonly cluster?: string;
  readonly container?: string;
  readonly runtime?: string;
  readonly frontend?: string;
  readonly prefill?: string;
  readonly decode?: string;
  readonly more?: string;
}

/** A TensorRT-LLM stack; each part stands on a line of its own. */
function file(parts: Parts): string {
  return `schema: 1
name: x
preset: dynamo-trtllm
cluster: {${parts.cluster ?? 'gpus_per_node: 4'}}
container: {${parts.container ?? 'image: /images/a.sqsh'}}
model: {path: /m, served_name: m}
runtime: {${parts.runtime ?? 'dynamo: "1.0"'}}
services:
  frontend: {${parts.frontend ?? ''}}
  prefill: {${parts.prefill ?? 'engine_config: /c/p.yaml'}}
  decode: {${parts.decode ?? 'engine_config: /c/d.yaml'}}
${parts.more ?? ''}`;
}

const ENGINE = 'engine_config: /c/p.yaml';

describe('a trap of the guide', () => {
  it.each<[name: string, parts: Parts, message: RegExp]>([
    [
      'T1: a value on --container-env',
      { container: 'image: /a.sqsh, env_passthrough: ["ETCD_ENDPOINTS=10.0.0.1:2379"]' },
      /^s\.yaml:5:47: container\.env_passthrough\[0\]: .* pyxis takes names alone and would corrupt the value/,
    ],
    ['T1: a value in the name', { more: 'env: {"A=b": c}' }, /^s\.yaml:12:7: env\.A=b: has a "="/],
    [
      'T4: oversubscribe for overlap',
      { prefill: `${ENGINE}, srun: {extra: [--oversubscribe]}` },
      /^s\.yaml:10:54: services\.prefill\.srun\.extra\[0\]: --oversubscribe does not let steps share a node/,
    ],
    [
      'values by --export',
      { prefill: `${ENGINE}, srun: {extra: ["--export=ALL,A=b"]}` },
      /--export cannot hold values with commas/,
    ],
    [
      'variables by -e',
      { prefill: `${ENGINE}, srun: {extra: [-e, UCX_NET_DEVICES]}` },
      /-e sends the errors of the tasks to a file of that name/,
    ],
    [
      'T10: ntasks beside the service',
      { frontend: 'srun: {extra: ["--ntasks=4"]}' },
      /--ntasks is said by nodes and ntasks_per_node/,
    ],
    [
      'container options beside the container',
      { frontend: 'srun: {extra: ["--container-mounts=/a:/b"]}' },
      /is said under container:/,
    ],
    [
      'too few nodes for the last steps',
      { cluster: 'gpus_per_node: 4, nodes: 2' },
      /^s\.yaml:4:36: cluster\.nodes: 2 nodes do not hold the services, which need 3/,
    ],
    [
      'no engine configuration',
      { prefill: '' },
      /^s\.yaml:10:3: services\.prefill: engine_config is missing/,
    ],
    ['no image for pyxis', { container: 'runtime: pyxis' }, /^s\.yaml:5:1: container: image is missing/],
    [
      'words that the launcher would split',
      { prefill: `${ENGINE}, args: {--override-engine-args: '{"a": 1}'}` },
      /would not survive trtllm-llmapi-launch/,
    ],
    [
      'a version that YAML reads as a number',
      { runtime: 'dynamo: 1.10' },
      /^s\.yaml:7:19: runtime\.dynamo: 1\.1 is not a text: write the version in quotes/,
    ],
    [
      'a plane that the version does not have',
      { runtime: 'dynamo: "0.4", discovery: file' },
      /^s\.yaml:7:37: runtime\.discovery: Dynamo 0\.4 has etcd alone/,
    ],
    [
      'a frontend script that is not named',
      { runtime: 'dynamo: "0.4", inside: frontend-script' },
      /^s\.yaml:9:3: services\.frontend: runtime\.inside is frontend-script, so this service needs script/,
    ],
    [
      'servers elsewhere, but nobody knows where',
      { runtime: 'dynamo: "1.0", inside: external' },
      /etcd\.url must say where etcd is/,
    ],
    [
      'nobody to start etcd',
      { runtime: 'dynamo: "1.0", inside: none' },
      /none starts no etcd, but discovery is etcd/,
    ],
    [
      'two services that wait for each other',
      {
        frontend: 'depends_on: [{service: prefill}]',
        prefill: `${ENGINE}, depends_on: [{service: frontend}]`,
      },
      /prefill and frontend wait for each other/,
    ],
    [
      'waiting for nobody',
      { prefill: `${ENGINE}, depends_on: [{service: frontent}]` },
      /there is no service "frontent": did you mean "frontend"\?/,
    ],
    [
      'sharing with nobody',
      { prefill: `${ENGINE}, placement: {share: fronted}` },
      /there is no service "fronted" to share with: did you mean "frontend"\?/,
    ],
    [
      'a pattern that is none',
      { prefill: `${ENGINE}, fail_on: [{log: "a("}]` },
      /^s\.yaml:10:\d+: .*"a\(" is no regular expression/,
    ],
    [
      'a port that Dynamo cannot read',
      { prefill: `${ENGINE}, ports: {system: 40000}` },
      /^s\.yaml:10:55: services\.prefill\.ports\.system: 40000 is above 32767/,
    ],
    [
      'local mode with a container',
      { cluster: 'mode: local' },
      /pyxis is a part of SLURM: local mode needs runtime: none/,
    ],
    [
      'local mode with several nodes',
      { cluster: 'mode: local', container: 'runtime: none', prefill: `${ENGINE}, nodes: 2` },
      /services\.prefill\.nodes: 2 is too many: local mode has this machine alone/,
    ],
    ['a log of nobody', { more: 'stack_ready: {all: [{log: "x"}]}' }, /stack_ready\.all\[0\]: say whose log/],
    [
      'two probes in one',
      { more: 'stack_ready: {all: [{model: {listed: true}, canary: {}}]}' },
      /a probe has one of the keys/,
    ],
  ])('is an error: %s', (_name, parts, message) => {
    expect(refusalOf(file(parts)).join('\n')).toMatch(new RegExp(message.source, 'm'));
  });

  it('T6 is an error: a served name that is empty', () => {
    expect(refusalOf(file({}).replace('served_name: m', 'served_name: ""'))).toEqual([
      's.yaml:6:32: model.served_name: "" is empty: the worker script would pass --served-model-name without a value, and the launcher would hang',
    ]);
  });

  it('is an error where there is prefill without decode', () => {
    const text = file({}).replace(/ {2}decode: .*\n/, '');
    expect(refusalOf(text)).toEqual([
      's.yaml:8:1: services: there is prefill without decode: add it, or give the service role agg',
    ]);
  });

  it.each<[name: string, parts: Parts, message: RegExp]>([
    [
      'T9: an image that enroot would ask Docker Hub for',
      { container: 'image: gitlab-master.nvidia.com/dl/ai-dynamo/dynamo:1' },
      /^s\.yaml:5:20: container\.image: .*write "gitlab-master\.nvidia\.com#dl\/ai-dynamo\/dynamo:1"/,
    ],
    [
      'T12: nodes that are shared',
      { cluster: 'gpus_per_node: 4, exclusive: false' },
      /cluster\.exclusive: .*one CPU a node/,
    ],
    [
      'T7, T8: shell in a value',
      { more: 'env: {IP: "$(hostname -i)"}' },
      /^s\.yaml:12:11: env\.IP: no shell reads/,
    ],
    [
      'variables that the launcher takes away',
      { more: 'env: {UCX_NET_DEVICES: mlx5_0}' },
      /UCX_NET_DEVICES will not reach rank 0's command/,
    ],
  ])('is a warning: %s', (_name, parts, message) => {
    expect(read(file(parts)).warnings.join('\n')).toMatch(new RegExp(message.source, 'm'));
  });

  it.each([
    '/images/a.sqsh',
    './a.sqsh',
    'nvcr.io#nvidia/x:1',
    'ubuntu:24.04',
    'library/ubuntu',
  ])('is none: the image %s', (image) => {
    expect(read(file({ container: `image: "${image}"` })).warnings).toEqual([]);
  });

  it('is an error of the plan: one port for two services on one node', () => {
    const stack = read(file({ prefill: `${ENGINE}, placement: {share: frontend}, ports: {system: 8000}` }));
    expect(() => planOf(stack, ['a', 'b'])).toThrow(
      'port 8000 of node a is wanted by frontend-0 and by prefill-0 (ports.system)',
    );
  });

  it('is a warning of the plan: workers that take one GPU', () => {
    const stack = read(file({ decode: 'engine_config: /c/d.yaml, placement: {share: prefill}' }));
    expect(planOf(stack, ['a', 'b']).warnings).toEqual([
      'b: prefill-0 and decode-0 share its 4 GPUs; say which by gpus.visible',
    ]);
  });
});
