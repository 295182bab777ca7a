/** Numbers and names of requests, in the order of sending. */
export interface RequestIds {
  next(): { readonly id: number; readonly requestId: string };
}

/** Names are `<prefix>-<number>`; `first` is the first number. */
export function newRequestIds(prefix: string, first = 0): RequestIds {
  let id = first;
  return {
    next() {
      const requestId = `${prefix}-${id}`;
      return { id: id++, requestId };
    },
  };
}
