import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Take the longest of those that run side by side, from the longest on: one that begins last is waited for alone. */
const LONG = [
  'stack-failures.test',
  'guide-script',
  'stack-failures-serving',
  'stack-slurm-ends',
  'receiver-native',
  'sweep-dynamo',
  'tokenizers',
  'bench-client',
  'slurm-cluster',
  'receiver-arm64',
  'receiver-build',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((name) => moduleId.includes(name));
      return at < 0 ? LONG.length : at;
    };
    return [...files].sort((a, b) => rank(a) - rank(b));
  }
}

/** Judge times of two programs, or count on the time that a load takes. */
const ALONE = ['load-ranks', 'serving-original', 'stack-slurm', 'stack-slurm-batch'].map(
  (name) => `test/real/${name}.test.ts`,
);
const NOT_OURS = ['node_modules', '.venv', '.sglang', '.zig'].map((name) => `test/real/**/${name}/**`);

/** The real-component suite: real servers, a real SLURM and real tokenizers. */
export default defineConfig({
  test: {
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
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
        test: {
          name: 'beside',
          include: ['test/real/**/*.test.ts'],
          exclude: [...ALONE, ...NOT_OURS],
          // These wait for deadlines and grace periods most of the time.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
