import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { isScrubbed } from '../../src/core/slurm-env.ts';
import { SCRUB } from '../../src/stack/batch/batch-library.ts';
import { renderSbatch } from '../../src/stack/batch/sbatch.ts';
import { planScript } from '../../src/stack/plan/plan-text.ts';
import { shellLine, shellQuote } from '../../src/stack/plan/shell-quote.ts';
import { planOf, read, readShipped } from './stack-files.ts';

const SLURM_FILES = ['dsr1-fp4-gb200-1p1d.yaml', 'dsr1-fp4-gb200-2p4d.yaml', 'mocker-slurm.yaml'];

function parses(script: string): string {
  return spawnSync('bash', ['-n'], { input: script, encoding: 'utf8' }).stderr;
}

describe('a quoted word', () => {
  it.each([
    'plain',
    '',
    'a b',
    "it's",
    '$(id)',
    'a=b',
    'gitlab#x',
    '{"a": 1}',
    '`x`',
    'a\nb',
    '*',
    '~',
    '!x',
  ])('is read back by bash: %j', (word) => {
    const script = `printf '%s' ${shellQuote(word)}`;
    expect(execFileSync('bash', ['-c', script], { encoding: 'utf8' })).toBe(word);
  });

  it('is left alone where it needs no quotes', () => {
    expect(shellLine(['srun', '--nodes=1', '-J', 'r1.x-0', '/mnt/a.sh'])).toBe(
      'srun --nodes=1 -J r1.x-0 /mnt/a.sh',
    );
  });
});

describe('the batch script', () => {
  it.each(SLURM_FILES)('of %s is bash', (name) => {
    expect(parses(renderSbatch(readShipped(name)))).toBe('');
  });

  it('is bash that runs where a replica has a step on each node, and a head that SLURM names', () => {
    const stack = read(`schema: 1
name: x
preset: dynamo-sglang
cluster: {gpus_per_node: 4, constraint: "a&b", network: {address: slurm}}
model: {path: "/m o", served_name: "it's"}
services:
  frontend: {}
  agg: {nodes: 2, fail_on: [{log: "it's (over|done)"}, {log: odd, action: warn}]}
  watcher: {role: sidecar, command: [sh, -c, 'echo "$HOME"']}
`);
    const script = renderSbatch(stack);
    expect(parses(script)).toBe('');
    expect(script).toContain('#SBATCH --constraint="a&b"');
    const functions = script.slice(script.indexOf('declare -A'), script.indexOf('trap down EXIT'));
    const out = execFileSync(
      'bash',
      [
        '-c',
        `set -u; NODES=(n1 n2 n3) RUN=r RUN_DIR=/r SLURM_JOB_ID=7 HEAD_IP=h
${functions}
declare -F start_agg-0.1 probes_agg-0 probes_stack
critical watcher-0 || echo 'the watcher may end'
critical agg-0 && echo 'agg must not'
fail_on() { echo "fail_on $*"; }
broken agg-0.1; rm -f "$ANSWER"`,
      ],
      { encoding: 'utf8' },
    );
    expect(out).toBe(`start_agg-0.1
probes_agg-0
probes_stack
the watcher may end
agg must not
fail_on agg-0.1 it's (over|done) crash
`);
  });

  it('asks for the job in its header', () => {
    const header = renderSbatch(readShipped('dsr1-fp4-gb200-1p1d.yaml'))
      .split('\n')
      .filter((line) => line.startsWith('#SBATCH'));
    expect(header).toEqual([
      '#SBATCH --job-name=general_sa-dynamo.trtllm',
      '#SBATCH --nodes=2',
      '#SBATCH --partition=36x2-a01r',
      '#SBATCH --account=general_sa',
      '#SBATCH --time=05:00:00',
      '#SBATCH --exclusive',
      '#SBATCH --output=%x-%j.out',
      '#SBATCH --signal=B:TERM@120',
    ]);
  });

  it('fills in what the job alone knows: words come out as srun would get them', () => {
    const script = renderSbatch(readShipped('dsr1-fp4-gb200-1p1d.yaml'));
    const start = /^start_decode-0\(\) \{[\s\S]*?^\}$/m.exec(script)![0];
    const out = execFileSync(
      'bash',
      [
        '-c',
        `NODES=(n1 n2) RUN=bench-7 RUN_DIR="/r d/x" SLURM_JOB_ID=7 HEAD_IP=10.0.0.9
srun() { printf '%s\\n' "$@" "ETCD=$ETCD_ENDPOINTS" "MODE=$DISAGGREGATION_MODE"; }
started() { :; }
exec() { "$@"; }
${start.replace(/ \\\n {6}<\/dev\/null >>\S+ 2>&1$/m, '')}
start_decode-0; wait`,
      ],
      { encoding: 'utf8' },
    ).split('\n');
    const plan = planOf(readShipped('dsr1-fp4-gb200-1p1d.yaml'), ['n1', 'n2'], '10.0.0.9');
    const argv = plan.steps.find(({ id }) => id === 'decode-0')!.argv.slice(1);
    const asInJob = argv.map((word) =>
      word.replace('4242', '7').replace('/runs/r1', '/r d/x').replace(/^r1\./, 'bench-7.'),
    );
    expect(out.slice(0, argv.length)).toEqual(asInJob);
    expect(out.slice(argv.length, -1)).toEqual(['ETCD=10.0.0.9:2379', 'MODE=decode']);
  });

  it('takes out of the environment what bench itself takes out', () => {
    const names = [
      'SLURM_NTASKS',
      'SLURM_NTASKS_PER_NODE',
      'SLURM_STEP_NODELIST',
      'SLURM_STEPID',
      'SLURM_MEM_PER_CPU',
      'SLURM_CPU_BIND_TYPE',
      'SLURM_PROCID',
      'SLURM_TRES_PER_TASK',
      'SLURM_JOB_ID',
      'SLURM_JOB_NODELIST',
      'SLURM_CONF',
      'SLURM_NODELIST',
    ];
    const left = execFileSync('bash', ['-c', `${SCRUB}\ncompgen -e SLURM_`], {
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], ...Object.fromEntries(names.map((name) => [name, '1'])) },
    });
    expect(left.trim().split('\n').sort()).toEqual(names.filter((name) => !isScrubbed(name)).sort());
  });

  it('waits for what a step waits for, and tears down in reverse order', () => {
    const lines = renderSbatch(readShipped('mocker-slurm.yaml')).split('\n');
    const main = lines.slice(lines.indexOf('trap down EXIT'));
    expect(main.filter((line) => /^(start|await)/.test(line))).toEqual([
      'start_etcd-0',
      'start_nats-0',
      'await etcd-0 300 0.5',
      'await nats-0 300 0.5',
      'start_frontend-0',
      'start_prefill-0',
      'start_decode-0',
      'await frontend-0 600 0.5',
      'await prefill-0 300 0.5',
      'await decode-0 300 0.5',
      'await stack 300 2',
    ]);
    expect(lines.filter((line) => line.startsWith('  stop_one '))).toEqual([
      '  stop_one decode-0 TERM 10',
      '  stop_one prefill-0 TERM 10',
      '  stop_one frontend-0 TERM 10',
      '  stop_one nats-0 TERM 10',
      '  stop_one etcd-0 TERM 10',
    ]);
  });

  it('has no secret in it and asks for it instead', () => {
    const stack = read(
      `schema: 1
name: x
model: {path: /m, served_name: m}
env: {HF_TOKEN: "\${env:HF_TOKEN}"}
services: {frontend: {command: [serve], ports: {http: 8000}, fail_on: [{log: "it's over"}]}}
`,
      { HF_TOKEN: 'hf_abcdefghij' },
    );
    const script = renderSbatch(stack);
    expect(script).not.toContain('hf_abcdefghij');
    expect(script).toContain(': "${HF_TOKEN:?must be set when the job is submitted}"');
    expect(parses(script)).toBe('');
    const plan = planScript(planOf(stack, ['a']));
    expect(plan).not.toContain('hf_abcdefghij');
    expect(parses(plan)).toBe('');
  });

  it('is refused for a stack that is local, or names its nodes', () => {
    expect(() => renderSbatch(readShipped('mocker-local.yaml'))).toThrow('a local stack has no batch job');
    const named = read(
      'schema: 1\nname: x\nmodel: {path: /m, served_name: m}\nservices: {frontend: {command: [s], ports: {http: 1}, placement: {nodes: [a]}}}\n',
    );
    expect(() => renderSbatch(named)).toThrow('service frontend names its nodes');
  });
});
