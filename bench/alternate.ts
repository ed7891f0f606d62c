/**
 * Measures the contenders of a case in turns: once each, pair after pair, each pair beginning with another one. What
 * slows the machine for a minute then slows them all, and nobody always comes first.
 */
import type { Case, CaseResult, Contender, ContenderResult, Sample, Settings } from './scenario.ts';

export async function alternate(one: Case, settings: Settings): Promise<CaseResult> {
  const samples = new Map<Contender, Sample[]>(one.contenders.map((contender) => [contender, []]));
  const failures = new Map<Contender, string[]>();
  const present = one.contenders.filter((contender) => contender.missing === undefined);
  for (const { name, missing } of one.contenders) {
    if (missing !== undefined) settings.progress(`${one.name}: ${name} is skipped: ${missing}`);
  }
  for (let pair = 0; pair < settings.pairs; pair++) {
    for (const contender of turned(present, pair)) {
      settings.progress(`${one.name}: pair ${pair + 1}/${settings.pairs}: ${contender.name}`);
      try {
        samples.get(contender)!.push(await contender.measure());
      } catch (error) {
        const reason = (error as Error).message;
        settings.progress(`${one.name}: ${contender.name} failed: ${reason}`);
        failures.set(contender, [...(failures.get(contender) ?? []), reason]);
      }
    }
  }
  return { name: one.name, contenders: one.contenders.map((contender) => resultOf(contender, samples, failures)) };
}

function turned<T>(list: readonly T[], by: number): T[] {
  const from = list.length === 0 ? 0 : by % list.length;
  return [...list.slice(from), ...list.slice(0, from)];
}

function resultOf(
  contender: Contender,
  samples: ReadonlyMap<Contender, readonly Sample[]>,
  failures: ReadonlyMap<Contender, readonly string[]>,
): ContenderResult {
  const own = samples.get(contender)!;
  const failed = failures.get(contender);
  const names = new Set(own.flatMap((sample) => Object.keys(sample)));
  return {
    name: contender.name,
    ...(contender.missing === undefined ? {} : { missing: contender.missing }),
    ...(failed === undefined ? {} : { failures: failed }),
    metrics: Object.fromEntries(
      [...names].map((name) => [name, own.flatMap((sample) => (sample[name] === undefined ? [] : [sample[name]]))]),
    ),
  };
}
