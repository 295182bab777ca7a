import { CUSTOM } from './custom.ts';
import { MOCKER } from './mocker.ts';
import type { Preset } from './preset.ts';
import { SGLANG } from './sglang.ts';
import { TRTLLM } from './trtllm.ts';
import { VLLM } from './vllm.ts';

/** Every `preset:`, by name. */
export const PRESETS: readonly Preset[] = [CUSTOM, TRTLLM, VLLM, SGLANG, MOCKER];
