import { defineConfig } from 'vitest/config';

/** The real-component suite: real servers and real tokenizers, one file at a time. */
export default defineConfig({
  test: {
    include: ['test/real/**/*.test.ts'],
    exclude: ['test/real/node_modules/**', 'test/real/.venv/**', 'test/real/.sglang/**'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 180_000,
    teardownTimeout: 30_000,
  },
});
