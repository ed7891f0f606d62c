/**
 * The law of determinism: hub, view and client take clock, randomness, timers and network from an injected Env, so
 * that a simulation can hold them. Reading the ambient ones there is a finding.
 */
import { isClientNodeFile } from './rooms.ts';
import { isNode, lineAt, walk, type Finding, type Source, type SyntaxNode } from './tree.ts';

/** Objects of every runtime, and what of them is ambient. */
const ambientMembers: Readonly<Record<string, readonly string[]>> = {
  Date: ['now'],
  performance: ['now', 'timeOrigin'],
  Math: ['random'],
  crypto: ['getRandomValues', 'randomUUID', 'randomBytes', 'randomInt', 'randomFillSync'],
  process: ['hrtime'],
};
const ambientNames = ['setTimeout', 'setInterval', 'setImmediate', 'fetch'];
const globalObjects = ['globalThis', 'window', 'self', 'global'];

/** Modules that bring the outside world, or a way around the names above. */
const ambientModules =
  'fs fs/promises net tls http https http2 dgram dns dns/promises timers timers/promises child_process cluster worker_threads'
    .split(' ')
    .map((name) => `node:${name}`);
const storeModules = ['node:fs', 'node:fs/promises', 'classic-level'];

export function judgeAmbient(sources: readonly Source[]): Finding[] {
  return sources.filter((source) => isDeterministic(source)).flatMap((source) => judgeSource(source));
}

function isDeterministic(source: Source): boolean {
  const { file } = source;
  if (source.isTest || file.endsWith('/env.ts') || isClientNodeFile(file)) return false;
  return /^packages\/(server\/src\/(hub|view|service)|client\/src)\//.test(file);
}

function judgeSource(source: Source): Finding[] {
  const findings: Finding[] = [];
  const report = (start: number, message: string): void => {
    findings.push({ file: source.file, line: lineAt(source.text, start), rule: 'ambient', message });
  };

  const isStore = /^packages\/server\/src\/view\/(.*\/)?store[^/]*\.ts$/.test(source.file);
  for (const one of source.imports) {
    const banned = [...ambientModules, 'classic-level', 'ws'].includes(one.specifier);
    if (banned && !(isStore && storeModules.includes(one.specifier))) {
      report(one.start, `${one.specifier} brings the outside world here; take it from Env or hand it in`);
    }
  }

  const bound = namesBoundIn(source);
  walk(source.program, (node, parent, field) => {
    if (isTypePosition(node)) return false;
    const ambient = ambientIn(node, parent, field, bound);
    if (ambient !== undefined) report(node.start, `${ambient} is ambient; take it from the injected Env`);
    return true;
  });
  return findings;
}

function ambientIn(
  node: SyntaxNode,
  parent: SyntaxNode,
  field: string,
  bound: ReadonlySet<string>,
): string | undefined {
  switch (node.type) {
    case 'Identifier': {
      const name = String(node['name']);
      return ambientNames.includes(name) && !bound.has(name) && isReference(parent, field) ? name : undefined;
    }
    case 'MemberExpression': {
      const object = identifier(node['object']);
      const member = memberName(node);
      if (object === undefined || member === undefined || bound.has(object)) return undefined;
      return isAmbientMember(object, member) ? `${object}.${member}` : undefined;
    }
    case 'VariableDeclarator': {
      const object = identifier(node['init']);
      const pattern = node['id'];
      if (object === undefined || bound.has(object) || !isNode(pattern) || pattern.type !== 'ObjectPattern') return;
      const taken = namesTaken(pattern).find((name) => isAmbientMember(object, name));
      return taken === undefined ? undefined : `${object}.${taken}`;
    }
    case 'ImportSpecifier': {
      const name = identifier(node['imported']);
      const members = ['node:crypto', 'node:perf_hooks', 'node:process'].includes(importedFrom(parent));
      return members && name !== undefined && isAmbientImport(name) ? name : undefined;
    }
    case 'NewExpression':
    case 'CallExpression': {
      if (identifier(node['callee']) !== 'Date' || bound.has('Date')) return undefined;
      const isNew = node.type === 'NewExpression';
      if (isNew && Array.isArray(node['arguments']) && node['arguments'].length > 0) return undefined;
      return isNew ? 'new Date()' : 'Date()';
    }
    default:
      return undefined;
  }
}

function isAmbientMember(object: string, member: string): boolean {
  if (globalObjects.includes(object)) return ambientNames.includes(member);
  return ambientMembers[object]?.includes(member) ?? false;
}

function isAmbientImport(name: string): boolean {
  return name === 'performance' || name === 'webcrypto' || (ambientMembers['crypto']?.includes(name) ?? false);
}

/** Whether an identifier stands for a value, and is not a name of a property or an operand of `typeof`. */
function isReference(parent: SyntaxNode, field: string): boolean {
  if (field === 'property' && parent.type === 'MemberExpression') return parent['computed'] === true;
  if (field === 'key') return parent['computed'] === true;
  if (parent.type === 'UnaryExpression' && parent['operator'] === 'typeof') return false;
  return !/^(Import|Export).*Specifier$/.test(parent.type);
}

/** Types leave nothing at run time; expressions with types do. */
function isTypePosition(node: SyntaxNode): boolean {
  const kept = /^TS(AsExpression|SatisfiesExpression|NonNullExpression|TypeAssertion|InstantiationExpression)$/;
  return node.type.startsWith('TS') && !kept.test(node.type) && node.type !== 'TSModuleBlock';
}

/** Names this file binds itself, anywhere: a parameter called `fetch` is not the ambient one. */
function namesBoundIn(source: Source): Set<string> {
  const names = new Set<string>();
  walk(source.program, (node) => {
    if (/^Import.*Specifier$/.test(node.type)) addBound(node['local'], names);
    if (node.type === 'VariableDeclarator') addBound(node['id'], names);
    if (Array.isArray(node['params'])) for (const parameter of node['params']) addBound(parameter, names);
    if (/^(Function|Class)Declaration$/.test(node.type)) addBound(node['id'], names);
    return true;
  });
  // Importing the ambient ones by name does not make them ours.
  for (const one of source.imports)
    if (one.specifier.startsWith('node:timers')) ambientNames.forEach((n) => names.delete(n));
  return names;
}

function addBound(pattern: unknown, names: Set<string>): void {
  if (!isNode(pattern)) return;
  if (pattern.type === 'Identifier') names.add(String(pattern['name']));
  for (const field of ['left', 'argument', 'value']) addBound(pattern[field], names);
  for (const field of ['properties', 'elements', 'items']) {
    const list = pattern[field];
    if (Array.isArray(list)) for (const one of list) addBound(one, names);
  }
}

function namesTaken(pattern: SyntaxNode): string[] {
  const properties: unknown[] = Array.isArray(pattern['properties']) ? pattern['properties'] : [];
  return properties.flatMap((one) => (isNode(one) ? [identifier(one['key']) ?? ''] : []));
}

function importedFrom(parent: SyntaxNode): string {
  return isNode(parent['source']) ? String(parent['source']['value']) : '';
}

function memberName(node: SyntaxNode): string | undefined {
  const property = node['property'];
  if (node['computed'] !== true) return identifier(property);
  return isNode(property) && property.type === 'Literal' ? String(property['value']) : undefined;
}

function identifier(node: unknown): string | undefined {
  return isNode(node) && node.type === 'Identifier' ? String(node['name']) : undefined;
}
