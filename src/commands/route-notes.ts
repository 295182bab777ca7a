import type { Control } from '../endpoints/control.ts';
import { routeWords } from '../endpoints/proxy.ts';

/** How requests reach the targets for which the environment names a proxy, in sentences. */
export interface RouteNotes {
  readonly throughProxy: readonly string[];
  readonly directly: readonly string[];
}

export function routeNotes(controls: readonly Control[]): RouteNotes {
  const notes = (of: readonly Control[]): string[] => [
    ...new Set(of.map(({ target, route }) => `requests go to ${target.url} ${routeWords(route)}`)),
  ];
  return {
    throughProxy: notes(controls.filter(({ route }) => route.proxy !== null)),
    directly: notes(controls.filter(({ route }) => route.unused !== null)),
  };
}
