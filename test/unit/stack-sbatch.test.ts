import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isScrubbed } from '../../src/core/slurm-env.ts';
import { ADDRESS_LIBRARY, BATCH_LIBRARY, SCRUB } from '../../src/stack/batch/batch-library.ts';
import { renderSbatch } from '../../src/stack/batch/sbatch.ts';
import { chooseAddress } from '../../src/stack/launch/head-address.ts';
import { planScript } from '../../src/stack/plan/plan-text.ts';
import { shellLine, shellQuote } from '../../src/stack/plan/shell-quote.ts';
import { ENV, planOf, read, readShipped, shipped } from './stack-files.ts';

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
cluster: {gpus_per_node: 4, constraint: "a&b", extra: [-C, "gpu&big", --reservation=r], network: {address: slurm}}
model: {path: "/m o", served_name: "it's"}
services:
  frontend: {}
  agg: {nodes: 2, args: {--tp: 8}, fail_on: [{log: "it's (over|done)"}, {log: odd, action: warn}]}
  watcher: {role: sidecar, command: [sh, -c, 'echo "$HOME"']}
`);
    const script = renderSbatch(stack);
    expect(parses(script)).toBe('');
    expect(script).toContain('#SBATCH --constraint="a&b"');
    expect(script).toContain("#SBATCH -C 'gpu&big'\n#SBATCH --reservation=r\n");
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
      // A minute for the command, then three layers of steps with their grace, then the nodes.
      '#SBATCH --signal=B:TERM@160',
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
      'SLURM_GPUS',
      'SLURM_GPUS_PER_NODE',
      'SLURM_GPUS_PER_TASK',
      'SLURM_GPUS_ON_NODE',
      'SLURM_CPUS_PER_GPU',
      'SLURM_HINT',
      'SLURM_EXCLUSIVE',
      'SLURM_WAIT',
      'SLURM_MPI_TYPE',
      'SLURM_OVERCOMMIT',
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
      'await stack 300 0.5',
    ]);
    const text = readFileSync(shipped('mocker-slurm.yaml'), 'utf8');
    const slow = read(`${text}stack_ready: {timeout: 3m, interval: 3s}\n`, ENV);
    expect(renderSbatch(slow).split('\n')).toContain('await stack 180 3');
    expect(lines.filter((line) => /^ {2}(asked=|ask |finish )/.test(line))).toEqual([
      '  asked=$SECONDS',
      '  ask decode-0 TERM',
      '  ask prefill-0 TERM',
      '  ask frontend-0 TERM',
      '  finish decode-0 10 "$asked"',
      '  finish prefill-0 10 "$asked"',
      '  finish frontend-0 10 "$asked"',
      '  asked=$SECONDS',
      '  ask nats-0 TERM',
      '  ask etcd-0 TERM',
      '  finish nats-0 10 "$asked"',
      '  finish etcd-0 10 "$asked"',
    ]);
  });

  it.each([
    ['the first private one', 'eth9 8.8.8.8|eth0 172.31.0.7|eth1 10.1.2.3', '', [], '10.1.2.3'],
    ['one of a preferred network', 'eth1 10.1.2.3|ib0 192.168.7.9', '', ['192.168.7.0/24'], '192.168.7.9'],
    [
      'the first of the networks in their order',
      'a 10.1.0.1|b 10.2.0.1',
      '',
      ['10.2.0.0/16', '10.1.0.0/16'],
      '10.2.0.1',
    ],
    ['that of the interface, whatever it is', 'eth0 10.1.2.3|lo 127.0.0.1', 'lo', [], '127.0.0.1'],
    ['no bridge and no loopback', 'lo 127.0.0.1|docker0 172.17.0.1|eth0 8.8.4.4', '', [], '8.8.4.4'],
    ['none where none fits', 'lo 127.0.0.1|eth0 169.254.1.1', '', [], ''],
    ['none where the interface has none', 'eth0 10.1.2.3', 'ib0', [], ''],
  ])('takes as the address of its head %s, as a launch by bench does', (_, lines, device, prefer, address) => {
    const text = lines.replaceAll('|', '\n');
    const chosen = chooseAddress(text, { by: 'ip', interface: device || null, prefer });
    expect(chosen ?? '').toBe(address);
    const words = [device, ...prefer].map(shellQuote).join(' ');
    const script = `set -u\n${ADDRESS_LIBRARY}\nchoose_address ${words} <<<${shellQuote(text)} || true`;
    expect(execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim()).toBe(address);
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

describe('functions of the batch script', () => {
  /** What the lines print, with the library and functions that a rendered script would have. */
  const say = (lines: string): string =>
    execFileSync(
      'bash',
      [
        '-c',
        `set -u; RUN_DIR=$(mktemp -d); mkdir "$RUN_DIR/logs"; trap 'rm -rf "$RUN_DIR" "$ANSWER"' EXIT
COMMAND_GRACE_S=1
${BATCH_LIBRARY}
say() { echo "$*"; }
fail() { echo "FAILED: $*"; exit 0; }
critical() { [ "$1" != side ]; }
may_end() { [ "$1" = once ]; }
broken() { if [ -e "$RUN_DIR/broken-$1" ]; then fail "$1 is broken"; fi; }
${lines}`,
      ],
      { encoding: 'utf8', timeout: 20_000 },
    );

  it('let a step end that may: one that is not critical, or one that is done', () => {
    const ended = (name: string, code: number): string =>
      say(`(exit ${code}) & started ${name} $!; wait $! || :; check_steps; echo on`);
    expect(ended('side', 3)).toBe('side: started\non\n');
    expect(ended('once', 0)).toBe('once: started\non\n');
    expect(ended('once', 3)).toContain('FAILED: once ended with exit code 3');
    expect(ended('decode', 0)).toContain('FAILED: decode ended with exit code 0');
  });

  it('heed lines that mean broken of critical steps alone', () => {
    const says = (name: string): string =>
      say(
        `sleep 5 &>/dev/null & started ${name} $!; touch "$RUN_DIR/broken-${name}"; check_steps; echo on; kill $!`,
      );
    expect(says('side')).toBe('side: started\non\n');
    expect(says('decode')).toBe('decode: started\nFAILED: decode is broken\n');
  });

  it('warn of a step that is not ready in time, and fail for a critical one', () => {
    const late = (name: string): string => say(`probes_${name}() { false; }; await ${name} 1 0.2; echo on`);
    expect(late('side')).toBe('side: waiting\nWARNING: side is not ready after 1 s\non\n');
    expect(late('decode')).toBe('decode: waiting\nFAILED: decode is not ready after 1 s\n');
    expect(late('stack')).toContain('FAILED: stack is not ready');
  });

  it('give a step as long again while its log grows, once', () => {
    const out = say(`probes_decode() { echo more >>"$RUN_DIR/logs/decode.log"; false; }; await decode 1 0.2`);
    expect(out).toBe(
      'decode: waiting\ndecode: not ready after 1 s, but its log still grows: given as long again\nFAILED: decode is not ready after 2 s\n',
    );
  });

  it('end a probe that does not come back', () => {
    expect(say('probe_exec 0 sleep 30 || echo "no"; probe_exec 3 bash -c "exit 3" && echo yes')).toBe(
      'no\nyes\n',
    );
  });

  it('give the command time to end before the stack goes', () => {
    const out = say(`COMMAND_GRACE_S=20; stop_all() { echo stop; }; clean_up() { :; }
bash -c 'trap "sleep 0.5; echo flushed; exit 0" TERM; echo up; while :; do sleep 0.1; done' & COMMAND_PID=$!
sleep 0.5; trap down EXIT; exit 0`);
    expect(out).toBe('up\nteardown\nflushed\nstop\ndone\n');
  });

  it('end a command that does not end by itself', () => {
    const out = say(`stop_all() { echo stop; }; clean_up() { :; }
bash -c 'trap "" TERM; while :; do sleep 0.1; done' & COMMAND_PID=$!
sleep 0.3; trap down EXIT; exit 0`);
    expect(out).toBe('teardown\nstop\ndone\n');
  });
});
