/**
 * The documents about errors, made from the one table of codes: docs/reference/errors.md, and the table of PROTOCOL.md
 * between its two marks. Run as a program it writes both; `errorDocuments` says what they should be.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  codeMeanings,
  codes,
  codeStatuses,
  isFinalClose,
  type Code,
  type CodeAction,
  type CodeEntry,
} from '@tideway/protocol';

const begin = '<!-- codes:begin -->';
const end = '<!-- codes:end -->';

const table: readonly (CodeEntry & { readonly code: Code; readonly http: number; readonly meaning: string })[] =
  Object.entries<CodeEntry>(codes).map(([text, entry]) => {
    // The keys of the table are the codes.
    const code = text as Code;
    return { code, ...entry, http: codeStatuses[code], meaning: codeMeanings[code] };
  });

const groups: readonly { readonly action: CodeAction; readonly title: string; readonly text: string }[] = [
  {
    action: 'never',
    title: 'Not to be repeated as it is',
    text: 'The same request gets the same answer. Change it, or tell the person who asked.',
  },
  {
    action: 'retry',
    title: 'To be repeated',
    text: 'The error carries `retryMs`; the SDK waits that long and tries again by itself. Over HTTP there is `Retry-After` too.',
  },
  {
    action: 'refresh',
    title: 'To be repeated with a fresh token',
    text: 'The SDK calls your `token` function once (`reason: "rejected"` or `"expiring"`) and tries again; refused again, it stops and says so.',
  },
];

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** The table of PROTOCOL.md. */
export function protocolTable(): string {
  return [
    row(['code', 'HTTP', 'close', 'action', 'meaning']),
    row(['---', '---', '---', '---', '---']),
    ...table.map((one) =>
      row([`\`${one.code}\``, String(one.http), String(one.close ?? ''), `\`${one.action}\``, one.meaning]),
    ),
  ].join('\n');
}

/** docs/reference/errors.md. */
export function errorsPage(): string {
  const closing = table.filter((one) => one.close !== undefined);
  const sections = groups.map(({ action, title, text }) => {
    const rows = table.filter((one) => one.action === action);
    return [
      `## ${title}`,
      '',
      text,
      '',
      row(['code', 'HTTP', 'meaning']),
      row(['---', '---', '---']),
      ...rows.map((one) => row([`\`${one.code}\``, String(one.http), one.meaning])),
    ].join('\n');
  });
  return `${[
    '# Errors',
    '',
    'Wire, HTTP, SDK, logs and metrics use the same codes. Programs go by `code`; `message` is for people and says what was wrong, with which value, and what is allowed. `ref` stands in the matching line of the server’s log: `grep` for it there.',
    '',
    'In the SDK and the server every failure is a `TidewayError` with `code`, `message`, `ref?`, `retryMs?`, `cause?`, `details?`. Over HTTP the body is `{"error":{"code","message","ref","retryMs"?}}` with the status of the table; on a WebSocket it is the frame `error` with the same members.',
    '',
    ...sections.flatMap((section) => [section, '']),
    '## WebSocket close numbers',
    '',
    'After 4000–4499 a client reconnects and resumes, with back-off; after 4500–4999 it waits until the application acts. The reason of the close frame is the code.',
    '',
    row(['number', 'code', 'the client reconnects']),
    row(['---', '---', '---']),
    ...closing.map((one) =>
      row([String(one.close), `\`${one.code}\``, isFinalClose(one.close as number) ? 'no' : 'yes']),
    ),
    '',
    'Of the standard numbers 1002, 1007 and 1009 end it too: what was sent can never be right (a broken frame, text that is not UTF-8, a message larger than the largest record plus 8 KiB). After any other (1001, 1006, 1011, 1012, 1013) the client reconnects.',
    '',
    'The rules behind this page are [COD-1 to COD-4](../../PROTOCOL.md#11-codes). It is made from `packages/protocol/src/codes.ts` by `node --conditions=tideway-source scripts/docs-errors.ts`.',
  ].join('\n')}\n`;
}

/** Both documents as they should be, by path from the root of the repository. */
export function errorDocuments(root: string): ReadonlyMap<string, string> {
  const protocol = readFileSync(join(root, 'PROTOCOL.md'), 'utf8');
  const [from, to] = [protocol.indexOf(begin), protocol.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`PROTOCOL.md must have the marks ${begin} and ${end}, in this order`);
  const withTable = `${protocol.slice(0, from + begin.length)}\n${protocolTable()}\n${protocol.slice(to)}`;
  return new Map([
    ['PROTOCOL.md', withTable],
    ['docs/reference/errors.md', errorsPage()],
  ]);
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '..');
  for (const [path, text] of errorDocuments(root)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    console.log(path);
  }
}
