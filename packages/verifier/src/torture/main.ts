/**
 * `npm run torture -- --minutes 10 --seed 7`: the torture run from the command line. Progress on stderr; with `--json` the
 * report as one line on stdout. Exit 5 when something was wrong.
 */
import { parseArgs, styleText } from 'node:util';
import { torture, type TortureReport } from './torture.ts';

const usage = `npm run torture -- [--minutes N | --seconds N] [--seed S] [--kills N] [--inside PERCENT] [--rate N] [--workers N] [--data DIR] [--json]
  --minutes 1     how long there is trouble; afterwards there is peace until everyone has caught up
  --seed          what the run decides; random where absent, and told at the end
  --kills         how many kills, about; one every 3 s where absent
  --inside 30     so many of a hundred kills are in the middle of a batch's write
  --rate 100      appends of each of the five writers in a second
  --workers 2     so many processes serve the clients, and are killed and paused too; none where absent`;

function describe(report: TortureReport): string {
  const { kills, killsInsideWrite, faults, verdict } = report;
  const { appends } = verdict;
  const { byMode } = killsInsideWrite;
  const lines = [
    `kills ${kills.kills}: ${killsInsideWrite.total} inside a write (${byMode.before} before it, ${byMode.torn} torn, ${byMode.during} during, ${byMode.after} after), ${kills.halfStarted} half started; ${kills.refusedStarts} starts refused on a full disk, ${report.repairs} torn writes repaired, slowest start ${kills.slowestStartMs} ms`,
    `trouble: ${faults.network} on the network, ${report.cuts} connections cut, ${faults.rests} slow readers, ${faults.slowDisk} slow and ${faults.fullDisk} full disks, ${faults.clockSteps} clock steps, ${faults.trims} trims, ${faults.workerKills} workers killed, ${faults.workerPauses} processes paused`,
    `appends ${appends.sent}: ${appends.stored} stored (${appends.duplicates} repeats), ${appends.refused} refused, ${appends.unconfirmed} unconfirmed, ${appends.pending} without outcome`,
    `records ${verdict.records}, delivered ${verdict.delivered} to ${new Set(verdict.readers.map(({ reader }) => reader)).size} readers; declared gaps ${verdict.gaps.trimmed}`,
    ...verdict.violations.map(({ kind, channel, text }) => styleText('red', `${kind} in ${channel}: ${text}`)),
    ...report.failures.map((failure) => styleText('red', failure)),
    report.ok
      ? styleText('green', `0 violations · seed ${report.seed}`)
      : styleText(
          'red',
          `${verdict.violationCount} violations, ${report.failures.length} failures · seed ${report.seed} · data ${report.data}`,
        ),
  ];
  return lines.join('\n');
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    kills: { type: 'string' },
    inside: { type: 'string' },
    rate: { type: 'string' },
    workers: { type: 'string' },
    data: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const given = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
const seconds = given(values.seconds) ?? (given(values.minutes) ?? 1) * 60;
const seed = given(values.seed) ?? Math.floor(Math.random() * 2 ** 31);
const numbers = [seconds, seed, ...[values.kills, values.inside, values.rate, values.workers].map(given)];
if (values.help || numbers.some((number) => number !== undefined && !(number >= 0))) {
  console.error(usage);
  process.exitCode = values.help ? 0 : 2;
} else {
  console.error(`torture for ${seconds} s, seed ${seed}`);
  const report = await torture({
    seconds,
    seed,
    kills: given(values.kills),
    insidePercent: given(values.inside),
    appendsPerSecond: given(values.rate),
    workers: given(values.workers),
    data: values.data,
    onProgress({ secondsLeft, kills, verdict }) {
      const { appends, records, delivered, gaps, violationCount } = verdict;
      console.error(
        `${String(secondsLeft).padStart(4)} s left · kills ${kills} · sent ${appends.sent} stored ${appends.stored} waiting ${appends.pending} · records ${records} delivered ${delivered} · gaps ${gaps.trimmed} · violations ${violationCount}`,
      );
    },
  });
  console.error(describe(report));
  if (values.json) console.log(JSON.stringify(report));
  if (!report.ok) process.exitCode = 5;
}
