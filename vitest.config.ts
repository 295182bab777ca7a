import { defineConfig } from 'vitest/config';

const ALONE = ['truth', 'validity', 'conformance', 'gate-sockets'].map((name) => `test/cli/${name}.test.ts`);

export default defineConfig({
  test: {
    // The built program runs as it is.
    server: { deps: { external: [/\/dist\//] } },
    projects: [
      {
        extends: true,
        test: {
          name: 'all',
          include: ['test/unit/**/*.test.ts', 'test/integration/**/*.test.ts', 'test/cli/**/*.test.ts'],
          exclude: ALONE,
          sequence: { groupOrder: 0 },
        },
      },
      // Milliseconds are judged against a known truth: nothing else may run beside it.
      {
        extends: true,
        test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
    // Whole runs of the program, several at a time on few cores: a limit for what hangs, no measure of speed.
    testTimeout: 90_000,
    hookTimeout: 60_000,
    // Two cores: more files at once would only take time from the servers under test.
    maxWorkers: 2,
    coverage: {
      provider: 'v8',
      include: ['src/core/**'],
      reporter: ['text-summary'],
      thresholds: { lines: 95 },
    },
  },
});
