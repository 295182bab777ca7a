import type { Preset } from './preset.ts';

/** Nothing but what the file says; where requests go, the model must be listed and a token be streamed. */
export const CUSTOM: Preset = {
  name: 'custom',
  about: 'every command is in the file',
  expand({ file }) {
    return {
      runtime: { ...file.runtime, inside: file.runtime?.inside ?? 'none' },
      infra: {},
      services: {},
      stackReady: {
        all: [{ model: { listed: true } }, { canary: {} }],
        timeout: '60m',
        interval: '500ms',
      },
      cleanupGlobs: [],
      remarks: [],
    };
  },
};
