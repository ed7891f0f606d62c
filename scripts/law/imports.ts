/** The law of imports: one direction between rooms and packages, through exports only, declared, without cycles. */
import { builtinModules } from 'node:module';
import {
  isClientNodeFile,
  packageImports,
  packageOf,
  serverRoomOf,
  serverRooms,
  serverRoomsPackages,
  type Permission,
} from './rooms.ts';
import { lineAt, resolveRelative, type Finding, type Import, type Source, type Tree } from './tree.ts';

interface Manifest {
  readonly name?: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, unknown>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

type Report = (source: Source, one: Import, rule: string, message: string) => void;

const nodeModules = new Set(builtinModules);

export function judgeImports(tree: Tree, sources: readonly Source[]): Finding[] {
  const findings: Finding[] = [];
  const report: Report = (source, one, rule, message) => {
    findings.push({ file: source.file, line: lineAt(source.text, one.start), rule, message });
  };
  const manifests = readManifests(tree);
  for (const source of sources) {
    for (const one of source.imports) {
      if (one.specifier.startsWith('.')) judgeRelative(source, one, report);
      else judgeBare(source, one, manifests, report);
    }
  }
  return [...findings, ...judgeCycles(sources), ...judgeBrowserReach(sources)];
}

function judgeRelative(source: Source, one: Import, report: Report): void {
  const target = resolveRelative(source.file, one.specifier);
  const home = packageOf(source.file);
  if (packageOf(target) !== home) {
    if (source.isTest && target.startsWith('scripts/')) return;
    return report(source, one, 'exports', `${one.specifier} reaches into another package; import it by name`);
  }
  if (source.isTest) return;
  if (/\.test\.[a-z]+$/.test(target) || /\/(test|testing)\//.test(target)) {
    return report(source, one, 'direction', `${one.specifier} belongs to tests; only tests may import it`);
  }
  judgeRooms(source, one, target, report);
}

function judgeRooms(source: Source, one: Import, target: string, report: Report): void {
  const [from, to] = [serverRoomOf(source.file), serverRoomOf(target)];
  if (from === undefined || to === undefined || from === to) return;
  const rooms = serverRooms[from];
  if (rooms === undefined) {
    return report(source, one, 'direction', `the room ${from} has no place in the law; add it to scripts/law/rooms.ts`);
  }
  if (isAllowed(rooms, to, one)) return;
  const allowed = [...rooms.values, ...rooms.types.map((room) => `${room} (types)`)];
  report(source, one, 'direction', `${from} must not import ${to}; it may import ${allowed.join(', ') || 'no room'}`);
}

function judgeBare(source: Source, one: Import, manifests: ReadonlyMap<string, Manifest>, report: Report): void {
  if (one.specifier.startsWith('node:')) return judgeNode(source, one, report);
  if (nodeModules.has(one.specifier)) {
    return report(source, one, 'exports', `write node:${one.specifier}, so that it is seen to be Node's`);
  }
  const name = /^(@[^/]+\/)?[^/]+/.exec(one.specifier)?.[0] ?? one.specifier;
  for (const manifest of manifests.values()) {
    if (manifest.name === name) judgeExport(source, one, name, manifest, report);
  }
  if (isWorkspace(manifests, name)) judgeDirection(source, one, name, report);
  judgeDeclared(source, one, name, manifests, report);
}

function judgeNode(source: Source, one: Import, report: Report): void {
  if (source.isTest) return;
  if (source.file.startsWith('packages/protocol/src/')) {
    report(source, one, 'direction', `the protocol runs everywhere and imports nothing, not ${one.specifier}`);
  }
  if (source.file.startsWith('packages/client/src/') && !isClientNodeFile(source.file)) {
    report(source, one, 'direction', `the client runs in browsers; ${one.specifier} belongs in node.ts or adapters/`);
  }
}

function judgeExport(source: Source, one: Import, name: string, manifest: Manifest, report: Report): void {
  const subpath = `.${one.specifier.slice(name.length)}`;
  const exports = Object.keys(manifest.exports ?? {});
  if (exports.includes(subpath)) return;
  report(
    source,
    one,
    'exports',
    `${one.specifier} is not exported; ${name} exports ${exports.join(', ') || 'nothing'}`,
  );
}

function judgeDirection(source: Source, one: Import, name: string, report: Report): void {
  if (source.isTest) return;
  const home = packageOf(source.file);
  const permission = packageImports[home.startsWith('examples/') ? 'examples' : home];
  if (permission === undefined || isAllowed(permission, name, one)) return;
  const room = serverRoomOf(source.file);
  if (room !== undefined && serverRoomsPackages[room]?.includes(name) === true) return;
  const allowed = [...permission.values, ...permission.types.map((type) => `${type} (types)`)];
  report(source, one, 'direction', `${home} must not import ${name}; it may import ${allowed.join(', ') || 'nothing'}`);
}

/** What a published file imports must come along with its package; what tests and tools import, with the repository. */
function judgeDeclared(
  source: Source,
  one: Import,
  name: string,
  manifests: ReadonlyMap<string, Manifest>,
  report: Report,
): void {
  const own = manifests.get(packageOf(source.file));
  const isTool = source.isTest || own === undefined || source.file.endsWith('/vite.config.ts');
  const declared = { ...own?.dependencies, ...own?.peerDependencies, ...own?.optionalDependencies };
  if (own?.private === true || isTool) Object.assign(declared, own?.devDependencies);
  const fromRoot = isTool ? manifests.get('')?.devDependencies : undefined;
  if (name in declared || name === own?.name || (fromRoot !== undefined && name in fromRoot)) return;
  if (isTool && isWorkspace(manifests, name)) return;
  report(source, one, 'declared', `${name} is not among the dependencies of ${packageOf(source.file)}/package.json`);
}

/** Circles of values only: two files may name each other's types, which are gone before anything runs. */
function judgeCycles(sources: readonly Source[]): Finding[] {
  const byFile = new Map(sources.map((source) => [source.file, source]));
  const done = new Set<string>();
  const path: string[] = [];
  const findings: Finding[] = [];
  function visit(file: string): void {
    if (done.has(file)) return;
    const source = byFile.get(file);
    if (source === undefined) return;
    path.push(file);
    for (const one of source.imports) {
      if (!one.specifier.startsWith('.') || one.typeOnly) continue;
      const target = resolveRelative(file, one.specifier);
      const begin = path.indexOf(target);
      if (begin === -1) {
        visit(target);
        continue;
      }
      const circle = [...path.slice(begin), target].join(' → ');
      findings.push({ file, line: lineAt(source.text, one.start), rule: 'cycle', message: `import cycle: ${circle}` });
    }
    path.pop();
    done.add(file);
  }
  for (const source of sources) visit(source.file);
  return findings;
}

/** A browser that loads the client must not meet Node's modules, however many files lie between. */
function judgeBrowserReach(sources: readonly Source[]): Finding[] {
  const byFile = new Map(sources.map((source) => [source.file, source]));
  const seen = new Set<string>();
  const findings: Finding[] = [];
  function visit(file: string): void {
    const source = byFile.get(file);
    if (source === undefined || seen.has(file)) return;
    seen.add(file);
    for (const one of source.imports) {
      if (one.typeOnly || one.dynamic) continue;
      if (one.specifier.startsWith('.')) visit(resolveRelative(file, one.specifier));
      else if (one.specifier.startsWith('node:')) {
        const message = `a browser that imports @tideway/client loads this file, and with it ${one.specifier}`;
        findings.push({ file, line: lineAt(source.text, one.start), rule: 'direction', message });
      }
    }
  }
  visit('packages/client/src/index.ts');
  return findings;
}

function isAllowed(permission: Permission, to: string, one: Import): boolean {
  return permission.values.includes(to) || (one.typeOnly && permission.types.includes(to));
}

function isWorkspace(manifests: ReadonlyMap<string, Manifest>, name: string): boolean {
  for (const [folder, manifest] of manifests) if (folder !== '' && manifest.name === name) return true;
  return false;
}

/** By folder; the root's is ''. */
function readManifests(tree: Tree): Map<string, Manifest> {
  const manifests = new Map<string, Manifest>();
  for (const [file, text] of tree) {
    const folder = /^(?:((?:packages|examples)\/[^/]+|bench)\/)?package\.json$/.exec(file);
    if (folder !== null) manifests.set(folder[1] ?? '', JSON.parse(text) as Manifest);
  }
  return manifests;
}
