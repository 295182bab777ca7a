import { describe, expect, it } from 'vitest';
import { redactPlan } from '../../src/stack/file/redaction.ts';
import { allocationOf, makePlan, readStack } from '../../src/stack/plan/plan.ts';
import { ENV, planOf, read, readShipped, shipped, stepOf } from './stack-files.ts';

const IMAGE =
  'gitlab-master.nvidia.com#dl/ai-dynamo/dynamo:4cbd4f38810f152c81f15f1cc7cc600c354587aa-32804297-tensorrtllm-arm64';
const MOUNTS =
  '/home/minih:/mnt,/lustre/share/coreai_dlalgo_ci/artifacts/model/deepseek-r1_pyt/:/deepseek-r1_pyt';

describe("the guide's three commands", () => {
  const plan = planOf(readShipped('dsr1-fp4-gb200-1p1d.yaml'), ['ptyche0336', 'ptyche0341'], '10.1.2.3');

  it('start the frontend on the head', () => {
    const { argv, env, srunLogFile } = stepOf(plan, 'frontend-0');
    expect(argv).toEqual([
      'srun',
      '--jobid=4242',
      '--overlap',
      '--nodes=1',
      '--ntasks=1',
      '--ntasks-per-node=1',
      '--nodelist=ptyche0336',
      '-J',
      'r1.frontend-0',
      '--verbose',
      '--label',
      '--kill-on-bad-exit=1',
      '--input=none',
      '--output=/runs/r1/logs/frontend-0.log',
      '--open-mode=append',
      `--container-image=${IMAGE}`,
      `--container-mounts=${MOUNTS}`,
      '--container-env=BENCH_STACK_RUN,DYN_HTTP_PORT,DYN_SDK_DISABLE_ANSI_LOGGING,ETCD_ENDPOINTS,HEAD_NODE,HEAD_NODE_IP,NATS_SERVER',
      '--no-container-mount-home',
      '/mnt/multinode/start_frontend_services.sh',
    ]);
    expect(env['BENCH_STACK_RUN']).toBe('r1');
    expect(srunLogFile).toBe('/runs/r1/logs/frontend-0.srun.log');
  });

  it.each([
    ['prefill', 'ptyche0336', '9091'],
    ['decode', 'ptyche0341', '9092'],
  ])('start %s with a rank for each GPU', (mode, node, port) => {
    const { argv, env } = stepOf(plan, `${mode}-0`);
    expect(argv).toEqual([
      'srun',
      '--jobid=4242',
      '--overlap',
      '--nodes=1',
      '--ntasks=4',
      '--ntasks-per-node=4',
      `--nodelist=${node}`,
      '-J',
      `r1.${mode}-0`,
      '--mpi=pmix',
      '--verbose',
      '--label',
      '--kill-on-bad-exit=1',
      '--input=none',
      `--output=/runs/r1/logs/${mode}-0.log`,
      '--open-mode=append',
      `--container-image=${IMAGE}`,
      `--container-mounts=${MOUNTS}`,
      '--container-env=BENCH_STACK_RUN,DISAGGREGATION_MODE,DISAGGREGATION_STRATEGY,DYN_SDK_DISABLE_ANSI_LOGGING,DYN_SYSTEM_ENABLED,DYN_SYSTEM_PORT,ENGINE_CONFIG,ETCD_ENDPOINTS,HEAD_NODE,HEAD_NODE_IP,MODEL_PATH,NATS_SERVER,SERVED_MODEL_NAME',
      '--no-container-mount-home',
      '/mnt/multinode/start_trtllm_worker.sh',
    ]);
    expect(env).toEqual({
      BENCH_STACK_RUN: 'r1',
      DYN_SDK_DISABLE_ANSI_LOGGING: '1',
      ETCD_ENDPOINTS: '10.1.2.3:2379',
      NATS_SERVER: 'nats://10.1.2.3:4222',
      HEAD_NODE: 'ptyche0336',
      HEAD_NODE_IP: '10.1.2.3',
      MODEL_PATH: '/deepseek-r1_pyt/safetensors_mode-instruct/hf-574fdb8-nim_fp4/',
      SERVED_MODEL_NAME: 'hf-574fdb8-nim_fp4',
      ENGINE_CONFIG: `/mnt/engine_configs/deepseek_r1/mtp/mtp_${mode}.yaml`,
      DISAGGREGATION_MODE: mode,
      DISAGGREGATION_STRATEGY: 'decode_first',
      DYN_SYSTEM_ENABLED: 'true',
      DYN_SYSTEM_PORT: port,
    });
  });

  it('have no value of a variable on any command line', () => {
    for (const { argv } of plan.steps) expect(argv.join(' ')).not.toMatch(/10\.1\.2\.3|decode_first|nats:/);
  });

  it('wait for the frontend script, not for a time', () => {
    expect(stepOf(plan, 'frontend-0').ready).toEqual([
      {
        kind: 'http',
        url: 'http://10.1.2.3:2379/health',
        status: 200,
        json: { path: '$.health', equals: 'true' },
      },
      { kind: 'tcp', host: '10.1.2.3', port: 4222 },
      { kind: 'log', steps: ['frontend-0'], pattern: 'Starting HTTP(?:\\(S\\))? service', count: 1 },
      { kind: 'http', url: 'http://10.1.2.3:8000/health', status: 200, json: null },
    ]);
    for (const id of ['prefill-0', 'decode-0'])
      expect(stepOf(plan, id)).toMatchObject({
        after: [{ step: 'frontend-0', condition: 'ready' }],
        loadedPattern: 'Model init total',
        readyTimeoutMs: 3_600_000,
        stallMs: 900_000,
        probeIntervalMs: 2_000,
      });
  });

  it('are ready when both workers are registered, the model is listed and tokens flow', () => {
    const url = 'http://10.1.2.3:8000';
    expect(plan.ready).toEqual([
      {
        kind: 'instances',
        url: `${url}/health`,
        components: ['tensorrt_llm_next', 'prefill'],
        endpoint: 'generate',
        least: 1,
      },
      {
        kind: 'instances',
        url: `${url}/health`,
        components: ['tensorrt_llm', 'backend', 'decode'],
        endpoint: 'generate',
        least: 1,
      },
      { kind: 'model', url: `${url}/v1/models`, model: 'hf-574fdb8-nim_fp4' },
      {
        kind: 'log',
        steps: ['frontend-0'],
        pattern: 'added model\\b.*model_name="?hf-574fdb8-nim_fp4"?',
        count: 1,
      },
      {
        kind: 'canary',
        url,
        model: 'hf-574fdb8-nim_fp4',
        requests: 3,
        maxTokens: 30,
        leastTokens: 1,
        prompt: 'Tell me a story as if we were playing dungeons and dragons.',
      },
    ]);
  });

  it("match the guide's two log lines", () => {
    const lines = [
      'INFO dynamo_llm::http::service::service_v2: Starting HTTP service on: 0.0.0.0:8000 address="0.0.0.0:8000"',
      'INFO dynamo_llm::discovery::watcher: added model model_name="hf-574fdb8-nim_fp4"',
    ];
    const patterns = [...stepOf(plan, 'frontend-0').ready, ...plan.ready].flatMap((probe) =>
      probe.kind === 'log' ? [new RegExp(probe.pattern)] : [],
    );
    expect(patterns.map((pattern) => lines.map((line) => pattern.test(line)))).toEqual([
      [true, false],
      [false, true],
    ]);
  });

  it('watch etcd, NATS, the workers and the model list, copy the engine configurations, and count 8 GPUs', () => {
    expect(plan.watch).toEqual([
      { kind: 'tcp', host: '10.1.2.3', port: 2379 },
      { kind: 'tcp', host: '10.1.2.3', port: 4222 },
      ...plan.ready.filter(({ kind }) => kind === 'instances'),
      { kind: 'model', url: 'http://10.1.2.3:8000/v1/models', model: 'hf-574fdb8-nim_fp4' },
    ]);
    expect(plan.copies).toEqual([
      { service: 'prefill', file: '/home/minih/engine_configs/deepseek_r1/mtp/mtp_prefill.yaml' },
      { service: 'decode', file: '/home/minih/engine_configs/deepseek_r1/mtp/mtp_decode.yaml' },
    ]);
    expect(plan.cleanupGlobs).toEqual(['/dev/shm/moe_*', '/tmp/bench-stack-r1']);
  });
});

describe('the allocation', () => {
  it("is the guide's salloc, without a shell", () => {
    expect(allocationOf(readShipped('dsr1-fp4-gb200-1p1d.yaml'), 'r1')).toEqual({
      mode: 'salloc',
      argv: [
        'salloc',
        '--no-shell',
        '--job-name=general_sa-dynamo.trtllm',
        '--nodes=2',
        '--partition=36x2-a01r',
        '--account=general_sa',
        '--time=05:00:00',
        '--exclusive',
        '--comment=bench-stack:r1',
      ],
      jobId: null,
      nodeCount: 2,
      pendingTimeoutMs: 1_800_000,
      cancelOnExit: true,
      jobName: 'general_sa-dynamo.trtllm',
    });
  });

  const readWith = (cluster: string, env: Record<string, string> = {}) =>
    read(
      `schema: 1
name: x
cluster: {${cluster}}
model: {path: /m, served_name: m}
services: {frontend: {command: [serve], ports: {http: 8000}}}
`,
      env,
    );

  it('asks for GPUs where the cluster counts them', () => {
    const gpus = (cluster: string, gpuGres: boolean): string[] =>
      allocationOf(readWith(`mode: salloc, gpus_per_node: 4${cluster}`), 'r1', { gpuGres }).argv!.filter(
        (word) => word.includes('gpu'),
      );
    expect(gpus('', true)).toEqual(['--gpus-per-node=4']);
    expect(gpus('', false)).toEqual([]);
    expect(gpus(', gres: always', false)).toEqual(['--gpus-per-node=4']);
    expect(gpus(', gres: never', true)).toEqual([]);
  });

  it('can be a batch job that sleeps', () => {
    const { argv } = allocationOf(readWith('mode: sbatch, qos: long, extra: ["--mail-type=END"]'), 'r1');
    expect(argv).toEqual([
      'sbatch',
      '--parsable',
      '--job-name=r1',
      '--nodes=1',
      '--qos=long',
      '--exclusive',
      '--comment=bench-stack:r1',
      '--output=/dev/null',
      '--mail-type=END',
      '--wrap=exec sleep infinity',
    ]);
  });

  it('attaches to the job around it unless the file says otherwise, and leaves that job', () => {
    expect(allocationOf(readWith('', { SLURM_JOB_ID: '77' }), 'r1')).toMatchObject({
      mode: 'attach',
      argv: null,
      jobId: '77',
      cancelOnExit: false,
    });
    expect(allocationOf(readWith(''), 'r1').mode).toBe('salloc');
    expect(() => allocationOf(readWith('mode: attach'), 'r1')).toThrow('there is no job to attach to');
    expect(() => allocationOf(readWith('mode: attach, attach: {job_id: "7;x"}'), 'r1')).toThrow('"7;x"');
  });

  it('is none in local mode', () => {
    expect(allocationOf(readWith('mode: local'), 'r1')).toMatchObject({ argv: null, jobId: null });
  });
});

describe('a plan', () => {
  it('takes out of the environment what would steer srun, and keeps where the cluster is', () => {
    const plan = makePlan(readShipped('dsr1-fp4-gb200-1p1d.yaml'), {
      run: 'r1',
      runDir: '/runs/r1',
      jobId: '1',
      nodes: ['a', 'b'],
      addresses: {},
      env: {
        SLURM_CONF: '/c',
        SLURM_JOB_ID: '1',
        SLURM_STEP_NODELIST: 'a',
        SLURM_MEM_PER_NODE: '9',
        PATH: '/',
      },
    });
    const { unset } = stepOf(plan, 'prefill-0');
    for (const name of ['SLURM_NTASKS', 'SLURM_NPROCS', 'SLURM_STEP_NODELIST', 'SLURM_MEM_PER_NODE'])
      expect(unset).toContain(name);
    for (const name of ['SLURM_CONF', 'SLURM_JOB_ID', 'PATH']) expect(unset).not.toContain(name);
  });

  it('runs the commands themselves in local mode, on this machine alone', () => {
    const plan = planOf(readShipped('mocker-local.yaml'), ['ignored']);
    expect(plan).toMatchObject({
      mode: 'local',
      nodes: ['localhost'],
      head: { node: 'localhost', address: '127.0.0.1' },
      url: 'http://127.0.0.1:8000',
      jobId: null,
      gpus: null,
    });
    const decode = stepOf(plan, 'decode-0');
    expect(decode.argv).toEqual(decode.command);
    expect(decode).toMatchObject({ srunLogFile: null, logFile: '/runs/r1/logs/decode-0.log', tasks: 1 });
    expect(decode.unset.filter((name) => name.startsWith('SLURM_'))).toEqual([]);
    for (const { env } of plan.steps)
      expect(env).toMatchObject({ DYN_TCP_RPC_HOST: '127.0.0.1', DYN_FILE_KV: '/runs/r1/kv' });
  });

  it('hides secrets, in variables and wherever their value stands', () => {
    const stack = read(
      `schema: 1
name: x
model: {path: /m, served_name: m}
env: {HF_TOKEN: "\${env:HF_TOKEN}", MAX_TOKENS: "30"}
services: {frontend: {command: [serve, "--with=hf_abcdefghij"], ports: {http: 8000}}}
`,
      { HF_TOKEN: 'hf_abcdefghij' },
    );
    const plan = planOf(stack, ['a']);
    expect(stepOf(plan, 'frontend-0').env['HF_TOKEN']).toBe('hf_abcdefghij');
    const open = redactPlan(plan);
    expect(JSON.stringify(open)).not.toContain('hf_abcdefghij');
    expect(open.steps[0]?.env).toEqual({ BENCH_STACK_RUN: 'r1', HF_TOKEN: '***', MAX_TOKENS: '30' });
    expect(open.steps[0]?.command).toEqual(['serve', '--with=***']);
  });

  it("lets the file win over the preset, key by key where the preset's share stays", () => {
    const plan = planOf(
      read(`schema: 1
name: x
preset: dynamo-mocker
cluster: {mode: local}
model: {path: /m, served_name: m}
env: {HF_HUB_OFFLINE: "0"}
services:
  frontend: {}
  agg:
    args: {--model-name: other, --speedup-ratio: 10, --flag: true}
    env: {DYN_EVENT_PLANE: nats}
    ready: {timeout: 90s}
    fail_on: [{log: boom, class: engine-config}]
    stop: {grace: 1s}
`),
      ['x'],
    );
    const agg = stepOf(plan, 'agg-0');
    expect(agg.command).toEqual(
      'python3 -m dynamo.mocker --model-path /m --model-name other --speedup-ratio 10 --flag'.split(' '),
    );
    expect(agg.env).toMatchObject({ DYN_EVENT_PLANE: 'nats', HF_HUB_OFFLINE: '0', DYN_REQUEST_PLANE: 'tcp' });
    expect(agg.readyTimeoutMs).toBe(90_000);
    expect(agg.ready).toHaveLength(1);
    expect(agg.failOn).toEqual([{ pattern: 'boom', failureClass: 'engine-config', action: 'fail' }]);
    expect(agg.stop).toEqual({ signal: 'TERM', graceMs: 1_000 });
  });

  it('knows a run outside the shipped environment too', () => {
    expect(() => readStack(shipped('mocker-local.yaml'), { env: {} })).toThrow(
      /\$\{env:BENCH_MOCKER_MODEL\} has no value/,
    );
    expect(readStack(shipped('mocker-local.yaml'), { env: ENV }).model.path).toBe('/models/tiny');
  });
});
