import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogTail, type TailedLine } from '../../src/stack/launch/log-tail.ts';

let dir: string;
let file: string;
let lines: TailedLine[];
let tail: LogTail;
const texts = (): string[] => lines.map(({ line }) => line);

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'bench-tail-'));
  file = path.join(dir, 'a.log');
  lines = [];
  tail = new LogTail((line) => lines.push(line), 5);
  tail.follow(file);
});

afterEach(async () => {
  await tail.stop();
  await rm(dir, { recursive: true });
});

describe('a log tail', () => {
  it('waits for a file that comes late, and for the end of a line', async () => {
    await tail.poll();
    expect(tail.bytesSeen(file)).toBe(0);
    await writeFile(file, 'one\ntw');
    await tail.poll();
    expect(texts()).toEqual(['one']);
    await appendFile(file, 'o\n\nthree');
    await tail.poll();
    expect(lines).toEqual([
      { file, line: 'one', offset: 0 },
      { file, line: 'two', offset: 4 },
      { file, line: '', offset: 8 },
    ]);
    expect(tail.bytesSeen(file)).toBe(14);
    await tail.stop();
    expect(lines.at(-1)).toEqual({ file, line: 'three', offset: 9 });
  });

  it('gives a last line without an end once nobody writes any more', async () => {
    await writeFile(file, 'one\nbind: address already in use');
    await tail.poll();
    expect(texts()).toEqual(['one']);
    await tail.finish(file);
    await tail.finish(file);
    expect(texts()).toEqual(['one', 'bind: address already in use']);
  });

  it('keeps a character whole that was written in two halves', async () => {
    const bytes = Buffer.from('héé 部署\n');
    await writeFile(file, bytes.subarray(0, 2));
    await tail.poll();
    await appendFile(file, bytes.subarray(2, 8));
    await tail.poll();
    await appendFile(file, bytes.subarray(8));
    await tail.poll();
    expect(texts()).toEqual(['héé 部署']);
  });

  it('starts again when the file is truncated', async () => {
    await writeFile(file, 'first\nsecond\nhalf');
    await tail.poll();
    await truncate(file, 0);
    await appendFile(file, 'again\n');
    await tail.poll();
    expect(texts()).toEqual(['first', 'second', 'half', 'again']);
    expect(lines.at(-1)?.offset).toBe(0);
    expect(tail.bytesSeen(file)).toBe(17 + 6);
  });

  it('reads the rest of a rotated file before the new one, whatever their sizes', async () => {
    await writeFile(file, 'old 1\n');
    await tail.poll();
    await appendFile(file, 'old 2\nunfinished');
    await rename(file, path.join(dir, 'a.log.1'));
    await writeFile(file, `new 1\n${'x'.repeat(50)}\n`);
    await tail.poll();
    expect(texts()).toEqual(['old 1', 'old 2', 'unfinished', 'new 1', 'x'.repeat(50)]);
  });

  it('survives that the file is gone for a while', async () => {
    await writeFile(file, 'one\n');
    await tail.poll();
    await rename(file, path.join(dir, 'gone'));
    await tail.poll();
    expect(tail.trouble(file)).toBeNull();
    await writeFile(file, 'two\n');
    await tail.poll();
    expect(texts()).toEqual(['one', 'two']);
  });

  it('says why a file cannot be read, and goes on with the others', async () => {
    const other = path.join(dir, 'b.log');
    const folder = path.join(dir, 'folder-as-file', 'x');
    await writeFile(path.join(dir, 'folder-as-file'), '');
    tail.follow(folder);
    tail.follow(other);
    await writeFile(other, 'fine\n');
    await tail.poll();
    expect(tail.trouble(folder)).toMatch(/ENOTDIR/);
    expect(texts()).toEqual(['fine']);
  });

  it('cuts a line that never ends, without tearing a character', async () => {
    const line = 'é'.repeat(100_001);
    await writeFile(file, `x${line}`);
    await tail.poll();
    expect(lines.length).toBeGreaterThan(1);
    for (const piece of texts()) expect(Buffer.byteLength(piece)).toBeLessThanOrEqual(64 * 1024);
    await tail.stop();
    expect(texts().join('')).toBe(`x${line}`);
  });

  it('keeps the last 20 lines of each file', async () => {
    const written = Array.from({ length: 50 }, (_, index) => `line ${index}`);
    await writeFile(file, `${written.join('\n')}\n`);
    await tail.poll();
    expect(tail.lastLines(file)).toEqual(written.slice(30));
    expect(tail.lastLines('other')).toEqual([]);
  });

  it('reads more than a chunk at once, every line once and in order', async () => {
    const written = Array.from({ length: 20_000 }, (_, index) => `${index}: some text of line ${index}`);
    await writeFile(file, `${written.join('\n')}\n`);
    await Promise.all([tail.poll(), tail.poll()]);
    expect(texts()).toEqual(written);
  });

  it('looks by itself once started', async () => {
    tail.start();
    await writeFile(file, 'by itself\n');
    await expect.poll(() => texts(), { timeout: 5000 }).toEqual(['by itself']);
  });
});
