import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts', 'test/integration/**/*.test.ts', 'test/cli/**/*.test.ts'],
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
