/**
 * How a log line looks: JSON for machines, one short coloured line for a person at a terminal.
 */
import type { LogLine } from './logger.ts';

export type LogFormat = 'auto' | 'json' | 'pretty';

const COLOURS = { debug: 90, info: 36, warn: 33, error: 31 } as const;
/** Shown by themselves, or of no use to a person who watches. */
const APART = new Set(['time', 'level', 'event', 'message', 'stack']);

export function formatJson(line: LogLine): string {
  return JSON.stringify(line);
}

/** `12:30:25.104 log.down       disk full  code=not_durable ref=…` */
export function formatPretty(line: LogLine, options: { readonly colour: boolean }): string {
  const paint = (code: number, text: string): string => (options.colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const fields = Object.entries(line).filter(([name]) => !APART.has(name));
  const parts = [
    paint(90, line.time.slice(11, 23)),
    paint(COLOURS[line.level], line.event.padEnd(16)),
    ...(line.message === undefined ? [] : [visible(line.message)]),
    ...fields.map(([name, value]) => paint(90, `${name}=`) + visible(String(value))),
  ];
  return parts.join(' ') + (line.stack === undefined ? '' : `\n${paint(90, line.stack)}`);
}

/** A name or message from outside must not move the cursor or colour the terminal of whoever watches. */
function visible(text: string): string {
  return text.replaceAll(
    /[\u0000-\u001f\u007f-\u009f]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Writes lines to stderr: JSON, or pretty where it is a terminal and nothing else is asked for. */
export function createLineWriter(
  format: LogFormat,
  stream: { write(text: string): unknown; readonly isTTY?: boolean } = process.stderr,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): (line: LogLine) => void {
  const isPretty = format === 'pretty' || (format === 'auto' && stream.isTTY === true);
  if (!isPretty) return (line) => void stream.write(`${formatJson(line)}\n`);
  const colour = stream.isTTY === true && (environment['NO_COLOR'] ?? '') === '';
  return (line) => void stream.write(`${formatPretty(line, { colour })}\n`);
}
