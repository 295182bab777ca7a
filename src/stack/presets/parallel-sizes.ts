import { PARALLEL_FLAGS } from '../file/parallel-flags.ts';
import type { Remark } from '../file/stack.ts';
import type { PresetInput } from './preset.ts';

/**
 * Workers over several nodes whose engine would use one: vLLM and SGLang take every parallel size to be 1 unless they
 * are given another, and then wait for nodes that never join, or serve without them. Sizes in a file of the engine
 * or a command of one's own are not known here.
 */
export function parallelFindings({ file, roles }: PresetInput): Remark[] {
  return [...roles].flatMap(([name, role]) => {
    const { nodes = 1, args = {}, engine_config, command, script } = file.services[name]!;
    const isWorker = role === 'prefill' || role === 'decode' || role === 'agg';
    if (
      !isWorker ||
      nodes === 1 ||
      engine_config !== undefined ||
      command !== undefined ||
      script !== undefined
    )
      return [];
    const gpus = Object.values(PARALLEL_FLAGS)
      .map((names) => Number(names.map((flag) => args[flag]).find((size) => size !== undefined) ?? 1))
      .reduce((product, size) => product * size, 1);
    if (!(gpus < nodes)) return [];
    return [
      {
        path: ['services', name, 'nodes'],
        message: `${nodes} nodes, but the parallel sizes in args make ${gpus} GPU${gpus === 1 ? '' : 's'}: give --tensor-parallel-size (or the pipeline or data one)`,
        level: 'error' as const,
      },
    ];
  });
}
