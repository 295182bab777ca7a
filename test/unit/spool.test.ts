import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BenchError } from '../../src/core/errors.ts';
import type { Prompt, Salting } from '../../src/core/spec.ts';
import { SpoolReader, SpoolWriter } from '../../src/host/spool.ts';
import { folderWith } from './small-tokenizers.ts';

const SALTING: Salting = {
  seed: 1,
  salt: 's',
  firstWords: ['Uno', 'Due', 'Tre', 'Sei', 'Otto'],
  words: ['red', 'green', 'blue', 'grey', 'black', 'white', 'pink', 'brown'],
  saltWords: 3,
};

const prompt = (text: string, promptTokens: number | null = 5): Prompt => ({
  content: Buffer.from(text, 'utf8'),
  isl: 5,
  osl: 7,
  promptTokens,
});
const textOf = ({ content }: Prompt): string => Buffer.from(content).toString('utf8');
const newPath = (): string => join(folderWith({}), 'prompts.spool');

function spoolOf(texts: readonly string[], phase: 'measured' | 'warmup' = 'measured'): SpoolReader {
  const path = newPath();
  const writer = new SpoolWriter(path);
  for (const [index, text] of texts.entries()) writer.add(0, phase, index, prompt(text));
  writer.close(SALTING);
  return new SpoolReader(path);
}

describe('a spool of prompts', () => {
  it('gives back what was put in', () => {
    const path = newPath();
    const writer = new SpoolWriter(path);
    const long = 'x'.repeat(5 * 1024 * 1024);
    writer.add(2, 'warmup', 0, prompt('erste \\n Zeile'));
    writer.add(2, 'measured', 0, prompt('漢字 🙂', null));
    writer.add(2, 'measured', 1, { content: Buffer.from(long), isl: 4_000, osl: 1, promptTokens: 0 });
    writer.add(3, 'measured', 0, prompt(''));
    writer.close(SALTING);

    const reader = new SpoolReader(path);
    expect(textOf(reader.take(2, 'warmup', 0))).toBe('erste \\n Zeile');
    expect(textOf(reader.take(2, 'measured', 0))).toBe('漢字 🙂');
    expect(reader.take(2, 'measured', 0)).toMatchObject({ isl: 5, osl: 7, promptTokens: null });
    expect(reader.take(2, 'measured', 1)).toMatchObject({ isl: 4_000, osl: 1, promptTokens: 0 });
    expect(textOf(reader.take(2, 'measured', 1))).toBe(long);
    expect(textOf(reader.take(3, 'measured', 0))).toBe('');
    expect([
      reader.available(2, 'measured'),
      reader.available(2, 'hold'),
      reader.available(9, 'hold'),
    ]).toEqual([2, 0, 0]);
    reader.close();
  });

  it('never lends its memory twice', () => {
    const reader = spoolOf(['one two three four', 'five six seven eight']);
    const first = reader.take(0, 'measured', 0);
    reader.take(0, 'measured', 1).content.fill(0);
    expect(textOf(first)).toBe('one two three four');
  });

  it('wants the indices in order', () => {
    const writer = new SpoolWriter(newPath());
    writer.add(0, 'measured', 0, prompt('a'));
    expect(() => writer.add(0, 'measured', 2, prompt('b'))).toThrow('out of order');
    expect(() => writer.add(0, 'hold', 1, prompt('b'))).toThrow('out of order');
    writer.add(0, 'hold', 0, prompt('c'));
    expect(() => writer.add(0, 'measured', 1, prompt('d'))).toThrow('out of order');
  });

  it('finds each of many, in any order', () => {
    const texts = Array.from({ length: 3_000 }, (_, i) => `prompt ${i}`);
    const reader = spoolOf(texts);
    expect(reader.available(0, 'measured')).toBe(3_000);
    for (const i of [0, 1, 1_023, 1_024, 2_999, 5, 2_048, 2_047])
      expect(textOf(reader.take(0, 'measured', i))).toBe(`prompt ${i}`);
    expect(texts.findIndex((text, i) => textOf(reader.take(0, 'measured', i)) !== text)).toBe(-1);
    reader.close();
  });
});

describe('prompts that are used again', () => {
  const bodies = ['s s s body one', 's s s body two'];

  it('keep their body and get other salt words', () => {
    const reader = spoolOf(bodies);
    const again = Array.from({ length: 40 }, (_, i) => textOf(reader.take(0, 'measured', 2 + i)));
    for (const [i, text] of again.entries()) {
      const words = text.split(' ');
      expect(words.slice(3).join(' ')).toBe(i % 2 === 0 ? 'body one' : 'body two');
      expect(SALTING.firstWords).toContain(words[0]);
      expect(SALTING.words).toContain(words[1]);
      expect(SALTING.words).toContain(words[2]);
    }
    // 5 · 8 · 8 = 320 salts: 40 draws have about 2 repeats.
    expect(new Set(again).size).toBeGreaterThan(30);
    expect(reader.take(0, 'measured', 2)).toMatchObject({ isl: 5, osl: 7, promptTokens: 5 });
  });

  it('are the same each time and differ by phase', () => {
    const [one, two] = [spoolOf(bodies), spoolOf(bodies)];
    expect(textOf(one.take(0, 'measured', 11))).toBe(textOf(two.take(0, 'measured', 11)));
    const differ = [11, 12, 13, 14].filter(
      (index) => textOf(one.take(0, 'hold', index)) !== textOf(one.take(0, 'measured', index)),
    );
    expect(differ.length).toBeGreaterThan(0);
  });

  it('keep their number of words when they are shorter than the salt', () => {
    const reader = spoolOf(['one', 'one two']);
    expect(textOf(reader.take(0, 'measured', 2)).split(' ').length).toBe(1);
    expect(textOf(reader.take(0, 'measured', 3)).split(' ').length).toBe(2);
  });

  it('keep what they share with others, and get other words behind it', () => {
    const path = newPath();
    const writer = new SpoolWriter(path);
    writer.add(0, 'measured', 0, { ...prompt('Ein Kopf s s s body'), keepBytes: 9 });
    writer.close(SALTING);
    const reader = new SpoolReader(path);
    const again = Array.from({ length: 20 }, (_, i) => textOf(reader.take(0, 'measured', 1 + i)));
    for (const text of again) {
      expect(text).toMatch(/^Ein Kopf \w+ \w+ \w+ body$/);
      for (const word of text.split(' ').slice(2, 5)) expect(SALTING.words).toContain(word);
    }
    expect(new Set(again).size).toBeGreaterThan(15);
  });

  it('stay as they are where they have no words of salt, and an unknown length stays unknown', () => {
    const path = newPath();
    const writer = new SpoolWriter(path);
    writer.add(0, 'measured', 0, { ...prompt('as it is', null), isl: null });
    writer.close({ ...SALTING, saltWords: 0, firstWords: [''], words: [''] });
    const reader = new SpoolReader(path);
    expect(textOf(reader.take(0, 'measured', 5))).toBe('as it is');
    expect(reader.take(0, 'measured', 5)).toMatchObject({ isl: null, promptTokens: null, osl: 7 });
  });

  it('come from another phase when a phase has none', () => {
    expect(
      textOf(spoolOf(bodies, 'warmup').take(0, 'hold', 0))
        .split(' ')
        .slice(3),
    ).toEqual(['body', 'one']);
    expect(() => spoolOf(bodies).take(1, 'measured', 0)).toThrow('no prompt was made for point 1');
  });
});

describe('files that fail', () => {
  it.skipIf(!existsSync('/dev/full'))('tell a full disk in one line', () => {
    const writer = new SpoolWriter('/dev/full');
    writer.add(0, 'measured', 0, prompt('x'));
    const close = (): void => writer.close(SALTING);
    expect(close).toThrow(BenchError);
    expect(close).toThrow(/^the disk is full: .*\/dev\/full$/);
    writer.discard();
    expect(existsSync('/dev/full')).toBe(true);
  });

  it('tell a folder that is not there', () => {
    expect(() => new SpoolWriter('/no/such/folder/spool')).toThrow('cannot use /no/such/folder/spool');
    expect(() => new SpoolReader('/no/such/folder/spool')).toThrow(BenchError);
  });

  it('refuse a file that is no spool, or was cut off', () => {
    const path = newPath();
    for (const content of ['', 'short', 'x'.repeat(400)]) {
      writeFileSync(path, content);
      expect(() => new SpoolReader(path)).toThrow('no finished file of prompts');
    }
  });

  it('leave nothing behind when they are given up', () => {
    const path = newPath();
    const writer = new SpoolWriter(path);
    writer.add(0, 'measured', 0, prompt('x'));
    writer.discard();
    expect(existsSync(path)).toBe(false);
  });
});
