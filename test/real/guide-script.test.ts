import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DynamoStack, dynamoMissing, dynamoPython, startDynamo } from './dynamo.ts';
import { notRun } from './not-run.ts';
import { parseSglangLine } from './sglang-original.ts';

const here = path.dirname(fileURLToPath(import.meta.url));
const main = path.join(here, '../../dist/main.js');
/** The script of a deployment guide as it stands there, but for the first words of the command. */
const SCRIPT = path.join(here, 'guide_bench.py');
/** What the script has in itself. */
const GUIDE = {
  port: 8_000,
  model: 'hf-574fdb8-nim_fp4',
  isl: 4_000,
  osl: 1_000,
  levels: [1, 2, 4, 8, 16, 32, 64, 128],
  outputFile: 'tmp-25k-nodp.4nodes.out',
  heading: 'max_prefill:8192,max_running_requests:128,torch_compile:False,is_dp:False',
};
const LONGEST_MS = 280_000;

const missing = notRun("the guide's script against a real Dynamo", dynamoMissing());

describe.skipIf(missing !== null)('the guide’s script with bench in the place of sglang', () => {
  let work: string;
  let stack: DynamoStack;
  let internet: Counted;

  beforeAll(async () => {
    if (!existsSync(main)) throw new Error(`no ${main}: run npm run build first`);
    const taken = await whyTaken(GUIDE.port);
    if (taken !== null)
      throw new Error(`the guide's script needs port ${GUIDE.port}, which is taken: ${taken}`);
    work = mkdtempSync(path.join(tmpdir(), 'bench-guide-'));
    internet = await countConnections();
    const stackDir = path.join(work, 'stack');
    mkdirSync(stackDir);
    stack = await startDynamo({
      workDir: stackDir,
      httpPort: GUIDE.port,
      modelName: GUIDE.model,
      speedupRatio: 20,
    });
  });

  afterAll(async () => {
    await stack?.stop();
    internet?.server.close();
    if (work) rmSync(work, { recursive: true, force: true });
  });

  it(
    'runs all levels, exactly as long as asked, and writes the file that the guide reads',
    async () => {
      const run = await runScript();
      expect(run.code, run.stdout + run.stderr).toBe(0);

      expect(run.stdout.match(/^finish 1 benchmark$/gm)).toHaveLength(GUIDE.levels.length);
      const blocks = run.stdout.match(/^\n=+ Serving Benchmark Result =+\nBackend: +sglang-oai-chat\n/gm);
      expect(blocks).toHaveLength(GUIDE.levels.length);

      const lines = readFileSync(path.join(work, GUIDE.outputFile), 'utf8').split('\n');
      expect(lines.pop()).toBe('');
      expect(lines).toHaveLength(2 * GUIDE.levels.length);
      for (const [i, concurrency] of GUIDE.levels.entries()) {
        expect(lines[2 * i]).toBe(GUIDE.heading);
        const text = lines[2 * i + 1]!;
        expect(text).toContain('"request_rate": Infinity, ');
        const completed = 4 * concurrency;
        expect(parseSglangLine(text)).toMatchObject({
          backend: 'sglang-oai-chat',
          dataset_name: 'random',
          request_rate: 'Infinity',
          max_concurrency: concurrency,
          random_input_len: GUIDE.isl,
          random_output_len: GUIDE.osl,
          random_range_ratio: 1,
          completed,
          total_input_tokens: completed * GUIDE.isl,
          total_output_tokens: completed * GUIDE.osl,
        });
      }

      // The served name is no model of a hub: none was asked for it, and the user is told what counts instead.
      expect(internet.connections).toBe(0);
      expect(run.stderr.match(/no --tokenizer given/g)).toHaveLength(GUIDE.levels.length);
    },
    LONGEST_MS + 10_000,
  );

  /** Runs the script to its end, with `bench` on its path and every way to the internet counted. */
  function runScript(): Promise<{ code: number | null; stdout: string; stderr: string }> {
    const bin = path.join(work, 'bin');
    mkdirSync(bin);
    writeFileSync(path.join(bin, 'bench'), `#!/bin/sh\nexec "${process.execPath}" "${main}" "$@"\n`, {
      mode: 0o755,
    });
    const child = spawn(dynamoPython(), [SCRIPT], {
      cwd: work,
      env: {
        PATH: `${bin}:${process.env['PATH']}`,
        HOME: work,
        TMPDIR: work,
        HF_ENDPOINT: internet.url,
        HTTP_PROXY: internet.url,
        HTTPS_PROXY: internet.url,
        NO_PROXY: 'localhost,127.0.0.1,0.0.0.0',
      },
      // A group of its own, so that what the script started ends with it.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        output[name] += text;
      });
    }
    const end = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {
        // The whole group is gone already.
      }
    };
    const limit = setTimeout(end, LONGEST_MS);
    process.once('exit', end);
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        clearTimeout(limit);
        process.off('exit', end);
        resolve({ code, ...output });
      });
    });
  }
});

interface Counted {
  readonly url: string;
  readonly server: Server;
  connections: number;
}

/** Stands for the internet: counts who comes, and sends them away. */
async function countConnections(): Promise<Counted> {
  const server = createServer((socket) => {
    counted.connections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address() as { port: number };
  const counted: Counted = { url: `http://127.0.0.1:${address.port}`, server, connections: 0 };
  return counted;
}

/** Why nobody can listen on a port of any address, in one line; null when one can. */
function whyTaken(port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(error.message));
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(null)));
  });
}
