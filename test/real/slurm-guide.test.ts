import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { notRun } from './not-run.ts';
import { type Cluster, slurmMissing, startCluster } from './slurm/cluster.ts';
import { rootMissing } from './slurm/root.ts';

const GUIDE = path.join(import.meta.dirname, '../fixtures/guide-srun.sh');
/** What the guide has in itself. */
const IMAGE =
  'gitlab-master.nvidia.com/dl/ai-dynamo/dynamo:4cbd4f38810f152c81f15f1cc7cc600c354587aa-32804297-tensorrtllm-arm64';
const MODEL_FOLDER = '/lustre/share/coreai_dlalgo_ci/artifacts/model/deepseek-r1_pyt/';
const HOME_FOLDER = '/home/minih';
const HEAD = 'ptyche0336';
const OTHER = 'ptyche0341';

/** Stands for both scripts of the guide's folder: says where it is and what it was given, then stays. */
const SCRIPT = `#!/bin/bash
say() { printf '%s\\n' "$*"; }
say "script=$0 rank=$SLURM_PROCID of=$SLURM_NTASKS node=$SLURMD_NODENAME host=$(hostname) cwd=$PWD"
say "model: $(ls "$MODEL_PATH")"
for name in ETCD_ENDPOINTS NATS_SERVER HEAD_NODE HEAD_NODE_IP DISAGGREGATION_MODE DISAGGREGATION_STRATEGY \\
  ENGINE_CONFIG MODEL_PATH SERVED_MODEL_NAME PMIX_RANK PYXIS_STANDIN_IMAGE PYXIS_STANDIN_MOUNTS; do
  say "$name=\${!name-(unset)}"
done
until [ -e /mnt/done ]; do sleep 0.1; done
`;

/** Mounts need root; all else would also do without. */
const missing = notRun("the guide's srun commands on a real SLURM", slurmMissing() ?? rootMissing());

describe.skipIf(missing !== null)('the guide’s commands on a real SLURM', () => {
  let work: string;
  let home: string;
  let cluster: Cluster;

  beforeAll(async () => {
    work = mkdtempSync(path.join(tmpdir(), 'bench-guide-'));
    home = path.join(work, 'minih');
    const model = path.join(work, 'model');
    mkdirSync(path.join(home, 'multinode'), { recursive: true });
    mkdirSync(path.join(model, 'safetensors_mode-instruct/hf-574fdb8-nim_fp4'), { recursive: true });
    writeFileSync(path.join(model, 'safetensors_mode-instruct/hf-574fdb8-nim_fp4/weights'), '');
    for (const name of ['start_frontend_services.sh', 'start_trtllm_worker.sh']) {
      writeFileSync(path.join(home, 'multinode', name), SCRIPT, { mode: 0o755 });
    }
    const script = readFileSync(GUIDE, 'utf8')
      .replaceAll(HOME_FOLDER, home)
      .replaceAll(MODEL_FOLDER, model)
      .replace(/^sleep \d+$/gm, 'sleep 0.5');
    writeFileSync(path.join(work, 'guide.sh'), script);
    cluster = await startCluster({
      names: [HEAD, OTHER],
      partition: '36x2-a01r',
      plugin: true,
      // The shell that salloc gives runs on the first node of the job, where the guide expects it.
      extra: [
        'LaunchParameters=use_interactive_step',
        'InteractiveStepOptions="--interactive --preserve-env $SHELL"',
      ],
    });
  });

  afterAll(async () => {
    await cluster?.stop();
    if (work) rmSync(work, { recursive: true, force: true });
  });

  /** What each rank printed, by rank label; lines of srun itself are left out. */
  const output = (name: string): ReadonlyMap<string, string[]> => {
    const ranks = new Map<string, string[]>();
    const file = path.join(home, name);
    if (!existsSync(file)) return ranks;
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const labelled = /^ *(\d+): (.*)$/.exec(line);
      if (labelled) ranks.set(labelled[1]!, [...(ranks.get(labelled[1]!) ?? []), labelled[2]!]);
    }
    return ranks;
  };

  it('are accepted as they stand, and the workers get what NAME=value makes of their environment', async () => {
    const shell = spawn(
      'salloc',
      [
        '--partition=36x2-a01r',
        '--account=general_sa',
        '--job-name=general_sa-dynamo.trtllm',
        '--nodes',
        '2',
      ],
      { env: { ...process.env, ...cluster.env, SHELL: '/bin/bash', TEST_WORK: work } },
    );
    let errors = '';
    shell.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    const closed = new Promise((resolve) => shell.once('close', resolve));
    // One line: the guide's srun commands in the background would eat a second one.
    shell.stdin.end('bash "$TEST_WORK/guide.sh"; until [ -e "$TEST_WORK/minih/done" ]; do sleep 0.1; done\n');

    const complete = (name: string, ranks: number): void => {
      const seen = output(name);
      expect([...seen.keys()].sort(), errors).toEqual([...Array(ranks).keys()].map(String));
      for (const lines of seen.values()) expect(lines.at(-1)).toMatch(/^PYXIS_STANDIN_MOUNTS=/);
    };
    await vi.waitFor(
      () => {
        complete('start.log', 1);
        complete('preff1.log', 4);
        complete('decoder1.log', 4);
      },
      { timeout: 60_000, interval: 100 },
    );

    // All three steps at once, under the names and on the nodes that the guide gives them.
    expect(
      cluster
        .steps()
        .map(({ name, nodes }) => `${name} ${nodes}`)
        .sort(),
    ).toEqual([
      `general_sa-dynamo.trtllm-decode ${OTHER}`,
      `general_sa-dynamo.trtllm-frontend ${HEAD}`,
      `general_sa-dynamo.trtllm-prefill ${HEAD}`,
    ]);

    const address = cluster.addressOf(HEAD);
    const common = [
      'model: weights',
      `MODEL_PATH=/deepseek-r1_pyt/safetensors_mode-instruct/hf-574fdb8-nim_fp4/`,
      'SERVED_MODEL_NAME=hf-574fdb8-nim_fp4',
      `PYXIS_STANDIN_IMAGE=${IMAGE}`,
      `PYXIS_STANDIN_MOUNTS=${home}:/mnt,${path.join(work, 'model')}:/deepseek-r1_pyt`,
    ];
    const frontend = output('start.log').get('0')!;
    const where = (script: string, rank: number, of: number, node: string): string =>
      `script=/mnt/multinode/${script} rank=${rank} of=${of} node=${node} host=${node} cwd=/`;
    expect(frontend).toEqual(
      expect.arrayContaining([
        ...common,
        where('start_frontend_services.sh', 0, 1, HEAD),
        // Without --container-env the exported values pass as they are.
        `ETCD_ENDPOINTS=${address}:2379`,
        `NATS_SERVER=nats://${address}:4222`,
        'DISAGGREGATION_MODE=(unset)',
        'PMIX_RANK=(unset)',
      ]),
    );
    for (const [log, mode, node] of [
      ['preff1.log', 'prefill', HEAD],
      ['decoder1.log', 'decode', OTHER],
    ] as const) {
      for (let rank = 0; rank < 4; rank++) {
        expect(output(log).get(String(rank))).toEqual(
          expect.arrayContaining([
            ...common,
            where('start_trtllm_worker.sh', rank, 4, node),
            `PMIX_RANK=${rank}`,
            `ETCD_ENDPOINTS=${address}:2379=${address}:2379`,
            `NATS_SERVER=nats://${address}:4222=nats://${address}:4222`,
            `HEAD_NODE=${HEAD}=${HEAD}`,
            `HEAD_NODE_IP=${address}=${address}`,
            'DISAGGREGATION_STRATEGY=decode_first=decode_first',
            // Set for this command alone, so still empty where the shell wrote the option.
            `DISAGGREGATION_MODE==${mode}`,
            `ENGINE_CONFIG==/mnt/engine_configs/deepseek_r1/mtp/mtp_${mode}.yaml`,
          ]),
        );
      }
    }
    expect(readFileSync(path.join(home, 'preff1.log'), 'utf8')).toMatch(
      new RegExp(`^srun: launching StepId=\\d+\\.\\d+ on host ${HEAD}, 4 tasks: \\[0-3\\]$`, 'm'),
    );

    writeFileSync(path.join(home, 'done'), '');
    expect(await closed, errors).toBe(0);
    await vi.waitFor(() => expect(cluster.jobs()).toEqual([]), { timeout: 30_000, interval: 100 });
  });
});
