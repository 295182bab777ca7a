import { defineConfig } from 'vitest/config';

const files = (...names: string[]) => names.map((name) => `test/real/${name}.test.ts`);

/** Judge times of two programs. */
const ALONE = files('load-ranks', 'serving-original');
/** Count on the time that a load takes, and wait for that most of theirs. */
const PAIRED = files('stack-slurm', 'stack-slurm-batch');
const NOT_OURS = ['test/real/node_modules/**', 'test/real/.venv/**', 'test/real/.sglang/**'];

/** The real-component suite: real servers, a real SLURM and real tokenizers. */
export default defineConfig({
  test: {
    pool: 'forks',
    testTimeout: 300_000,
    hookTimeout: 180_000,
    teardownTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: { name: 'alone', include: ALONE, maxWorkers: 1, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: { name: 'paired', include: PAIRED, maxWorkers: 2, sequence: { groupOrder: 1 } },
      },
      {
        extends: true,
        test: {
          name: 'beside',
          include: ['test/real/**/*.test.ts'],
          exclude: [...ALONE, ...PAIRED, ...NOT_OURS],
          // These wait for deadlines and grace periods most of the time.
          maxWorkers: 4,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
