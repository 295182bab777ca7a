import { BarChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkAreaComponent, TitleComponent } from 'echarts/components';
import { type EChartsCoreOption, init, setPlatformAPI, use } from 'echarts/core';
import { LabelLayout } from 'echarts/features';
import { SVGRenderer } from 'echarts/renderers';
import { greatest, least } from '../../core/distribution.ts';

use([
  BarChart,
  LineChart,
  ScatterChart,
  GridComponent,
  LegendComponent,
  MarkAreaComponent,
  TitleComponent,
  LabelLayout,
  SVGRenderer,
]);

/** Wide enough for any face a reader's system may have: what is thought narrower runs into its neighbour. */
const CHARACTER_EM = 0.62;
/** Behind these, characters of East Asian scripts are as wide as they are high. */
const FULL_WIDTH_FROM = 0x1100;

setPlatformAPI({
  measureText(text, font) {
    const size = Number(/(\d+(?:\.\d+)?)px/.exec(font ?? '')?.[1] ?? 12);
    const em = [...text].reduce(
      (sum, one) => sum + (one.codePointAt(0)! >= FULL_WIDTH_FROM && !/[…–−×]/.test(one) ? 1 : CHARACTER_EM),
      0,
    );
    return { width: em * size } as TextMetrics;
  },
});

/** Stand for colours of the page, which change with light and dark. No other text of a chart is like them. */
export const INK = { text: '#010203', dim: '#010204', line: '#010205', shade: '#010206' } as const;
const INKS: readonly (readonly [string, string])[] = [
  [INK.text, 'var(--text)'],
  [INK.dim, 'var(--dim)'],
  [INK.line, 'var(--line)'],
  [INK.shade, 'var(--shade)'],
];

export interface ChartSize {
  readonly width: number;
  readonly height: number;
}

/** A chart as SVG text that fits its place, in the page's own colours and type. `label` says to a reader what it shows. */
export function drawChart(option: EChartsCoreOption, size: ChartSize, label: string): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, ...size });
  try {
    chart.setOption({
      animation: false,
      textStyle: { fontFamily: 'inherit', color: INK.text },
      ...option,
    });
    const svg = chart.renderToSVGString();
    const drawn = INKS.reduce((text, [ink, colour]) => text.replaceAll(ink, colour), svg);
    return drawn
      .replace(/<svg width="\d+" height="\d+"/, () => `<svg role="img" aria-label="${label}"`)
      .replace(/ xmlns:xlink="[^"]*" version="1.1" baseProfile="full"/, '')
      .replaceAll(' pointer-events="visible"', '')
      .replace(/\n/g, '');
  } finally {
    chart.dispose();
  }
}

export interface AxisOptions {
  readonly name: string;
  readonly type?: 'value' | 'log' | 'category';
  readonly data?: readonly string[];
  readonly min?: number;
  readonly max?: number;
}

/** An axis along the bottom or the left side. */
export function axis({ name, type = 'value', ...rest }: AxisOptions, nameGap: number) {
  return {
    type,
    name,
    nameLocation: 'middle' as const,
    nameGap,
    nameTextStyle: { color: INK.dim },
    axisLabel: { color: INK.dim, hideOverlap: true, formatter: type === 'category' ? undefined : short },
    axisLine: { lineStyle: { color: INK.line } },
    axisTick: { lineStyle: { color: INK.line } },
    splitLine: { lineStyle: { color: INK.line, opacity: 0.5 } },
    ...rest,
  };
}

/** Names of what is drawn, above the chart. */
export function legend() {
  return {
    top: 4,
    itemWidth: 16,
    itemGap: 14,
    textStyle: { color: INK.text, fontSize: 11 },
    formatter: (name: string): string => cut(name, 28),
  };
}

/** The end of a long name, which tells it from others best. */
export function cut(name: string, most: number): string {
  return name.length <= most ? name : `…${name.slice(1 - most)}`;
}

/** A range that is wider than this by its ratio is shown on a logarithmic axis. */
const WIDE = 20;

/** How an axis of positive values spans them, with a little room at both ends. */
export function span(values: readonly number[]): Pick<AxisOptions, 'type' | 'min' | 'max'> {
  const [low, high] = [least(values), greatest(values)];
  if (!(low > 0) || high / low <= WIDE) {
    const room = Math.max((high - low) * 0.08, high * 0.02);
    const step = powerBelow(high - low + 2 * room) / 2;
    return {
      type: 'value',
      min: neat(Math.floor(Math.max(0, low - room) / step) * step),
      max: neat(Math.ceil((high + room) / step) * step),
    };
  }
  const [lowStep, highStep] = [powerBelow(low) / 10, powerBelow(high) / 10];
  return {
    type: 'log',
    min: neat(Math.floor(low / 1.3 / lowStep) * lowStep),
    max: neat(Math.ceil((high * 1.3) / highStep) * highStep),
  };
}

/** The power of ten at or below a positive value. */
function powerBelow(value: number): number {
  return 10 ** Math.floor(Math.log10(value));
}

/** Without the digits that binary fractions add. */
function neat(value: number): number {
  return Number(value.toPrecision(9));
}

/** `12k`, `1.5M`, `0.2` */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

/** A colour for number `nth` of `count` levels, from cold to hot; readable on light and dark. */
export function levelColour(nth: number, count: number): string {
  const share = count < 2 ? 0 : nth / (count - 1);
  return hex(215 - 200 * share, 0.62, 0.52);
}

/** Colours of runs that are drawn beside each other. */
export const RUN_COLOURS = ['#3b7dd8', '#d9822b', '#3a9d5d', '#b4509c', '#8a7f2c', '#5c6bc0'] as const;

/** Signs of runs that are drawn beside each other; with the colours they tell twelve apart. */
export const SYMBOLS = ['circle', 'triangle', 'rect', 'diamond'] as const;

function hex(hue: number, saturation: number, lightness: number): string {
  const span = saturation * Math.min(lightness, 1 - lightness);
  const channel = (n: number): string => {
    const k = (n + hue / 30) % 12;
    const value = lightness - span * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value)
      .toString(16)
      .padStart(2, '0');
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}
