/** The material of the house law: a tree of files as text, and what a parser sees in each source file. */
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { parseSync } from 'rolldown/utils';

/** Path from the root of the repository, with forward slashes, to the text. */
export type Tree = ReadonlyMap<string, string>;

/** What breaks the law, where, and what to do instead. */
export interface Finding {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** A node of the syntax tree, as the parser gives it (ESTree with TypeScript's additions). */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}

export interface Import {
  readonly specifier: string;
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean;
  /** `import('...')` in an expression: loaded when it is needed. */
  readonly dynamic: boolean;
  readonly start: number;
}

/** One parsed source file. */
export interface Source {
  readonly file: string;
  readonly text: string;
  readonly program: SyntaxNode;
  readonly comments: readonly { readonly start: number; readonly value: string }[];
  readonly imports: readonly Import[];
  /** A test, or something only tests use. */
  readonly isTest: boolean;
}

const sourcePattern = /^(packages|examples|bench|scripts)\/.*\.(ts|tsx|mts|js|jsx|mjs|cjs)$/;
const largestBytes = 4 * 1024 * 1024;

/** Every text file git would commit; without git, every file outside node_modules and dist. */
export function readTree(root: string): Tree {
  const tree = new Map<string, string>();
  for (const file of listFiles(root)) {
    const bytes = readIfThere(join(root, file));
    if (bytes === undefined || bytes.length > largestBytes || bytes.includes(0)) continue;
    tree.set(file.replaceAll('\\', '/'), bytes.toString('utf8'));
  }
  return tree;
}

/** The parsed sources of a tree, and a finding for each that does not parse. */
export function parseTree(tree: Tree): { sources: Source[]; findings: Finding[] } {
  const sources: Source[] = [];
  const findings: Finding[] = [];
  for (const [file, text] of tree) {
    if (!sourcePattern.test(file)) continue;
    const parsed = parseSync(file, text);
    const error = parsed.errors[0];
    if (error !== undefined) {
      findings.push({ file, line: lineAt(text, error.labels[0]?.start ?? 0), rule: 'syntax', message: error.message });
      continue;
    }
    // The parser's own type is a closed union of some 200 nodes; the law looks at fields by name.
    const program = parsed.program as unknown as SyntaxNode;
    sources.push({ file, text, program, comments: parsed.comments, imports: importsOf(program), isTest: isTest(file) });
  }
  return { sources, findings };
}

/** Calls `visit` for every node, parents first; `visit` returns false to keep out of a node's children. */
export function walk(node: SyntaxNode, visit: (node: SyntaxNode, parent: SyntaxNode, field: string) => boolean): void {
  for (const [field, value] of Object.entries(node)) {
    for (const child of Array.isArray(value) ? value : [value]) {
      if (isNode(child) && visit(child, node, field)) walk(child, visit);
    }
  }
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

export function lineAt(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

/** The file a relative import names, from the root of the repository. */
export function resolveRelative(file: string, specifier: string): string {
  return posix.join(dirname(file), specifier);
}

function isTest(file: string): boolean {
  return /\.test\.[a-z]+$/.test(file) || /\/(test|testing)\//.test(file);
}

function importsOf(program: SyntaxNode): Import[] {
  const imports: Import[] = [];
  walk(program, (node) => {
    const source = isNode(node['source']) ? node['source']['value'] : undefined;
    if (typeof source !== 'string') return true;
    const dynamic = node.type === 'ImportExpression' || node.type === 'TSImportType';
    imports.push({ specifier: source, typeOnly: isTypeOnly(node), dynamic, start: node.start });
    return true;
  });
  return imports;
}

function isTypeOnly(node: SyntaxNode): boolean {
  if (node.type === 'TSImportType' || node['importKind'] === 'type' || node['exportKind'] === 'type') return true;
  const specifiers: unknown[] = Array.isArray(node['specifiers']) ? node['specifiers'] : [];
  return (
    specifiers.length > 0 &&
    specifiers.every((one) => isNode(one) && (one['importKind'] === 'type' || one['exportKind'] === 'type'))
  );
}

function listFiles(root: string): string[] {
  try {
    const git = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    return execFileSync('git', git, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .split('\0')
      .filter((file) => file !== '');
  } catch {
    return globSync('**/*', { cwd: root, exclude: (path) => /(^|\/)(node_modules|dist|\.git)$/.test(path) });
  }
}

/** A listed file may be deleted, a folder or a link to one. */
function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
