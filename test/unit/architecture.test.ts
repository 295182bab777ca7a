import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const SRC = path.join(import.meta.dirname, '../../src');
/** A longer file wants a reason; none has one so far. */
const MOST_LINES = 320;
const NOT_PURE =
  /\b(process|console|Date(?!\.parse\b)|performance|setTimeout|setInterval|setImmediate|queueMicrotask|fetch)\s*[.(]|Math\.random|from 'node:|import\(/;

interface Source {
  readonly file: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: Source[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => {
    const text = readFileSync(path.join(SRC, file), 'utf8');
    const imports = [...text.matchAll(/(?:from |import\()'(\.[^']+)'/g)].map((match) =>
      path.join(path.dirname(file), match[1]!),
    );
    return { file, room: file.split(path.sep)[0]!, text, imports };
  });

describe('the house', () => {
  it('is a star: a room imports core and itself, core nothing, and only commands wire rooms', () => {
    const wrong = sources.flatMap(({ file, room, imports }) =>
      imports
        .map((target) => target.split(path.sep)[0]!)
        .filter((target) => target !== room && target !== 'core' && room !== 'commands' && file !== 'main.ts')
        .map((target) => `${file} imports ${target}/`),
    );
    expect(wrong).toEqual([]);
    expect(
      sources.filter(
        ({ room, imports }) => room === 'core' && imports.some((target) => !target.startsWith('core')),
      ),
    ).toEqual([]);
  });

  it('has a pure core: no clock, no process, no console, no Node module', () => {
    const code = (text: string): string => text.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    expect(
      sources
        .filter(({ room, text }) => room === 'core' && NOT_PURE.test(code(text)))
        .map(({ file }) => file),
    ).toEqual([]);
  });

  it('prints in one place, which shows control characters', () => {
    // The others are channels between processes of the program.
    const writers = ['commands/terminal.ts', 'commands/prompt-child.ts', 'commands/ranks/rank.ts'];
    expect(
      sources
        .filter(({ text }) => /process\.std(?:out|err)\)?\.write\b|\bconsole\.\w+\(/.test(text))
        .map(({ file }) => file)
        .sort(),
    ).toEqual(writers.sort());
  });

  it('has no folder or file for odds and ends', () => {
    expect(
      sources
        .map(({ file }) => file)
        .filter((file) => /(^|\/)(utils?|common|helpers?|misc)(\/|\.)/.test(file)),
    ).toEqual([]);
  });

  it('has no long file', () => {
    const long = sources.filter(({ text }) => text.split('\n').length > MOST_LINES).map(({ file }) => file);
    expect(long).toEqual([]);
  });
});
