import type { AddVerb } from '../verb.ts';
import { servingFlagNames } from './flags.ts';

/** Puts `bench serving` into the parser for the help and the completion alone: argparse's manners parse it. */
export const addServing: AddVerb = (y, { usage, about }) =>
  y.command(usage, about, (inner) =>
    inner.options(Object.fromEntries(servingFlagNames().map((name) => [name, {}]))),
  );
