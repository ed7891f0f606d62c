/**
 * docs/reference/client.md, made from the sources of @tideway/client: each export with its comment, each member of an
 * interface with its type and its comment. Run as a program it writes the page.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isNode, parseTree, type Source, type SyntaxNode } from '../law/tree.ts';

const root = join(import.meta.dirname, '../..');
export const clientPagePath = 'docs/reference/client.md';

/** Every export has its place in one of these; what none of them names fails the test. */
export const sections: readonly { readonly title: string; readonly text: string; readonly names: readonly string[] }[] =
  [
    {
      title: 'Connecting',
      text: '`connect` connects at once. A connection that is lost is sought again by itself, and readers go on from their places. Clients of the same URL, token function and outbox share one connection.',
      names: [
        'connect',
        'ConnectOptions',
        'TokenSource',
        'TokenReason',
        'TransportChoice',
        'Client',
        'ClientState',
        'ClientEvents',
        'FailedAppend',
      ],
    },
    {
      title: 'Channels',
      text: "A channel is named, or filled in from a pattern: `client.channel('chat:{room}', { room: '42' })`. Parameters may be any text; what a name cannot hold is encoded.",
      names: ['Channel', 'AppendOptions', 'Receipt', 'ReceiptState', 'Stored', 'ChannelSignal', 'Stoppable'],
    },
    {
      title: 'Reading',
      text: '`read` gives what there was and then what comes, without a seam. Keep `record.cursor` of the last record you have dealt with, and give it as `from` next time. What is unread is bounded: a reader that does not keep up is let go by the server and taken up again from its place.',
      names: [
        'ReadOptions',
        'OnGap',
        'Gap',
        'GapReason',
        'GapError',
        'ChannelReader',
        'ChannelItem',
        'ChannelRecord',
        'HistoryOptions',
        'HistoryPage',
      ],
    },
    {
      title: 'Calls',
      text: '`call` comes from `@tideway/client/call`. What a server serves stands in its [`calls`](config.md#in-code-only); whichever node the client reaches gives the call to one that serves the method.',
      names: ['call', 'CallOptions'],
    },
    {
      title: 'An outbox that outlives the page',
      text: 'An append without answer is kept and sent again, once for all, until there is one. In memory it ends with the page or the process; in IndexedDB or a file it does not. `indexedDbOutbox` comes from `@tideway/client/indexeddb`, `fileOutbox` from `@tideway/client/node`.',
      names: ['indexedDbOutbox', 'fileOutbox', 'OutboxStore', 'OutboxEntry'],
    },
    {
      title: 'Behind a proxy with HTTP/2, in Node',
      text: '`disableHttp2` comes from `@tideway/client/node`. Browsers need nothing of the kind.',
      names: ['disableHttp2'],
    },
    {
      title: 'Types of your own',
      text: 'A contract says what the channels carry; the server checks it. In the browser its type is enough: `connect<App>({ url })` with `import type { App }`, and no validator is in the bundle. Given as `contract` at run time, records that do not fit are left out of `read` and are items marked `invalid` in `items()`.',
      names: ['contract', 'Contract'],
    },
    {
      title: 'Errors',
      text: 'Every failure is a `TidewayError` with a code of [the table](errors.md).',
      names: ['TidewayError', 'Code'],
    },
  ];

interface Found {
  readonly source: Source;
  readonly nodes: SyntaxNode[];
}

/** The names that the package exports, types included. */
export function exportedNames(): string[] {
  return ['index', 'call', 'node', 'indexeddb'].flatMap((name) => {
    const text = readFileSync(join(root, 'packages/client/src', `${name}.ts`), 'utf8');
    return [...text.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = '']) =>
      list
        .split(',')
        .map((one) => one.replace(/^\s*type\s+/, '').trim())
        .filter((one) => one !== ''),
    );
  });
}

export function clientPage(): string {
  const declared = findDeclarations();
  const parts = sections.flatMap(({ title, text, names }) => [
    `## ${title}`,
    text,
    ...names.flatMap((name) => describe(name, declared.get(name))),
  ]);
  return `${[
    '# Client',
    '`@tideway/client` runs in browsers and in Node. It connects, reads channels from a place on, appends until there is an answer, and goes over to SSE where no WebSocket gets through.',
    "```ts\nimport { connect } from '@tideway/client';\n\nconst client = connect({ url: '/', token: () => fetch('/token').then((answer) => answer.text()) });\nconst room = client.channel('chat:42');\nroom.append({ text: 'hello' });\nfor await (const record of room.read({ from: 'last:50', onGap: 'continue' })) console.log(record.data);\n```",
    'The server’s `server.channel(…)` has the same surface, in process.',
    ...parts,
    'This page is made from `packages/client/src` by `node scripts/documents/client-page.ts`.',
  ].join('\n\n')}\n`;
}

/** Top-level declarations of client and protocol, by name; a function may have several. */
function findDeclarations(): Map<string, Found> {
  const files = globSync('packages/{client,protocol}/src/**/*.ts', { cwd: root, exclude: ['**/*.test.ts'] });
  const tree = new Map(
    files.toSorted().map((file) => [file.replaceAll('\\', '/'), readFileSync(join(root, file), 'utf8')]),
  );
  const found = new Map<string, Found>();
  for (const source of parseTree(tree).sources) {
    for (const statement of source.program['body'] as SyntaxNode[]) {
      const declaration = statement['declaration'];
      if (statement.type !== 'ExportNamedDeclaration' || !isNode(declaration) || !isNode(declaration['id'])) continue;
      const name = String(declaration['id']['name']);
      const before = found.get(name);
      if (before?.source === source) before.nodes.push(statement);
      else if (before === undefined) found.set(name, { source, nodes: [statement] });
    }
  }
  return found;
}

function describe(name: string, found: Found | undefined): string[] {
  const statement = found?.nodes[0];
  const declaration = statement?.['declaration'];
  if (found === undefined || statement === undefined || !isNode(declaration))
    throw new Error(`nothing declares ${name}`);
  const { source } = found;
  const { text, example } = commentOf(source, statement.start);
  const parts = [`### ${name}`];
  const add = (part: string): void => void (part === '' || parts.push(part));
  if (declaration.type === 'TSInterfaceDeclaration') {
    add(text);
    add(membersTable(source, (declaration['body'] as SyntaxNode)['body'] as SyntaxNode[]));
  } else if (declaration.type === 'ClassDeclaration') {
    add(text);
    const members = (declaration['body'] as SyntaxNode)['body'] as SyntaxNode[];
    add(
      membersTable(
        source,
        members.filter((one) => one.type === 'PropertyDefinition'),
      ),
    );
  } else {
    add(text);
    add(
      `\`\`\`ts\n${found.nodes
        .map((node) => signature(source, node))
        .filter(isPublic)
        .join('\n')}\n\`\`\``,
    );
  }
  if (example !== '') add(`\`\`\`ts\n${example}\n\`\`\``);
  return parts;
}

/** The last of several declarations of a function is its body, which nobody calls by its own type. */
function isPublic(one: string, index: number, all: readonly string[]): boolean {
  return all.length === 1 || index < all.length - 1;
}

function signature(source: Source, node: SyntaxNode): string {
  const declaration = node['declaration'] as SyntaxNode;
  const body = declaration['body'];
  const isFunction = declaration.type.includes('Function');
  const end = isFunction && isNode(body) ? body.start : Number(declaration['end']);
  const text = isFunction ? plain(source, declaration.start, end) : source.text.slice(declaration.start, end);
  return text.replace(/;$/, '');
}

function membersTable(source: Source, members: readonly SyntaxNode[]): string {
  const rows = members
    .filter((member) => !source.text.slice(member.start).startsWith('#'))
    .map((member) => {
      const code = plain(source, member.start, Number(member['end']))
        .replace(/^readonly /, '')
        .replace(/;$/, '')
        // What a contract makes of data, written out, helps nobody.
        .replace(/(?<=: Channel<)Said<.*(?=>$)/, '…');
      const { text, example } = commentOf(source, member.start);
      const meaning = [text, example === '' ? '' : `\`${example}\``].filter((part) => part !== '').join(' ');
      return `| \`${code.replaceAll('|', '\\|')}\` | ${meaning.replaceAll(/\n+/g, ' ').replaceAll('|', '\\|')} |`;
    });
  return ['| member | meaning |', '| --- | --- |', ...rows].join('\n');
}

/** Source text without comments, on one line. */
function plain(source: Source, from: number, to: number): string {
  return source.text
    .slice(from, to)
    .replaceAll(/\/\*\*[^]*?\*\//g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/([[(<{]) (?=[[\w'])/g, (match, open: string) => (open === '{' ? match : open))
    .replaceAll(/,? ([\])>])(?!=)/g, (match, close: string) => (match === ' >' ? match : close))
    .trim();
}

/** The comment that ends just before an offset: its text, and its example as code. */
function commentOf(source: Source, start: number): { readonly text: string; readonly example: string } {
  const comment = source.comments.findLast((one) => one.start < start);
  if (comment === undefined || !comment.value.startsWith('*')) return { text: '', example: '' };
  const between = source.text.slice(comment.start + comment.value.length + 4, start);
  if (between.trim() !== '') return { text: '', example: '' };
  const lines = comment.value
    .slice(1)
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, '').trim());
  const whole = lines.join('\n').trim();
  const example = /@example ([^\n]*(?:\n(?!@)[^\n]+)*)/.exec(whole)?.[1] ?? '';
  const throws = /@throws ([^\n]*(?:\n(?!@)[^\n]+)*)/.exec(whole)?.[1];
  const text = whole.replaceAll(/(^|\n)@[^]*$/g, '').trim();
  const said = text.split(/\n\s*\n/).map((paragraph) => paragraph.replaceAll('\n', ' '));
  if (throws !== undefined) said.push(`Throws ${throws.replaceAll('\n', ' ')}.`);
  return { text: said.filter((part) => part !== '').join(' '), example: example.trim() };
}

if (import.meta.main) writeFileSync(join(root, clientPagePath), clientPage());
