import type { ArrivalKind } from '../core/arrival.ts';

/** A closed loop: as many users as the level says, each sending its next request the moment the last one ended. */
export const closed = {
  name: 'closed',
  about: 'a fixed number of requests in flight; the next is sent the moment one ends',
  schedule: null,
} satisfies ArrivalKind;
