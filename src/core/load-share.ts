import type { PointSpec } from './spec.ts';

/**
 * A point shared out among `ranks` load generators, one point each, in the order of the ranks. Slots are
 * as even as can be, earlier ranks having one more; requests and warm-up follow the slots, so that all
 * ranks end at about the same time. A point of fewer slots than ranks uses the first of them: the others
 * get a concurrency of 0. The sums are exact.
 */
export function splitPoint(point: PointSpec, ranks: number): PointSpec[] {
  if (point.ratePerS !== undefined) return splitArrivals(point, ranks);
  const used = Math.min(point.concurrency, ranks);
  const least = Math.floor(point.concurrency / used);
  const larger = point.concurrency % used;
  const shares: PointSpec[] = [];
  let before = 0;
  for (let rank = 0; rank < ranks; rank++) {
    const slots = rank >= used ? 0 : least + (rank < larger ? 1 : 0);
    const upTo = before + slots;
    const part = (amount: number): number =>
      Math.floor((amount * upTo) / point.concurrency) - Math.floor((amount * before) / point.concurrency);
    shares.push({
      ...point,
      concurrency: slots,
      requests: point.requests === null ? null : part(point.requests),
      warmup: part(point.warmup),
    });
    before = upTo;
  }
  return shares;
}

/** Of an open loop each load generator takes every so many-th arrival of the one schedule. */
function splitArrivals(point: PointSpec, ranks: number): PointSpec[] {
  const requests = point.requests ?? 0;
  const used = Math.min(point.concurrency, requests, ranks);
  const share = (amount: number, nth: number): number => Math.floor((amount + used - 1 - nth) / used);
  return Array.from({ length: ranks }, (_, nth) =>
    nth >= used
      ? { ...point, concurrency: 0, requests: 0, warmup: 0 }
      : {
          ...point,
          share: { nth, of: used, requests },
          concurrency: share(point.concurrency, nth),
          requests: share(requests, nth),
          warmup: share(point.warmup, nth),
        },
  );
}
