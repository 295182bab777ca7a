import type { Preset } from './preset.ts';

/** Nothing but what the file says; the whole must list the model and stream a token where it has a frontend. */
export const CUSTOM: Preset = {
  name: 'custom',
  about: 'every command is in the file',
  expand({ file, roles }) {
    return {
      runtime: { ...file.runtime, inside: file.runtime?.inside ?? 'none' },
      infra: {},
      services: {},
      stackReady: {
        all: [...roles.values()].includes('frontend') ? [{ model: { listed: true } }, { canary: {} }] : [],
        timeout: '60m',
        interval: '2s',
      },
      cleanupGlobs: [],
      remarks: [],
    };
  },
};
