/** The tables of docs/scale.md, as Markdown: everything in them comes from recorded runs and from the simulation. */
import { brokerKinds, brokerTitles } from '../brokers.ts';
import type { Figures } from '../figures.ts';
import { shown } from '../stats.ts';
import { checksOf } from './checks.ts';
import { costsOf, type Costs } from './costs.ts';
import { connectionsMax, ingestShare, log, plannedShare, plans, play, sizeOf, type Sized } from './plans.ts';
import { simulate } from './simulation.ts';

const GIB = 1_073.741824;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function rounded(value: number): string {
  return shown(Number(value.toPrecision(2)));
}

function percent(share: number): string {
  return `${rounded(share * 100)} %`;
}

function costTable(costs: Costs): string {
  return table(
    ['what', 'cost', 'measured by'],
    [
      ['a node without connections', `${rounded(costs.processMb)} MB`, '`idle`'],
      ['an open connection that follows a channel', `${rounded(costs.connectionKb)} KB`, '`idle`'],
      ['the same over TLS', `${rounded(costs.tlsConnectionKb)} KB`, '`idle`'],
      ['a write to a connection', `${rounded(costs.writeUs)} µs`, '`fan-out-1000`, `fan-out-bursts`'],
      ['one more record in the same write', `${rounded(costs.recordUs)} µs`, '`fan-out-bursts`'],
      ['an append among many', `${rounded(costs.appendUs)} µs`, '`append`, saturated'],
      ['a batch of appends to the log', `${rounded(costs.batchUs)} µs`, '`append`, lone'],
      ['a client that comes back, 100 records behind', `${rounded(costs.comebackUs)} µs`, '`resume`'],
      ['the same with a JWT to verify', `${rounded(costs.comebackJwtUs)} µs`, '`resume`'],
      ['a record on the wire, beside its payload', `${rounded(costs.frameBytes)} bytes`, '`fan-out-1000`'],
    ],
  );
}

function logTable(costs: Costs): string {
  const rows = brokerKinds.map((kind) => {
    const { ingestUs, brokerWriteUs, brokerReadUs, latencyMs } = costs.logs[kind];
    return [
      brokerTitles[kind],
      `${rounded(ingestUs)} µs`,
      rounded((ingestShare * 1e6) / ingestUs),
      `${rounded(brokerWriteUs)} µs + ${rounded(brokerReadUs)} µs a node`,
      `${rounded(latencyMs)} ms`,
    ];
  });
  const head = [
    'log',
    'a node takes a record in',
    'records/s at most',
    'CPU of the broker, a record',
    'append to delivery, half',
  ];
  return table(head, rows);
}

/** A node that catches up, beside the broker's own client that reads the same and does nothing with it. */
function ingestTable(figures: Figures): string {
  const rows = brokerKinds.map((kind) => {
    const of = (contender: string, metric: string): number =>
      figures.of(`log-ingest / ${brokerTitles[kind]}, catching up / ${contender} / ${metric}`);
    const [node, bare] = [of('tideway', 'perSecond'), of('bare client', 'perSecond')];
    return [
      brokerTitles[kind],
      `${rounded(node)}, ${rounded(of('tideway', 'cpuUs'))} µs each`,
      `${rounded(bare)}, ${rounded(of('bare client', 'cpuUs'))} µs each`,
      `${rounded(node / bare)}x`,
    ];
  });
  return table(['log', 'a node catches up, records/s', 'the bare client reads, records/s', 'of it'], rows);
}

function planTable(sizes: readonly Sized[], costs: Costs): string {
  const rows = sizes.map((sized) => {
    const { planned, cells, nodes } = sized;
    const { cpuShare, cpuShareMax, p50Ms, p99Ms, memoryMb, outMbitPerSecond, inMbitPerSecond, brokerCores } = play(
      sized,
      costs,
    );
    return [
      planned.name,
      cells === 1 ? `${nodes}` : `${cells} × ${nodes}`,
      `${percent(cpuShare)} (${percent(cpuShareMax)})`,
      `${rounded(p50Ms)} / ${rounded(p99Ms)} ms`,
      `${rounded(memoryMb / GIB)} / ${rounded((memoryMb * nodes * cells) / GIB)} GiB`,
      `${rounded(outMbitPerSecond)} / ${rounded(inMbitPerSecond)} Mbit/s`,
      rounded(brokerCores),
    ];
  });
  return table(
    [
      'clients',
      'nodes',
      'a node is busy, mean (busiest)',
      'append to socket, p50 / p99',
      'memory, a node / all',
      'network of a node, out / in',
      'broker, cores a log',
    ],
    rows,
  );
}

function lossTable(sizes: readonly Sized[], costs: Costs): string {
  const rows = sizes.map((sized) => {
    const lostAtMs = (sized.planned.seconds * 1e3) / 3;
    const { cpuShare, p99Ms, backMs } = play(sized, costs, { lostAtMs });
    const clients = Math.round(sized.workload.connections / sized.nodes);
    return [
      sized.planned.name,
      rounded(clients),
      `${rounded(backMs / 1e3)} s`,
      percent(cpuShare),
      `${rounded(p99Ms)} ms`,
    ];
  });
  return table(
    ['clients', 'come back', 'the last one is there after', 'a node is busy', 'append to socket, p99'],
    rows,
  );
}

/** How much of the log a relay has to take in, which only gets what its clients follow. */
function relayTable(costs: Costs): string {
  const [relays, connections, seconds] = [40, 1e6, 1];
  const rows = [10, 40, 100, 1_000].map((followers) => {
    const channels = Math.round(connections / followers);
    const rate = { appendsPerSecond: 500, burst: 1, payloadBytes: 200 };
    const workload = { connections, channels, exponent: 0, follows: 1, ...rate };
    const { takenShare } = simulate({ workload, nodes: relays, log, seconds, seed: 1, isRelayed: true }, costs);
    const { ingestUs } = costs.logs[log];
    const most = (share: number): string => rounded((ingestShare * 1e6) / ingestUs / share);
    return [rounded(followers), percent(takenShare), `${most(takenShare)} instead of ${most(1)}`];
  });
  return table(['followers of a channel', 'of the log, a relay takes in', 'records/s at most'], rows);
}

function checkTable(figures: Figures, costs: Costs): string {
  const rows = checksOf(figures, costs).map(({ what, predictedUs, measuredUs }) => [
    what,
    `${rounded(predictedUs)} µs`,
    `${rounded(measuredUs)} µs`,
    `${predictedUs >= measuredUs ? '+' : '−'}${Math.abs(Math.round((predictedUs / measuredUs - 1) * 100))} %`,
  ]);
  return table(['CPU of', 'predicted', 'measured', 'error'], rows);
}

/** What the simulation is too kind about. */
function stormText(figures: Figures): string {
  const of = (metric: string): number => figures.of(`resume / 500 channels / tideway / ${metric}`);
  return `The simulation is kind to those who were there before. In the bench 5,000 clients came back to one node all at once and were there after ${rounded(of('allThereMs') / 1e3)} s; meanwhile the acknowledgements of the others took ${rounded(of('acksDuringP99Ms'))} ms (p99), before it ${rounded(of('acksBeforeP99Ms'))} ms.`;
}

function sourceText(figures: Figures): string {
  return figures.used
    .map(({ date, commit, machine, pairs, scenarios }) => {
      const names = scenarios.map(({ name }) => `\`${name}\``).join(', ');
      const busiest = Math.max(...scenarios.map(({ loadBefore }) => loadBefore.busyPercent));
      const quiet = busiest <= 5 ? 'nothing else ran' : `other programs took up to ${Math.round(busiest)} % of it`;
      return `- ${date.slice(0, 10)}, commit ${commit.id}, ${machine.cores} cores (${machine.cpu}), Node ${machine.node}, ${pairs} ${pairs === 1 ? 'pair' : 'pairs'}; ${quiet}: ${names}`;
    })
    .join('\n');
}

/** By the name of its place in the document. */
export function scaleTables(figures: Figures): ReadonlyMap<string, string> {
  const costs = costsOf(figures);
  const sizes = plans.map((planned) => sizeOf(planned, costs));
  const rules = `A node is planned to be at most ${percent(plannedShare)} busy and to have at most ${connectionsMax.toLocaleString('en-US')} connections when one node of its log is lost; taking records in may be ${percent(ingestShare)} of it. The log is ${brokerTitles[log]}.`;
  return new Map([
    ['costs', costTable(costs)],
    ['logs', logTable(costs)],
    ['ingest', ingestTable(figures)],
    ['rules', rules],
    ['plans', planTable(sizes, costs)],
    ['loss', lossTable(sizes, costs)],
    ['storm', stormText(figures)],
    ['relays', relayTable(costs)],
    ['checks', checkTable(figures, costs)],
    ['sources', sourceText(figures)],
  ]);
}
