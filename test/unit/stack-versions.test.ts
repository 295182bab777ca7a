import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { runCommand } from '../../src/stack/launch/slurm.ts';
import { imageFacts } from '../../src/stack/preflight/image-facts.ts';
import {
  packageVersionsCommand,
  parsePackageVersions,
  versionsIn,
} from '../../src/stack/preflight/versions.ts';

it('hears the versions that engines tell, and nothing else', () => {
  expect(versionsIn('[TensorRT-LLM] TensorRT-LLM version: 1.0.0rc6')).toEqual({ 'tensorrt-llm': '1.0.0rc6' });
  expect(versionsIn('INFO 08-21 08:17:04 api_server.py:1805] vLLM API server version 0.10.1.1')).toEqual({
    vllm: '0.10.1.1',
  });
  expect(versionsIn('Initializing a V1 LLM engine (v0.10.1) with config: model=x')).toEqual({});
  expect(versionsIn('Model init total -- 55.42s')).toEqual({});
});

it('reads the packages of a Python without importing them', async () => {
  const { code, stdout } = await runCommand(packageVersionsCommand('python3'));
  expect(code).toBe(0);
  expect(Object.values(parsePackageVersions(stdout)).every((version) => /^\d/.test(version))).toBe(true);
  expect(parsePackageVersions('noise\nai-dynamo 1.4.2\nvllm 0.10.1.1\nother 3\n')).toEqual({
    'ai-dynamo': '1.4.2',
    vllm: '0.10.1.1',
  });
});

it('tells the digest that a reference names, and that of an image file', async () => {
  const digest = `sha256:${'ab'.repeat(32)}`;
  expect(await imageFacts(`nvcr.io#nvidia/x@${digest}`)).toEqual({
    reference: `nvcr.io#nvidia/x@${digest}`,
    digest,
    bytes: null,
    modified: null,
  });
  expect((await imageFacts('nvcr.io#nvidia/x:1.0')).digest).toBeNull();
  const dir = mkdtempSync(path.join(tmpdir(), 'image-'));
  try {
    const file = path.join(dir, 'x.sqsh');
    writeFileSync(file, 'hsqs');
    const facts = await imageFacts(file);
    expect(facts.digest).toBe(`sha256:${createHash('sha256').update('hsqs').digest('hex')}`);
    expect(facts.bytes).toBe(4);
    expect((await imageFacts(path.join(dir, 'none.sqsh'))).digest).toBeNull();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
