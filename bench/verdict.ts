/** Holds results against the bars: the value that decides is the median over pairs, its spread stands beside it. */
import type { Bar, Condition, Source } from './bars.ts';
import type { RecordedBar, ScenarioResult } from './scenario.ts';
import { ratios, spreadOf, type Spread } from './stats.ts';

function valuesOf(scenario: ScenarioResult, source: Source): readonly number[] {
  const found = scenario.cases
    .find((one) => one.name === source.case)
    ?.contenders.find((contender) => contender.name === source.contender);
  return found?.metrics[source.metric] ?? [];
}

function isWithin(value: number, { atMost, atLeast }: Condition): boolean {
  return (atMost === undefined || value <= atMost) && (atLeast === undefined || value >= atLeast);
}

function spreadOfCondition(scenario: ScenarioResult, condition: Condition): Spread | undefined {
  const of = valuesOf(scenario, condition.of);
  const values = condition.per === undefined ? of : ratios(of, valuesOf(scenario, condition.per));
  return values.length === 0 ? undefined : spreadOf(values);
}

/** The bar's verdict by these results; `not measured` where a side of it is missing, `too quick` after a quick run. */
export function judge(bar: Bar, results: readonly ScenarioResult[], quick = false): RecordedBar {
  const scenario = results.find((one) => one.name === bar.scenario);
  const measured = bar.any.flatMap((condition) => {
    const value = scenario && spreadOfCondition(scenario, condition);
    return value === undefined ? [] : [{ condition, value, met: isWithin(value.median, condition) }];
  });
  const deciding = measured.find(({ met }) => met) ?? measured[0];
  const { condition } = deciding ?? { condition: bar.any[0] };
  const limit = condition.atMost ?? condition.atLeast ?? Number.NaN;
  const base = { scenario: bar.scenario, text: bar.text, limit };
  if (!deciding) return { ...base, verdict: 'not measured' };
  if (quick) return { ...base, verdict: 'too quick', value: deciding.value };
  return { ...base, verdict: deciding.met ? 'met' : 'missed', value: deciding.value };
}
