import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { errorText, usageError } from '../core/errors.ts';
import { JUDGED_IDS, lessIsBetter } from '../core/metric-ids.ts';
import { DEFAULT_POLICY, type Policy, type Rule } from '../core/policy.ts';
import { suggest } from '../core/suggestion.ts';
import { parseDurationMs, parseRatio } from '../core/units.ts';
import { mapping, plainOf, refusal, type Spot, spotsOf } from '../core/yaml-spots.ts';

/** A share of `5%` or `0.05`; of a fall it is below 100 %. */
function share(most: number) {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const text = String(value);
    const ratio = parseRatio(text);
    // A bare 10 is ten per cent to one reader and ten times as much to another.
    const isClear = text.includes('%') || (ratio ?? 1) < 1;
    if (ratio !== null && isClear && ratio < most) return ratio;
    const range = Number.isFinite(most) ? ` below ${most * 100} %` : '';
    context.addIssue({ code: 'custom', message: `is no share${range}: write it as 5% or 0.05` });
    return z.NEVER;
  });
}

const amount = z.union([z.string(), z.number()], {
  error: 'is no amount: write 30ms for a time, 5000 for a rate',
});

const rule = mapping({
  max_increase: share(Number.POSITIVE_INFINITY).optional(),
  max_decrease: share(1).optional(),
  max: amount.optional(),
  min: amount.optional(),
});

const metrics = z.record(z.string(), rule);

const whole = z.number().int('is not a whole number').min(1, 'is less than 1');

const policySchema = mapping({
  schema: z.literal(1, { error: 'is not 1, the version that this bench reads' }).optional(),
  metrics: metrics.optional(),
  levels: z
    .array(
      mapping({
        concurrency: whole.optional(),
        rate: z.number().positive('is not above 0').optional(),
        isl: whole.optional(),
        osl: whole.optional(),
        metrics,
      }),
    )
    .optional(),
  max_failure_ratio: share(1).optional(),
  require_valid: z.boolean().optional(),
  require_exact: z.boolean().optional(),
});

type Metrics = z.infer<typeof metrics>;

/**
 * A policy of YAML text; `source` is the file's name in messages, `defaults` are the rules where the text has neither `metrics` nor
 * `levels`. Throws (exit 2) with every error of the text, each at its place, and for a text without any key.
 */
export function parsePolicy(
  text: string,
  source: string,
  defaults: readonly Rule[] = DEFAULT_POLICY.rules,
): Policy {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken: Spot[] = document.errors.map(({ pos, message }) => ({ offset: pos[0], message }));
  if (broken.length > 0) throw refusal(broken, source, lines);
  const contents = plainOf(document, source) ?? {};
  if (typeof contents !== 'object' || Array.isArray(contents))
    throw usageError(`${source} is no policy`, 'it begins with metrics:');
  const parsed = policySchema.safeParse(contents);
  if (!parsed.success)
    throw refusal(
      parsed.error.issues.flatMap((issue) => spotsOf(document, issue)),
      source,
      lines,
    );
  const { levels, ...policy } = parsed.data;
  const isSilent = Object.keys(contents).length > 0 && policy.metrics === undefined && levels === undefined;
  const spots: Spot[] = [];
  const rulesAt = (path: (string | number)[], named: Metrics, level: Rule['level']): Rule[] =>
    Object.entries(named).flatMap(([metric, bounds]) => {
      try {
        return rulesOf(metric, bounds, level);
      } catch (error) {
        spots.push({
          offset: placeOf(document, [...path, metric]),
          message: `${metric}: ${errorText(error)}`,
        });
        return [];
      }
    });
  const rules = [
    ...rulesAt(['metrics'], policy.metrics ?? {}, null),
    ...(levels ?? []).flatMap(({ metrics: named, concurrency, rate, isl, osl }, nth) =>
      rulesAt(['levels', nth, 'metrics'], named, {
        ...(concurrency === undefined ? {} : { concurrency }),
        ...(rate === undefined ? {} : { ratePerS: rate }),
        ...(isl === undefined ? {} : { isl }),
        ...(osl === undefined ? {} : { osl }),
      }),
    ),
  ];
  if (spots.length > 0) throw refusal(spots, source, lines);
  if (rules.length === 0 && !isSilent)
    throw usageError(
      `${source}: no metric has a rule`,
      'write for instance metrics: {ttftMs.p50: {max_increase: 10%}}',
    );
  return {
    rules: isSilent ? defaults : rules,
    maxFailureRatio: policy.max_failure_ratio ?? 0,
    requireValid: policy.require_valid ?? true,
    requireExact: policy.require_exact ?? false,
  };
}

function placeOf(document: ReturnType<typeof parseDocument>, path: (string | number)[]): number | null {
  const node = document.getIn(path, true) as
    | { readonly range?: readonly [number, number, number] }
    | undefined;
  return node?.range?.[0] ?? null;
}

function rulesOf(metric: string, bounds: Metrics[string], level: Rule['level']): Rule[] {
  if (!JUDGED_IDS.includes(metric))
    throw new Error(`is no metric with a better and a worse: ${suggest(metric, JUDGED_IDS)}`);
  const isLess = lessIsBetter(metric);
  const [change, limit] = isLess
    ? ([bounds.max_increase, bounds.max] as const)
    : ([bounds.max_decrease, bounds.min] as const);
  if ((isLess ? (bounds.max_decrease ?? bounds.min) : (bounds.max_increase ?? bounds.max)) !== undefined)
    throw new Error(
      isLess
        ? 'less of it is better: write max_increase or max'
        : 'more of it is better: write max_decrease or min',
    );
  const rules: Rule[] = [
    ...(change === undefined ? [] : [{ metric, level, worseRatio: change, limit: null }]),
    ...(limit === undefined ? [] : [{ metric, level, worseRatio: null, limit: parseAmount(metric, limit) }]),
  ];
  if (rules.length === 0)
    throw new Error(`has no rule: write ${isLess ? 'max_increase or max' : 'max_decrease or min'}`);
  return rules;
}

/** A limit in the metric's own unit: milliseconds of a duration with its unit, or a rate. */
function parseAmount(metric: string, value: string | number): number {
  const isTime = metric.includes('Ms.');
  const amount = isTime ? parseDurationMs(String(value), 'limit') : Number(value);
  if (amount > 0) return amount;
  throw new Error(`"${value}" is no limit: write ${isTime ? '30ms or 2s' : 'a number above 0'}`);
}
