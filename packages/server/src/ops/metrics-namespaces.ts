/**
 * Metrics by namespace: what hub and view tell by channel, summed up. A cell is looked up once per namespace; names that
 * are not in the configuration are one.
 */
import { namespaceOf } from '@tideway/protocol';
import type { Appended } from '../hub/record-appender.ts';
import type { Measures } from '../hub/measures.ts';
import { OTHER_NAMESPACE, type Cell, type Histogram, type Metrics } from './metrics.ts';

export interface NamespaceMetrics extends Measures {
  onAppended(channel: string, result: Appended, durationMs: number): void;
  /** Records left because their namespace keeps no more. */
  onTrimmed(channel: string, records: number): void;
}

export function createNamespaceMetrics(metrics: Metrics, namespaces: readonly string[]): NamespaceMetrics {
  const known = new Set(namespaces);
  const nameOf = (channel: string): string => {
    const namespace = namespaceOf(channel);
    return known.has(namespace) ? namespace : OTHER_NAMESPACE;
  };

  function kept<Kind extends Cell | Histogram>(make: (namespace: string) => Kind): (channel: string) => Kind {
    const cells = new Map<string, Kind>();
    return (channel) => {
      const name = nameOf(channel);
      let cell = cells.get(name);
      if (cell === undefined) cells.set(name, (cell = make(name)));
      return cell;
    };
  }

  const stored = kept((namespace) => metrics.appends.of(namespace, 'stored'));
  const duplicate = kept((namespace) => metrics.appends.of(namespace, 'duplicate'));
  const appended = kept((namespace) => metrics.appendSeconds.of(namespace));
  const delivered = kept((namespace) => metrics.deliverySeconds.of(namespace));
  const caughtUp = kept((namespace) => metrics.catchUpSeconds.of(namespace));
  const pageRead = kept((namespace) => metrics.historySeconds.of(namespace));
  const trimmed = kept((namespace) => metrics.recordsTrimmed.of(namespace));

  return {
    onAppended(channel, result, durationMs) {
      if (result.state === 'ok') {
        (result.duplicate ? duplicate : stored)(channel).value += 1;
        appended(channel).observe(durationMs / 1000);
      } else {
        metrics.appends.of(nameOf(channel), result.code).value += 1;
      }
    },
    onDelivered: (channel, durationMs) => delivered(channel).observe(durationMs / 1000),
    onCaughtUp: (channel, durationMs) => caughtUp(channel).observe(durationMs / 1000),
    onPageRead: (channel, durationMs) => pageRead(channel).observe(durationMs / 1000),
    onResumed: (channel, result) => void (metrics.resumes.of(nameOf(channel), result).value += 1),
    onTrimmed: (channel, records) => void (trimmed(channel).value += records),
  };
}
