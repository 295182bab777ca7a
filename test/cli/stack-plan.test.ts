import { spawnSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { bench, makeFolder } from '../fixtures/cli.ts';
import { benchHere } from '../fixtures/in-process.ts';

const GUIDE = fileURLToPath(new URL('../../datasets/stacks/dsr1-fp4-gb200-1p1d.yaml', import.meta.url));
const place = makeFolder();
const wrong = path.join(place, 'wrong.yaml');
writeFileSync(
  wrong,
  'schema: 1\nname: x\npreset: dynamo-mocker\nclutser: {mode: local}\nmodel: {path: /m}\nservices: {}\n',
);
const secret = path.join(place, 'secret.yaml');
writeFileSync(
  secret,
  `schema: 1
name: x
model: {path: /m, served_name: m}
env: {HF_TOKEN: "\${env:HF_TOKEN}"}
services: {frontend: {command: [serve], ports: {http: 8000}}}
`,
);

describe('bench stack plan', () => {
  it('shows the map of nodes and every command as a shell takes it, without SLURM', async () => {
    const { code, stdout, stderr } = await bench(['stack', 'plan', GUIDE, '--nodes', 'ptyche[0336,0341]']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^ {2}ptyche0336 {2}\(head\) {2}frontend-0, prefill-0 ×4$/m);
    expect(stdout).toMatch(/^ {2}ptyche0341 {10}decode-0 ×4$/m);
    expect(stdout).toMatch(/^ {2}salloc --no-shell .* --nodes=2 /m);
    expect(stdout.match(/^ {2}srun \\$/gm)).toHaveLength(3);
    expect(stdout).toContain("'--container-image=gitlab-master.nvidia.com#dl/ai-dynamo/dynamo:");
    const steps = /^frontend-0: [\s\S]*?^the whole/m.exec(stdout)![0];
    const blocks = [...steps.matchAll(/^ {2}\(\n([\s\S]*?)^ {2}\)$/gm)].map(([, block]) => block!);
    const { stdout: words } = spawnSync(
      'bash',
      [
        '-c',
        `srun() { printf '%s|' "$ENGINE_CONFIG" "$@"; echo; }\n${blocks.map((one) => `(\n${one})`).join('\n')}`,
      ],
      { encoding: 'utf8' },
    );
    const [frontend, prefill, decode] = words.trim().split('\n');
    expect(frontend).toMatch(
      /^\|--jobid=JOBID\|--overlap\|.*\|\/mnt\/multinode\/start_frontend_services\.sh\|$/,
    );
    expect(prefill).toMatch(/mtp_prefill\.yaml\|.*\|--ntasks=4\|.*\|-J\|RUN\.prefill-0\|--mpi=pmix\|/);
    expect(decode).toMatch(/mtp_decode\.yaml\|.*\|--nodelist=ptyche0341\|/);
  });

  it('gives the whole file, which can be planned again, and the plan as JSON', async () => {
    const full = path.join(place, 'full.yaml');
    writeFileSync(full, (await bench(['stack', 'plan', GUIDE, '--full'])).stdout);
    const json = async (file: string) =>
      JSON.parse((await bench(['stack', 'plan', file, '--json', '--nodes', 'a,b'])).stdout) as {
        gpus: number;
      };
    const plan = await json(GUIDE);
    expect(plan.gpus).toBe(8);
    expect(await json(full)).toEqual(plan);
  });

  it('shows no secret', async () => {
    const env = { HF_TOKEN: 'hf_abcdefghij' };
    for (const flags of [[], ['--json'], ['--full']]) {
      const { code, stdout, stderr } = await benchHere(['stack', 'plan', secret, ...flags], { env });
      expect(code).toBe(0);
      expect(stdout + stderr).not.toContain('hf_abc');
      expect(stdout).toContain('HF_TOKEN');
    }
  });

  it('tells every error of a file at its place', async () => {
    const { code, stdout, stderr } = await bench(['stack', 'plan', wrong]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toBe(
      `bench: 2 errors in ${wrong}
  ${wrong}:4:1: unknown key "clutser": did you mean "cluster"?
  ${wrong}:5:1: model.served_name is missing
`,
    );
  });

  it.each([
    ['no verb', ['stack'], /say what to do: bench stack plan/],
    ['a misspelt verb', ['stack', 'plna', GUIDE], /unknown command: stack plna\n {2}did you mean plan\?/],
    ['no file', ['stack', 'plan'], /bench stack plan: the stack file is missing/],
    [
      'a misspelt flag',
      ['stack', 'plan', GUIDE, '--node', 'a'],
      /unknown: --node\n {2}did you mean --nodes\? see bench stack plan --help/,
    ],
    ['no such file', ['stack', 'plan', '/no/such.yaml'], /cannot read the stack file \/no\/such\.yaml/],
    ['a bad list', ['stack', 'plan', GUIDE, '--nodes', 'a[1'], /"a\[1" is no list of nodes/],
    [
      'too few nodes',
      ['stack', 'plan', GUIDE, '--nodes', 'a'],
      /no node is left .*\n {2}the stack needs 2 nodes/,
    ],
    ['no form', ['stack', 'render', GUIDE], /the form is missing\n {2}write --sbatch/],
    ['nowhere to write', ['stack', 'render', GUIDE, '--sbatch', '--out', '/no/dir/x'], /--out: cannot write/],
  ])('refuses %s', async (_name, args, message) => {
    const { code, stdout, stderr } = await benchHere(args, { env: { HOME: '/home/x' } });
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
  });
});

describe('bench stack render', () => {
  it('writes a script that can be run', async () => {
    const out = path.join(place, 'job.sh');
    const { code, stderr } = await bench(['stack', 'render', GUIDE, '--sbatch', '--out', out]);
    expect(code).toBe(0);
    expect(stderr).toContain(`next: sbatch ${out}`);
    expect(statSync(out).mode & 0o111).toBe(0o111);
    expect(spawnSync('bash', ['-n', out]).status).toBe(0);
    expect(readFileSync(out, 'utf8')).toBe((await bench(['stack', 'render', GUIDE, '--sbatch'])).stdout);
  });
});

describe('the help', () => {
  it.each([
    ['stack', /bench stack plan <file>/],
    ['stack plan', /bench stack plan stack\.yaml --nodes a,b {2,}for these two nodes/],
    ['stack render', /--sbatch/],
  ])('of bench %s has its parts', async (verb, text) => {
    const { code, stdout } = await benchHere([...verb.split(' '), '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(text);
  });
});
