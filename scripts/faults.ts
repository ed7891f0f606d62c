/**
 * `npm run faults -- --log redis`: the matrix of log × fault, run on real brokers that this program starts. Progress on
 * stderr; with `--write` the rows go into docs/logs/faults.md. Exit 5 when something was wrong.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, styleText } from 'node:util';
import { startFor, type BrokerKind } from './brokers/broker.ts';
import { kafka } from './brokers/kafka.ts';
import { nats } from './brokers/nats.ts';
import { rabbitmq } from './brokers/rabbitmq.ts';
import { redis } from './brokers/redis.ts';
import {
  describeInterruptions,
  faults,
  matrixPage,
  readRows,
  rowOf,
  runFault,
  type FaultReport,
  type MatrixRow,
} from '@tideway/verifier/faults';

const kinds: readonly BrokerKind[] = [redis, nats, rabbitmq, kafka];
const page = join(import.meta.dirname, '../docs/logs/faults.md');

const usage = `npm run faults -- [--log NAME…] [--fault NAME…] [--readers N] [--seed S] [--write]
  --log      ${kinds.map(({ name }) => name).join(', ')}; all where absent
  --fault    ${faults.map(({ name }) => `"${name}"`).join(', ')}; all where absent
  --readers  so many more clients that only read; 0 where absent
  --seed     what the run decides; random where absent
  --write    puts the results into docs/logs/faults.md, in place of those of the same log and fault`;

const { values } = parseArgs({
  options: {
    log: { type: 'string', multiple: true },
    fault: { type: 'string', multiple: true },
    readers: { type: 'string', default: '0' },
    seed: { type: 'string' },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const chosenKinds = kinds.filter(({ name }) => values.log === undefined || values.log.includes(name));
const chosenFaults = faults.filter(({ name }) => values.fault === undefined || values.fault.includes(name));
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const readers = Number(values.readers);
const unknown = [
  ...(values.log ?? []).filter((name) => !kinds.some((kind) => kind.name === name)),
  ...(values.fault ?? []).filter((name) => !faults.some((fault) => fault.name === name)),
];
if (
  values.help ||
  unknown.length > 0 ||
  !Number.isSafeInteger(seed) ||
  !(Number.isSafeInteger(readers) && readers >= 0)
) {
  console.error(unknown.length > 0 ? `${unknown.join(', ')}: not known\n${usage}` : usage);
  process.exitCode = values.help ? 0 : 2;
} else {
  const rows: MatrixRow[] = [];
  for (const kind of chosenKinds) rows.push(...(await runAll(kind)));
  if (values.write) writeFileSync(page, matrixPage([...rows, ...readRows(readPage())]));
  process.exitCode = rows.every(({ result }) => result !== 'wrong') ? 0 : 5;
}

async function runAll(kind: BrokerKind): Promise<MatrixRow[]> {
  const missing = kind.missing();
  if (missing !== undefined) {
    console.error(`${kind.name}: ${missing}`);
    return [];
  }
  const rows: MatrixRow[] = [];
  for (const fault of chosenFaults) {
    const isProxied = fault.needs === undefined;
    const broker = await startFor(kind, fault);
    if (broker === undefined) continue;
    try {
      const report = await runFault({ fault, broker, isProxied, seed, readers });
      tell(kind.name, report);
      rows.push(rowOf(kind.name, fault, report));
    } finally {
      await broker.stop();
    }
  }
  return rows;
}

function tell(log: string, { fault, ok, verdict, failures, longestSilenceMs, interruptions }: FaultReport): void {
  const { appends } = verdict;
  console.error(
    [
      `${styleText(ok ? 'green' : 'red', ok ? '✔' : '✖')} ${log}, ${fault}: ${appends.stored} of ${appends.sent} stored, ${appends.refused} refused, ${appends.unconfirmed} unconfirmed; ${verdict.delivered} delivered; gaps ${JSON.stringify(verdict.gaps)}; longest silence ${longestSilenceMs} ms; ${describeInterruptions(interruptions)}; ${verdict.violationCount} violations; seed ${seed}`,
      ...verdict.violations
        .slice(0, 10)
        .map((violation) => `    ${violation.kind} in ${violation.channel}: ${violation.text}`),
      ...failures.slice(0, 10).map((failure) => `    ${failure}`),
    ].join('\n'),
  );
}

function readPage(): string {
  try {
    return readFileSync(page, 'utf8');
  } catch {
    return '';
  }
}
