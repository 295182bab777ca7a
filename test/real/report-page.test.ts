/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compareMany } from '../../src/core/compare-many.ts';
import { COMPARED } from '../../src/core/compared.ts';
import { repeatOf } from '../../src/core/repeat.ts';
import type { Report } from '../../src/core/report.ts';
import { renderHtmlComparison } from '../../src/exporters/html/comparison-page.ts';
import { renderHtml } from '../../src/exporters/html/page.ts';
import { makeLargeReport } from '../fixtures/large-report.ts';
import { makeReport } from '../fixtures/report.ts';
import { notRun } from './not-run.ts';

const CHROMIUM = process.env['BENCH_CHROMIUM'] ?? '/usr/bin/chromium';
/** Pictures of the pages, to be looked at. */
const PICTURES = path.join(import.meta.dirname, '.pictures');
/** A4 without its margins, in CSS pixels. */
const PAPER_WIDTH = 720;
const HOSTILE = '<img src=x onerror="console.log(1)"></svg><script>console.log(2)</script>';
const sample = JSON.parse(readFileSync('results/sample/report.json', 'utf8')) as Report;
const samplePage = renderHtml(sample);

const missing = existsSync(CHROMIUM)
  ? null
  : `no Chromium at ${CHROMIUM} (apt-get install chromium, or BENCH_CHROMIUM)`;

describe.skipIf(notRun('pages in a browser', missing) !== null)('in a real Chromium', () => {
  let browser: Browser;
  const work = mkdtempSync(path.join(os.tmpdir(), 'report-page-'));

  beforeAll(async () => {
    mkdirSync(PICTURES, { recursive: true });
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(work, { recursive: true, force: true });
  });

  interface Opened {
    readonly page: Page;
    /** What the console said, and what was asked for beside the file itself. */
    readonly complaints: string[];
    /** Until all of it was drawn. */
    readonly tookMs: number;
  }

  async function open(html: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Opened> {
    const file = path.join(work, 'page.html');
    writeFileSync(file, html);
    const page = await browser.newPage({ viewport: { width: 1_280, height: 900 }, ...options });
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(`console: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
    page.on('request', (request) => {
      if (!/^(file:|data:)/.test(request.url())) complaints.push(`request: ${request.url()}`);
    });
    const begun = performance.now();
    await page.goto(pathToFileURL(file).href);
    await page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    );
    return { page, complaints, tookMs: performance.now() - begun };
  }

  const picture = (page: Page, name: string): Promise<Buffer> =>
    page.screenshot({ path: path.join(PICTURES, `${name}.png`), fullPage: true });

  it.each([
    ['light', { colorScheme: 'light' as const }],
    ['dark', { colorScheme: 'dark' as const }],
    ['phone', { viewport: { width: 390, height: 800 } }],
  ])('%s: draws all charts, says nothing on the console and asks for nothing', async (name, options) => {
    const { page, complaints } = await open(samplePage, options);
    await picture(page, `run-${name}`);
    expect(complaints).toEqual([]);
    // Every chart has a size, and something in it.
    const charts = await page.evaluate(() =>
      [...document.querySelectorAll('figure svg')].map((svg) => {
        const { width, height } = svg.getBoundingClientRect();
        return { width, height, paths: svg.querySelectorAll('path').length };
      }),
    );
    expect(charts.length).toBeGreaterThan(10);
    for (const { width, height, paths } of charts) {
      expect(width).toBeGreaterThan(100);
      expect(height).toBeGreaterThan(50);
      expect(paths).toBeGreaterThan(3);
    }
    // Nothing is wider than the screen; what is scrolls by itself.
    const [wide, screen] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      window.innerWidth,
    ]);
    expect(wide).toBeLessThanOrEqual(screen!);
    await page.close();
  });

  it('has readable words on light and on dark', async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page } = await open(samplePage, { colorScheme });
      const contrasts = await page.evaluate(() => {
        const channel = (value: number): number => {
          const share = value / 255;
          return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        };
        const luminance = (colour: string): number => {
          const [r, g, b] = colour.match(/[\d.]+/g)!.map(Number) as [number, number, number];
          return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
        };
        const back = luminance(getComputedStyle(document.body).backgroundColor);
        const words = [
          ...document.querySelectorAll('h1, td, .lead, figcaption, .warn, .good, .bad, svg text'),
        ];
        return words.map((word) => {
          const style = getComputedStyle(word);
          const front = luminance(word instanceof SVGElement ? style.fill : style.color);
          return (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
        });
      });
      // The Web Content Accessibility Guidelines' least for text.
      expect(Math.min(...contrasts)).toBeGreaterThanOrEqual(4.5);
      await page.close();
    }
  });

  it('prints what is folded, too', async () => {
    const { page } = await open(renderHtml(makeLargeReport(12, 100)), {
      viewport: { width: PAPER_WIDTH, height: 1_000 },
    });
    await page.emulateMedia({ media: 'print' });
    const pdf = await page.pdf({ path: path.join(PICTURES, 'run.pdf'), format: 'A4' });
    expect(pdf.length).toBeGreaterThan(20_000);
    // What is folded on a screen has a size on paper, and nothing is wider than that.
    const paper = await page.evaluate(() => ({
      folded: [...document.querySelectorAll('details:not([open]) svg')].map((svg) => svg.checkVisibility()),
      widest: Math.max(
        ...[...document.querySelectorAll('table, figure')].map((part) => part.getBoundingClientRect().right),
      ),
    }));
    expect(paper.folded.length).toBeGreaterThan(10);
    expect(paper.folded).not.toContain(false);
    expect(paper.widest).toBeLessThanOrEqual(PAPER_WIDTH);
    await page.close();
  });

  it('shows a run with failures, a partial level and a suspect one, and what servers and users wrote as text', async () => {
    const report = makeReport();
    const hostile: Report = {
      ...report,
      name: HOSTILE,
      tags: { [HOSTILE]: HOSTILE },
      target: { ...report.target, model: HOSTILE },
      levels: report.levels.map((level) => ({ ...level, failures: { reset: { count: 1, first: HOSTILE } } })),
    };
    const { page, complaints } = await open(renderHtml(hostile));
    await picture(page, 'run-failing');
    expect(complaints).toEqual([]);
    expect(await page.locator('#failures td').count()).toBeGreaterThan(0);
    expect(await page.locator('script, img').count()).toBe(0);
    expect(await page.locator('#failures').innerText()).toContain(HOSTILE);
    await page.close();
  });

  it('shows several sides beside each other, on a phone, too', async () => {
    const side = (name: string, factor: number, noises: readonly number[]) => ({
      name,
      place: name,
      reports: noises.map(
        (noise, nth): Report => ({
          ...sample,
          origin: { ...sample.origin, utc: `2026-06-01T00:0${nth}:00.000Z` },
          spec: { ...sample.spec, repeat: { set: name, number: nth + 1, of: noises.length } },
          levels: sample.levels.map((level) => ({
            ...level,
            ttftMs: { ...level.ttftMs, p50: level.ttftMs.p50! * factor * noise },
            outputTokensPerS: level.outputTokensPerS! / factor / noise,
          })),
        }),
      ),
    });
    const noises = [1, 1.01, 0.99, 1.005];
    const sides = [side('before', 1, noises), side(HOSTILE, 1.2, noises), side('once', 0.8, [1])];
    const [base, ...candidates] = sides.map(({ name, reports }) => ({ name, runs: reports.map(repeatOf) }));
    const compared = compareMany(base!, candidates, {
      metrics: [...COMPARED],
      marginRatio: 0.02,
      anyway: false,
    });
    const { page, complaints } = await open(renderHtmlComparison(sides, compared));
    await picture(page, 'comparison');
    expect(await page.locator('#changes .bad').count()).toBeGreaterThan(0);
    expect(await page.locator('figure svg').count()).toBe(8);
    expect(await page.locator('script, img').count()).toBe(0);
    await page.setViewportSize({ width: 390, height: 800 });
    await picture(page, 'comparison-phone');
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('opens 100 levels of 10,000 requests in under 2 s, from less than 5 MB', async () => {
    const html = renderHtml(makeLargeReport(100, 10_000));
    expect(Buffer.byteLength(html)).toBeLessThan(5_000_000);
    // A second chance: the machine is not ours alone.
    const times: number[] = [];
    for (let nth = 0; nth < 2 && Math.min(...times) >= 2_000; nth++) {
      const { page, complaints, tookMs } = await open(html);
      expect(complaints).toEqual([]);
      times.push(tookMs);
      if (nth === 0) await page.screenshot({ path: path.join(PICTURES, 'run-large.png') });
      await page.close();
    }
    expect(Math.min(...times)).toBeLessThan(2_000);
  });
});
