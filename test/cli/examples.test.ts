import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { parsePolicy } from '../../src/gate/policy.ts';
import { MAIN, makeFolder, startServer } from '../fixtures/cli.ts';
import { scriptedStack } from '../fixtures/stack.ts';

// Whole workflows.
vi.setConfig({ testTimeout: 180_000 });

const README = readFileSync('README.md', 'utf8');
const SWEEP = '--isl 50 --osl 5 --concurrency 1,8 --repeats 4 --pause 0s';

/** The fenced block that follows a line of the README. */
function blockAfter(line: string): string {
  const found = new RegExp(`${line}\\n\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``).exec(README)?.[1];
  if (found === undefined) throw new Error(`the README has no block after ${line}`);
  return found;
}

/** Its policy, less strict: client and server share the cores of whoever runs this. */
function policy(): string {
  const text = /```yaml\n(# gate\.yaml[\s\S]*?)```/.exec(README)![1]!;
  expect(parsePolicy(text, 'README.md').requireValid).toBe(true);
  const wide = text
    .replace('require_valid: true', 'require_valid: false')
    .replace(/(max_(?:in|de)crease: )\d+%/g, '$170%');
  expect(wide.match(/70%/g)).toHaveLength(4);
  return wide;
}

interface Ran {
  readonly code: number | null;
  readonly output: string;
}

/** A folder with the program on its path, as after an installation, and a way to run lines of a shell in it. */
function workplace(): {
  cwd: string;
  run: (script: string, env?: Readonly<Record<string, string>>) => Promise<Ran>;
} {
  const cwd = makeFolder();
  const bin = path.join(cwd, 'bin');
  mkdirSync(bin);
  writeFileSync(path.join(bin, 'bench'), `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`);
  chmodSync(path.join(bin, 'bench'), 0o755);
  writeFileSync(path.join(cwd, 'gate.yaml'), policy());
  return {
    cwd,
    async run(script, env = {}) {
      const child = spawn('bash', ['-e', '-c', script], {
        cwd,
        env: { PATH: `${bin}:${process.env['PATH']}`, HOME: cwd, TMPDIR: cwd, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
      const [out, err, code] = await Promise.all([readAll(child.stdout), readAll(child.stderr), closed]);
      return { code, output: out + err };
    },
  };
}

interface Github {
  readonly jobs: Readonly<
    Record<string, { env: Record<string, string>; steps: { name?: string; run?: string }[] }>
  >;
}

interface Gitlab {
  readonly bench: {
    variables: Record<string, string>;
    script: string[];
    artifacts: { reports: { junit: string } };
  };
}

it("does what the README's workflow of GitHub Actions does, and its job of GitLab CI is the same", async () => {
  const { env: variables, steps } = (parse(blockAfter('<!-- example: github -->')) as Github).jobs['gate']!;
  const command = (name: string): string => steps.find((step) => step.name === name)!.run!;
  expect(steps.flatMap((step) => step.run ?? [])).toHaveLength(3);
  expect(command('install')).toContain('npm install');
  expect(Object.keys(variables)).toEqual(['URL', 'SWEEP']);
  const [measure, gate] = [command('measure'), command('gate')];
  const gitlab = (parse(blockAfter('<!-- example: gitlab -->')) as Gitlab).bench;
  expect(gitlab.script).toEqual([measure, gate]);
  expect(gitlab.variables).toEqual(variables);
  expect(gitlab.artifacts.reports.junit).toBe('gate.xml');

  const { url } = await startServer('--ttft 20ms --step 2ms');
  const { cwd, run } = workplace();
  const env = { URL: url, SWEEP, GITHUB_STEP_SUMMARY: path.join(cwd, 'summary.md') };
  const first = await run(
    `${measure}; bench gate results/change --update --baseline baseline.json --policy gate.yaml; rm -r results`,
    env,
  );
  expect(first).toMatchObject({
    code: 0,
    output: expect.stringContaining('baseline.json has 4 runs of 2 levels'),
  });
  expect(await run(measure, env)).toMatchObject({ code: 0 });
  const judged = await run(gate, env);
  expect(judged.output).toMatch(/gate {2}(PASS|INCONCLUSIVE)/);
  expect(judged.code).toBe(0);
  expect(readFileSync(path.join(cwd, 'gate.xml'), 'utf8')).toContain(
    'e2eMs.p50, 50×5 C=8, against the baseline',
  );
  expect(readFileSync(env.GITHUB_STEP_SUMMARY, 'utf8')).toContain('| itlMs.p95 |');
});

it("does what the README's nightly script does: a stack launched, measured and judged, its run added to the history", async () => {
  const stack = await scriptedStack();
  const { cwd, run } = workplace();
  writeFileSync(path.join(cwd, 'nightly.sh'), blockAfter('<!-- example: slurm -->'));
  writeFileSync(path.join(cwd, 'stack.yaml'), readFileSync(stack.file));
  const env = {
    BENCH_HOME: cwd,
    SWEEP: '--isl 20 --isl-counts content --osl 4 --concurrency 1,8 --warmup 0 --pause 0s',
  };
  for (const known of ['1 run', '2 runs', '3 runs']) {
    const night = await run('bash nightly.sh', env);
    expect(night).toMatchObject({
      code: 0,
      output: expect.stringContaining(`nightly.json has ${known} of 2 levels`),
    });
    // Too few nights to judge another.
    expect(night.output).not.toContain('gate  ');
  }
  // These three were made within a minute.
  const file = path.join(cwd, 'nightly.json');
  const baseline = JSON.parse(readFileSync(file, 'utf8')) as { runs: { utc: string }[] };
  for (const [nth, one] of baseline.runs.entries()) one.utc = `2026-06-0${nth + 1}T02:00:00.000Z`;
  writeFileSync(file, JSON.stringify(baseline, null, 2));
  const fourth = await run('bash nightly.sh', env);
  expect(fourth).toMatchObject({
    code: 0,
    output: expect.stringContaining('nightly.json has 4 runs of 2 levels'),
  });
  expect(fourth.output).toMatch(/gate {2}(PASS|INCONCLUSIVE)/);
  expect(fourth.output).toContain('and an anchor of 3 runs');
  const last = readdirSync(path.join(cwd, 'results')).sort().at(-1)!;
  expect(existsSync(path.join(cwd, 'results', last, 'gate.xml'))).toBe(true);
});
