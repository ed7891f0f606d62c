/** Small repositories for the test of the house law: the manifests are there, a test adds the files that break it. */
import assert from 'node:assert/strict';
import { judge } from '../../law.ts';

export const head = '/** What this file is for, in one sentence. */\n';
const manifests = {
  'package.json': JSON.stringify({ devDependencies: { zod: '4.0.0' } }),
  'packages/protocol/package.json': JSON.stringify({ name: '@tideway/protocol', exports: { '.': {} } }),
  'packages/client/package.json': JSON.stringify({
    name: '@tideway/client',
    exports: { '.': {}, './node': {} },
    dependencies: { '@tideway/protocol': '0.1.0' },
  }),
  'packages/server/package.json': JSON.stringify({
    name: 'tideway',
    exports: { '.': {} },
    dependencies: { '@tideway/protocol': '0.1.0', '@tideway/client': '0.1.0', 'classic-level': '3.0.0', ws: '8.23.0' },
  }),
  'packages/console/package.json': JSON.stringify({
    name: '@tideway/console',
    private: true,
    dependencies: { '@tideway/client': '0.1.0', '@tideway/protocol': '0.1.0' },
  }),
  'packages/verifier/package.json': JSON.stringify({
    name: '@tideway/verifier',
    private: true,
    exports: { '.': {} },
    dependencies: { '@tideway/protocol': '0.1.0', tideway: '0.1.0' },
  }),
  'examples/chat/package.json': JSON.stringify({
    name: 'chat',
    private: true,
    dependencies: { '@tideway/client': '0.1.0', '@tideway/protocol': '0.1.0', tideway: '0.1.0' },
  }),
};

/** The rules a tree breaks, as `file: rule`; sources get a head comment unless they bring one. */
export function broken(files: Record<string, string>): string[] {
  const tree = new Map(Object.entries(manifests));
  for (const [file, text] of Object.entries(files)) {
    tree.set(file, file.endsWith('.ts') && !text.startsWith('/') && !text.startsWith('#') ? head + text : text);
  }
  return judge(tree).findings.map((one) => `${one.file}: ${one.rule}`);
}

export function assertBreaks(rule: string, file: string, text: string, others: Record<string, string> = {}): void {
  assert.deepEqual(broken({ [file]: text, ...others }), [`${file}: ${rule}`], text);
}

export function assertKeeps(file: string, text: string, others: Record<string, string> = {}): void {
  assert.deepEqual(broken({ [file]: text, ...others }), [], text);
}
