import { escapeHtml } from './markup.ts';
import { STYLE } from './style.ts';

/** A page of its own: a title, a head with links to its parts, and the parts that have something in them. */
export function pageOf(title: string, head: string, parts: readonly string[]): string {
  const shown = parts.filter((part) => part !== '');
  const links = shown.map((part) => {
    const [, id, name] = /^<section id="([^"]+)"><h2>(.*?)<\/h2>/.exec(part)!;
    return `<a href="#${id}">${name}</a>`;
  });
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width,initial-scale=1">',
    '<link rel="icon" href="data:,">',
    `<title>${escapeHtml(title)}</title>`,
    `<style>${STYLE}</style></head><body>`,
    `<header>${head}<nav>${links.join('')}</nav></header>`,
    `<main>${shown.join('\n')}</main>`,
    '</body></html>',
    '',
  ].join('\n');
}
