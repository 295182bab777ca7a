import { readFileSync } from 'node:fs';

declare const BENCH_VERSION: string | undefined;

/** Version of this package: put in by the build, else read from package.json. */
export const VERSION: string =
  typeof BENCH_VERSION === 'string'
    ? BENCH_VERSION
    : (
        JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
          version: string;
        }
      ).version;
