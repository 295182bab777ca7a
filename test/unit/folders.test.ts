import fs, { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeFolders } from '../../src/core/folders.ts';

const root = mkdtempSync(path.join(os.tmpdir(), 'folders-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** A disk that has some folders and takes new ones where `takes` says so. */
function disk(there: readonly string[], takes: (folder: string) => boolean = () => true) {
  const folders = new Set(there);
  const made: string[] = [];
  return {
    made,
    folders,
    existsSync: (place: string) => folders.has(place),
    mkdirSync(folder: string) {
      if (!takes(folder)) throw new Error(`refused ${folder}`);
      folders.add(folder);
      made.push(folder);
    },
  };
}

describe('makeFolders', () => {
  it.each([
    ['/a/b/c/d', ['/a', '/a/b'], ['/a/b/c', '/a/b/c/d']],
    ['/a', [], ['/a']],
    ['results/x', [], ['results', 'results/x']],
    ['one', [], ['one']],
    ['/a/b', ['/a', '/a/b'], []],
  ])('%s beside %j makes %j', (folder, there, made) => {
    const fake = disk(there);
    makeFolders(folder, fake);
    expect(fake.made).toEqual(made);
  });

  it('ends with what the system says where a folder takes no other', () => {
    const fake = disk(['/proc'], () => false);
    expect(() => makeFolders('/proc/nope/bench-serving', fake)).toThrow('refused /proc/nope');
    expect(fake.made).toEqual([]);
  });

  it('takes what another process made meanwhile', () => {
    const fake = disk(['/a']);
    const racing = {
      ...fake,
      mkdirSync(folder: string) {
        fake.folders.add(folder);
        throw new Error('EEXIST');
      },
    };
    expect(() => makeFolders('/a/b/c', racing)).not.toThrow();
  });

  it('works on the disk, with a slash at the end too', () => {
    makeFolders(path.join(root, 'a/b/c/'), fs);
    expect(statSync(path.join(root, 'a/b/c')).isDirectory()).toBe(true);
    writeFileSync(path.join(root, 'file'), '');
    expect(() => makeFolders(path.join(root, 'file/x'), fs)).toThrow('ENOTDIR');
  });

  it.skipIf(!existsSync('/proc/self'))('ends in /proc', () => {
    expect(() => makeFolders('/proc/nope/bench-serving', fs)).toThrow('ENOENT');
  });
});
