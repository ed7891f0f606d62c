/**
 * The reference pages that are made from the server's tables: docs/reference/config.md, metrics.md and logs.md. Run as a
 * program it writes them; `referencePages` says what they should be.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { namespaceSettings } from '../src/ops/config-namespaces.ts';
import {
  environmentName,
  flagName,
  type Setting,
  type SettingKey,
  settingKeys,
  settings,
} from '../src/ops/config-schema.ts';
import { describeRange, showNumber } from '../src/ops/config-values.ts';
import { limitNames } from '../src/hub/measures.ts';
import { logEvents, type LogEventEntry } from '../src/ops/logger-events.ts';
import { type Metric, metricKeys, metricTable } from '../src/ops/metrics-table.ts';

const COMMAND = '`node --conditions=tideway-source packages/server/test/reference-pages.ts`';

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function page(parts: readonly string[]): string {
  return `${parts.join('\n\n')}\n`;
}

const groups: readonly { readonly title: string; readonly text?: string; readonly holds: (key: string) => boolean }[] =
  [
    {
      title: 'Where it listens, where it keeps things',
      holds: (key) => ['host', 'port', 'workers', 'log', 'data'].includes(key),
    },
    { title: 'Who may connect', holds: (key) => ['origins', 'hosts', 'trustedProxies'].includes(key) },
    {
      title: 'Bridges',
      text: 'For `tideway bridge`, which reads the same file; a server takes no part in it: [Bridge a broker you have](../guides/bridges.md).',
      holds: (key) => key === 'bridges',
    },
    { title: 'TLS', text: 'Both files, or neither.', holds: (key) => key.startsWith('tls.') },
    {
      title: 'Authentication',
      text: 'How tokens, keys and cookies are used: [Authentication](../guides/authentication.md). Of `secret`, `publicKey` and `jwks` exactly one.',
      holds: (key) => key.startsWith('auth.'),
    },
    { title: 'Time', holds: (key) => /^(?:ping|hello|notice|drain)Ms$/.test(key) },
    { title: 'Limits', holds: (key) => key.startsWith('limits.') },
    {
      title: 'Logs, faults, development',
      holds: (key) => ['logLevel', 'logFormat', 'faults', 'development'].includes(key),
    },
  ];

function defaultOf(setting: Setting): string {
  if (!('default' in setting) || setting.default === undefined) return '';
  const value = setting.default;
  if (typeof value === 'number') return showNumber(setting.kind, value);
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.join(', ');
  return `\`${String(value)}\``;
}

function allowedOf(setting: Setting): string {
  switch (setting.kind) {
    case 'choice':
      return setting.choices.map((choice) => `\`${choice}\``).join(', ');
    case 'choices':
      return `a list of ${setting.choices.map((choice) => `\`${choice}\``).join(', ')}`;
    case 'count':
    case 'bytes':
    case 'duration':
    case 'port':
      return describeRange(setting);
    case 'switch':
      return '`true`, `false`';
    case 'list':
      return 'a list';
    case 'text':
      return 'a text';
    case 'json':
      return 'an object or list';
    default:
      return setting satisfies never;
  }
}

function meaningOf({ meaning, reason }: Setting): string {
  return reason === undefined ? meaning : `${meaning} ${reason}`;
}

function settingRow(key: SettingKey): readonly string[] {
  const setting: Setting = settings[key];
  const flag = flagName(key);
  const names = [`\`${environmentName(key)}\``, ...(flag === undefined ? [] : [`\`--${flag}\``])].join('<br>');
  return [`\`${key}\``, defaultOf(setting), allowedOf(setting), names, meaningOf(setting)];
}

export function configPage(): string {
  const left = settingKeys.filter((key) => key !== 'namespaces' && groups.every(({ holds }) => !holds(key)));
  if (left.length > 0) throw new Error(`no group of the page holds ${left.join(', ')}`);
  const sections = groups.flatMap(({ title, text, holds }) => [
    `## ${title}`,
    ...(text === undefined ? [] : [text]),
    table(['setting', 'default', 'allowed', 'variable, flag', 'meaning'], settingKeys.filter(holds).map(settingRow)),
  ]);
  return page([
    '# Configuration',
    'A server works without any. What is set comes, the later winning, from `tideway.config.ts`, from environment variables, and from flags of `tideway serve` and `tideway dev`; a program gives the same object to `createServer`. `tideway config print` shows every value with its origin, `tideway config check` says what is wrong: the key, the value, and what is allowed. A server with a wrong or unknown setting does not start.',
    'In code, sizes are bytes and durations milliseconds. In variables and flags `256KiB`, `1 MiB`, `25s`, `10m`, `24h` are understood too; lists are separated by commas, or the flag is repeated. Secrets have no flag, because everybody on a machine sees the flags of its processes.',
    ...sections,
    '## Namespaces',
    `\`namespaces\` holds the policy of each namespace by its name; as JSON in \`${environmentName('namespaces')}\`. Under \`tideway serve\` a namespace that is not listed does not exist (\`channel_unknown\`), and nobody may what is not stated. \`$system\` is the server’s own; back ends (\`key\`) may read it unless its policy says otherwise.`,
    "`subscribe`, `append`, `signal`, `history` and `admin` (trim and close) each say who may: `'anyone'`, `'user'` (whoever is authenticated, back ends included), `'key'` (a back end’s API key), a list of roles, one of which is enough, or a function `(identity, channel) => boolean | Promise<boolean>`. `admin` is never for anonymous clients.",
    table(
      ['setting', 'default', 'allowed', 'meaning'],
      Object.entries<Setting>(namespaceSettings).map(([key, setting]) => [
        `\`${key}\``,
        defaultOf(setting),
        allowedOf(setting),
        meaningOf(setting),
      ]),
    ),
    '## In code only',
    table(
      ['option', 'meaning'],
      [
        [
          '`contract`',
          'What the channels carry: patterns with Standard Schema validators. Payloads that do not fit are refused as `invalid`.',
        ],
        [
          '`calls`',
          'What clients may call, by its name (1–64 of `A–Z a–z 0–9 _ . -`, at most 100): `{ call, handle }`. `call` says who may, in the words above; where it is absent nobody may. `handle(argument, caller)` gives the result or a promise of it; `caller` is the identity, with `signal`, which is aborted when nobody waits any more. A `TidewayError` that it throws is the answer; anything else is `internal`. Nodes pass calls on to those that serve the method; with `workers` each of them has its own.',
        ],
        [
          '`auth.session`',
          'Finds out whose session a cookie is: [Authentication](../guides/authentication.md#a-session-cookie).',
        ],
        ['`logger`', 'Takes each line of the server’s log as an object, instead of stderr.'],
        ['`env`', 'Clock, randomness and timers, for tests.'],
      ],
    ),
    `This page is made from \`packages/server/src/ops/config-schema.ts\` by ${COMMAND}.`,
  ]);
}

export function metricsPage(): string {
  const rows = metricKeys.map((key) => {
    const { name, type, labels, help }: Metric = metricTable[key];
    return [`\`${name}\``, type, labels.map((label) => `\`${label}\``).join(', '), help];
  });
  const histogram = metricKeys.map((key): Metric => metricTable[key]).find((metric) => metric.type === 'histogram');
  return page([
    '# Metrics',
    '`GET /metrics` answers in Prometheus’ text format. It has no credentials of its own: let your proxy keep it from the outside.',
    'Watch first: `tideway_client_gaps_total` (must stay 0), `tideway_log_up`, `tideway_append_seconds`, `tideway_delivery_seconds`, `tideway_outbox_paused_sessions`, `tideway_errors_total`.',
    table(['metric', 'type', 'labels', 'meaning'], rows),
    `Labels have few values, all known in advance: \`namespace\` comes from the configuration (others are \`_other\`), \`code\` from the [table of codes](errors.md), \`transport\` is \`websocket\`, \`sse\`, \`http\`, \`local\` (inside the server’s process) or \`link\` (a worker’s, on the one with the log). \`limit\` is ${limitNames.map((name) => `\`${name}\``).join(', ')}: a setting of \`limits\`, or a limit of [the protocol](../../PROTOCOL.md#13-limits) or of [the log](../../ARCHITECTURE.md#limits). Never a channel, never a user. There are at most 1,000 label sets. Durations have the buckets ${(histogram as Extract<Metric, { type: 'histogram' }>).buckets.join(', ')} seconds.`,
    'With [`workers`](../guides/workers.md) the page shows all processes, whichever is asked, and each line has the label `process` besides.',
    `This page is made from \`packages/server/src/ops/metrics-table.ts\` by ${COMMAND}.`,
  ]);
}

export function logsPage(): string {
  const rows = Object.entries<LogEventEntry>(logEvents).map(([event, { level, meaning }]) => [
    `\`${event}\``,
    level,
    meaning,
  ]);
  return page([
    '# Logs',
    'The server writes one JSON line a fact to stderr, or a short line for people where stderr is a terminal (`logFormat`). `event` is from this list; `logLevel` says from which level on.',
    table(['event', 'level', 'meaning'], rows),
    'Besides `time`, `level` and `event` a line has what is known of: `ref`, `session`, `user`, `keyName`, `namespace`, `channel`, `cursor`, `code`, `op`, `reason`, `transport`, `remoteAddress`, `origin`, `url`, `path`, `message`, `stack`, `durationMs`, `count`, `bytes`, `port`, `version`.',
    '**`ref`** is what the client was told in its error: `grep` for it here. Lines with a `ref` are written whatever the level.',
    '**`repeated`**: of lines with the same event, code, `op` and `path`, of one session (of one address, where there is none), twenty are written in ten seconds; the others are counted, and one line says how many. The `ref` of what was only counted is that of the last one written, and stands in that line, too.',
    'There is never a token, a key, a ticket, a cookie or a payload in a line.',
    `This page is made from \`packages/server/src/ops/logger-events.ts\` by ${COMMAND}.`,
  ]);
}

/** The pages as they should be, by path from the root of the repository. */
export function referencePages(): ReadonlyMap<string, string> {
  return new Map([
    ['docs/reference/config.md', configPage()],
    ['docs/reference/metrics.md', metricsPage()],
    ['docs/reference/logs.md', logsPage()],
  ]);
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '../../..');
  for (const [path, text] of referencePages()) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
    console.log(path);
  }
}
