/** The fold's rules written down a second time, slowly and without a table (ARCHITECTURE.md, the fold). */
import type { TailRecord } from '../../log/log.ts';
import { positionNumber } from '../packed-place.ts';
import type { Verdict } from '../view.ts';

export interface SlowVerdict {
  readonly state: Verdict['state'];
  /** What its writer is told: a state and, where it has one, the position it stands at. */
  readonly answer: string;
}

/** @param isHidden true for what no frame can be made of, or stands in another partition than its channel's */
export function judgeSlowly(
  records: readonly TailRecord[],
  window: number,
  isHidden: (item: TailRecord) => boolean = () => false,
): SlowVerdict[] {
  const judged: SlowVerdict[] = [];
  const seen: { readonly at: number; readonly record: TailRecord['record']; readonly verdict: SlowVerdict }[] = [];
  for (const item of records) {
    const at = positionNumber(item.position);
    const { record } = item;
    const before = seen.filter((one) => one.record.channel === record.channel);
    const judge = (): SlowVerdict => {
      if (isHidden(item)) return { state: 'unreadable', answer: 'unreadable' };
      const inWindow = before.filter((one) => at - one.at <= window && one.verdict.state !== 'unreadable');
      const twin = inWindow.find(
        (one) => record.rid !== undefined && one.record.rid === record.rid && one.record.user === record.user,
      );
      if (twin !== undefined) return { state: 'duplicate', answer: twin.verdict.answer };
      if (record.kind !== 'data') return { state: 'control', answer: `control ${at}` };
      if (inWindow.some((one) => one.record.kind === 'close')) return { state: 'closed', answer: 'closed' };
      if (record.expect !== undefined) {
        const from = positionNumber(record.expect.split('.')[1] as string);
        const rival = before.some(
          (one) => one.at > from && one.record.key === record.key && one.verdict.state === 'visible',
        );
        if (rival || at - from > window) return { state: 'conflict', answer: 'conflict' };
      }
      return { state: 'visible', answer: `visible ${at}` };
    };
    const verdict = judge();
    seen.push({ at, record, verdict });
    judged.push(verdict);
  }
  return judged;
}
