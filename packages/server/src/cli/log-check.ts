/** `tideway log check`: reads every byte of a data folder that no server has open, and says what is wrong where. */
import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkLog, type LogCheck } from '../log/embedded/check.ts';
import { positionNumber } from '../log/position.ts';
import { settings } from '../ops/config-schema.ts';
import { checkView, type ViewCheck } from '../view/check.ts';
import { LevelStore } from '../view/store-level.ts';
import { defineCommand } from './command.ts';
import { CliError, exitCodes } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { type Io, paint, print, printJson } from './io.ts';

export const command = defineCommand({
  usage: 'log check [DIR]',
  about:
    'Checks the log, which holds the records, and the view, which is made from it and can be made again. Nothing is changed;\na server must not have the folder open. Exit code 5 where something is wrong.',
  flags: { json: jsonFlag },
  examples: ['tideway log check ./tideway-data'],
  arguments: [0, 1],
  async run({ io, flags, positionals }) {
    const folder = resolve(io.folder, positionals[0] ?? settings.data.default);
    if (!(await exists(folder))) throw new CliError(exitCodes.usage, `there is no folder ${folder}`);
    const read = await checkLog(folder);
    const viewFolder = join(folder, 'view');
    const view = (await exists(viewFolder)) ? await checkView(new LevelStore(viewFolder)) : undefined;
    const log = compared(read, view);
    if (flags.json) await printJson(io, { folder, log, view });
    else {
      await tellLog(io, log);
      if (view !== undefined) await tellView(io, view, log === read);
    }
    const problems = log.problems.length + (view?.problems.length ?? 0);
    return problems === 0 ? exitCodes.ok : exitCodes.checkFailed;
  },
});

/** A view is made from what is stored: where it is ahead, the log has lost its end, and no write was merely cut off. */
function compared(log: LogCheck, view: ViewCheck | undefined): LogCheck {
  const last = log.segments.at(-1);
  if (view?.applied === undefined || view.applied.epoch !== log.epoch || last === undefined) return log;
  const applied = positionNumber(view.applied.position);
  const newest = last.first + last.records - 1;
  if (applied <= newest) return log;
  const problem = `acknowledged records are missing: the view has applied ${applied}, the log ends with ${newest}`;
  return { ...log, torn: undefined, problems: [...log.problems, { file: last.file, offset: last.bytes, problem }] };
}

async function tellLog(io: Io, { segments, problems, torn, epoch }: LogCheck): Promise<void> {
  const records = segments.reduce((sum, segment) => sum + segment.records, 0);
  const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
  const mark = markOf(io, problems.length === 0);
  const count = `${records.toLocaleString('en-US')} records, ${bytes.toLocaleString('en-US')} bytes in ${segments.length} ${segments.length === 1 ? 'segment' : 'segments'}`;
  await print(io, `${mark} log ${epoch ?? '(epoch unknown)'}: ${count}`);
  if (torn !== undefined) {
    const { file, offset, bytes: tornBytes } = torn;
    await print(
      io,
      `  ${file}:${offset}: ${tornBytes} bytes of a write that a crash cut off, never acknowledged; no harm`,
    );
  }
  for (const { file, offset, problem } of problems) await print(io, `  ${file}:${offset}: ${problem}`);
}

/** Where the log has lost records, the view is all that is left of them. */
async function tellView(io: Io, view: ViewCheck, canBeMadeAgain: boolean): Promise<void> {
  const { channels, records, bytes, problems } = view;
  const count = `${records.toLocaleString('en-US')} records of ${channels.toLocaleString('en-US')} channels, ${bytes.toLocaleString('en-US')} bytes`;
  await print(io, `${markOf(io, problems.length === 0)} view: ${count}`);
  for (const { channel, problem } of problems) await print(io, `  ${channel ?? 'the whole'}: ${problem}`);
  if (problems.length > 0 && canBeMadeAgain)
    await print(io, '  No loss: delete the folder "view", and the next start makes it from the log.');
}

function markOf(io: Io, isGood: boolean): string {
  return isGood ? paint(io, 'stdout', 'green', '✓') : paint(io, 'stdout', 'red', '✗');
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
