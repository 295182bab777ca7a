import type { AddVerb } from '../verb.ts';
import { CONFORMANCE_OPTIONS, runConformance } from './conformance.ts';

/** Puts `bench conformance` into the parser. */
export const addConformance: AddVerb = (y, { usage, about, declare, set }) =>
  y.command(
    usage,
    about,
    (inner) =>
      declare(inner, CONFORMANCE_OPTIONS)
        .example('$0 conformance', "bench's own numbers, in about a minute")
        .example('$0 conformance --client bench,sglang --cases loaded', 'two clients under load')
        .example(
          '$0 conformance --truth truth.ndjson --result result.json',
          'a result of any client that ran against bench mock --truth truth.ndjson',
        ),
    async (argv) => set(await runConformance(argv)),
  );
