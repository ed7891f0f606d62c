/** The law of the single file: its name, its length, its first words, and what must not stand in it. */
import { isNode, lineAt, walk, type Finding, type Source, type SyntaxNode, type Tree } from './tree.ts';

const linesWarned = 300;
const linesMax = 400;
const headCharactersMin = 20;

/** Names that say nothing: whatever lies in such a file has a better home. */
const emptyNames = ['util', 'utils', 'utilities', 'helper', 'helpers', 'common', 'misc'];

/** Places on somebody's machine. Not part of a URL, hence the look behind. */
const machinePath = /(?<![\w.-])\/(work|root|home\/[a-z][\w-]*)\/[\w.-]/;

export function judgeShape(tree: Tree, sources: readonly Source[]): { findings: Finding[]; warnings: Finding[] } {
  const findings: Finding[] = [];
  const warnings: Finding[] = [];
  for (const [file, text] of tree) findings.push(...judgeText(file, text));
  for (const source of sources) {
    const { file, text } = source;
    const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
    const long = { file, line: lines, rule: 'length', message: `${lines} lines; look for a noun hiding inside` };
    if (lines > linesMax) findings.push({ ...long, message: `${long.message} (at most ${linesMax})` });
    else if (lines > linesWarned) warnings.push(long);
    if (!source.isTest && !startsWithPurpose(source)) {
      findings.push({
        file,
        line: 1,
        rule: 'head',
        message: 'begin with a comment: what this file does and must never do',
      });
    }
    findings.push(...judgeComments(source), ...judgeSyntax(source));
    if (source.isTest) findings.push(...judgeTest(source));
  }
  return { findings, warnings };
}

function judgeText(file: string, text: string): Finding[] {
  const findings: Finding[] = [];
  const name = file.split('/').find((segment) => emptyNames.includes(segment.replace(/\..*$/, '').toLowerCase()));
  if (name !== undefined) {
    findings.push({ file, line: 1, rule: 'name', message: `${name} says nothing; name it after what it holds` });
  }
  const place = machinePath.exec(text);
  if (place !== null) {
    const line = lineAt(text, place.index + 1);
    findings.push({ file, line, rule: 'machine-path', message: `${place[0]}… is a place on one machine` });
  }
  const host = file.endsWith('package-lock.json') ? /"resolved": "[a-z]+:/.exec(text) : null;
  if (host !== null) {
    const line = lineAt(text, host.index + 1);
    findings.push({ file, line, rule: 'lockfile', message: 'the lockfile names a host; npm must not record one' });
  }
  return findings;
}

function startsWithPurpose(source: Source): boolean {
  const head = source.comments[0];
  if (head === undefined || head.value.length < headCharactersMin) return false;
  return (
    source.text
      .slice(0, head.start)
      .replace(/^#!.*\n/, '')
      .trim() === ''
  );
}

function judgeComments(source: Source): Finding[] {
  return source.comments.flatMap((comment) => {
    const marker = /\b(TODO|FIXME|XXX)\b/.exec(comment.value);
    if (marker === null) return [];
    const line = lineAt(source.text, comment.start + marker.index);
    return [{ file: source.file, line, rule: 'marker', message: `${marker[0]}: do it now, or leave it out` }];
  });
}

function judgeSyntax(source: Source): Finding[] {
  const findings: Finding[] = [];
  walk(source.program, (node) => {
    const isNamespace = node.type === 'TSModuleDeclaration' && node['kind'] === 'namespace';
    if (node.type === 'TSEnumDeclaration' || isNamespace) {
      const what = isNamespace ? 'a namespace' : 'an enum';
      const message = `${what} cannot be erased; use a union of strings, an object or a module`;
      findings.push({ file: source.file, line: lineAt(source.text, node.start), rule: 'syntax', message });
    }
    return true;
  });
  return findings;
}

function judgeTest(source: Source): Finding[] {
  const findings: Finding[] = [];
  const report = (node: SyntaxNode, rule: string, message: string): void => {
    findings.push({ file: source.file, line: lineAt(source.text, node.start), rule, message });
  };
  for (const one of source.imports) {
    if (one.specifier !== 'node:timers/promises') continue;
    const line = lineAt(source.text, one.start);
    findings.push({
      file: source.file,
      line,
      rule: 'sleep',
      message: 'wait for an event with a deadline, never sleep',
    });
  }
  const executors: string[] = [];
  walk(source.program, function visit(node) {
    if (node.type === 'CallExpression' && isOnly(node['callee'])) report(node, 'only', 'the other tests would not run');
    const resolver = node.type === 'NewExpression' ? resolverOf(node) : undefined;
    if (resolver === undefined) {
      if (isSleep(node, executors)) report(node, 'sleep', 'wait for an event with a deadline, never sleep');
      return true;
    }
    executors.push(resolver);
    walk(node, visit);
    executors.pop();
    return false;
  });
  return findings;
}

function isOnly(callee: unknown): boolean {
  if (!isNode(callee) || callee.type !== 'MemberExpression' || nameOf(callee['property']) !== 'only') return false;
  return ['test', 'it', 'describe', 'suite', 't'].includes(nameOf(callee['object']) ?? '');
}

/** The name of `resolve` in `new Promise((resolve) => …)`. */
function resolverOf(node: SyntaxNode): string | undefined {
  const executor: unknown = Array.isArray(node['arguments']) ? node['arguments'][0] : undefined;
  if (nameOf(node['callee']) !== 'Promise' || !isNode(executor)) return undefined;
  return Array.isArray(executor['params']) ? nameOf(executor['params'][0]) : undefined;
}

/** `setTimeout(resolve, 50)` or `setTimeout(() => resolve(), 50)`: a promise that only time fulfils. */
function isSleep(node: SyntaxNode, resolvers: readonly string[]): boolean {
  if (node.type !== 'CallExpression' || nameOf(node['callee']) !== 'setTimeout') return false;
  const callback: unknown = Array.isArray(node['arguments']) ? node['arguments'][0] : undefined;
  if (!isNode(callback)) return false;
  const body = callback['body'];
  const called = isNode(body) && body.type === 'CallExpression' ? nameOf(body['callee']) : nameOf(callback);
  return called !== undefined && resolvers.includes(called);
}

function nameOf(node: unknown): string | undefined {
  return isNode(node) && node.type === 'Identifier' ? String(node['name']) : undefined;
}
