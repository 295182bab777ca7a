/** Flags of vLLM and SGLang for the parallel sizes of a replica, in all spellings. */
export const PARALLEL_FLAGS = {
  tensor: ['--tensor-parallel-size', '--tp-size', '--tp', '-tp'],
  pipeline: ['--pipeline-parallel-size', '--pp-size', '--pp', '-pp'],
  data: ['--data-parallel-size', '--dp-size', '--dp', '-dp'],
} as const;
