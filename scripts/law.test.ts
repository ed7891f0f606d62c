import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { judge } from './law.ts';
import { assertBreaks, assertKeeps, broken, head } from './law/testing/small-trees.ts';
import { readTree } from './law/tree.ts';

const server = 'packages/server/src';
const client = 'packages/client/src';

describe('import direction', () => {
  test('rooms of the server import downwards only', () => {
    for (const [from, to] of [
      ['env.ts', './log/log.ts'],
      ['log/embedded/segment.ts', '../../view/view.ts'],
      ['log/log.ts', '../hub/channel.ts'],
      ['view/fold.ts', '../hub/channel.ts'],
      ['hub/session.ts', '../transport/websocket.ts'],
      ['hub/session.ts', '../auth/jwt.ts'],
      ['hub/session.ts', '../server.ts'],
      ['auth/jwt.ts', '../hub/session.ts'],
      ['auth/jwt.ts', '../log/log.ts'],
      ['transport/websocket.ts', '../auth/jwt.ts'],
      ['transport/websocket.ts', '../server.ts'],
      ['ops/health.ts', '../server.ts'],
      ['server.ts', './cli/main.ts'],
      ['server.ts', './index.ts'],
    ] as const) {
      assertBreaks('direction', `${server}/${from}`, `import { x } from '${to}';`);
      assertBreaks('direction', `${server}/${from}`, `export * from '${to}';`);
      assertBreaks('direction', `${server}/${from}`, `const x = await import('${to}');`);
    }
    for (const [from, to] of [
      ['view/fold.ts', '../log/log.ts'],
      ['hub/session.ts', '../view/view.ts'],
      ['hub/session.ts', '../env.ts'],
      ['transport/websocket.ts', '../hub/session.ts'],
      ['server.ts', './transport/websocket.ts'],
      ['index.ts', './server.ts'],
      ['cli/main.ts', '../server.ts'],
    ] as const) {
      assertKeeps(`${server}/${from}`, `import { x } from '${to}';`);
    }
  });

  test('the hub may know types of auth, and transports types of auth and ops', () => {
    assertKeeps(`${server}/hub/policy.ts`, `import type { Identity } from '../auth/identity.ts';`);
    assertKeeps(`${server}/hub/policy.ts`, `import { type Identity } from '../auth/identity.ts';`);
    assertKeeps(`${server}/hub/policy.ts`, `export const a: import('../auth/identity.ts').A = 1;`);
    assertKeeps(`${server}/transport/sse.ts`, `import type { Logger } from '../ops/logger.ts';`);
    assertBreaks('direction', `${server}/hub/policy.ts`, `import { type A, b } from '../auth/identity.ts';`);
    assertBreaks('direction', `${server}/hub/session.ts`, `import type { A } from '../transport/sse.ts';`);
  });

  test('a room the law does not know has no permission', () => {
    assertBreaks('direction', `${server}/attic/box.ts`, `import { x } from '../hub/session.ts';`);
  });

  test('packages import what their place allows', () => {
    assertBreaks('direction', `packages/console/src/page.ts`, `import { x } from '@tideway/protocol';`);
    assertBreaks('direction', `examples/chat/server.ts`, `import { x } from '@tideway/protocol';`);
    assertBreaks('direction', `packages/verifier/src/suite.ts`, `import { createServer } from 'tideway';`);
    assertBreaks('direction', `${server}/hub/session.ts`, `import { connect } from '@tideway/client';`);
    assertKeeps(`packages/verifier/src/suite.ts`, `import type { Log } from 'tideway';`);
    assertKeeps(`packages/console/src/page.ts`, `import { x } from '@tideway/client';`);
    assertKeeps(`examples/chat/server.ts`, `import { createServer } from 'tideway';`);
    assertKeeps(`${server}/cli/publish.ts`, `import { connect } from '@tideway/client';`);
    assertKeeps(`${client}/client.ts`, `import { encode } from '@tideway/protocol';`);
  });

  test('the protocol imports nothing and the client meets Node in its adapters only', () => {
    assertBreaks('direction', 'packages/protocol/src/codec.ts', `import { Buffer } from 'node:buffer';`);
    assertBreaks('direction', `${client}/session.ts`, `import { EventEmitter } from 'node:events';`);
    assertKeeps(`${client}/node.ts`, `import { open } from 'node:fs/promises';`);
    assertKeeps(`${client}/adapters/node-socket.ts`, `import { connect } from 'node:net';`);
  });

  test('a browser that loads the client never reaches Node', () => {
    const adapter = { [`${client}/adapters/file.ts`]: `${head}import { open } from 'node:fs/promises';` };
    assert.deepEqual(broken({ [`${client}/index.ts`]: `export * from './adapters/file.ts';`, ...adapter }), [
      `${client}/adapters/file.ts: direction`,
    ]);
    assertKeeps(`${client}/index.ts`, `export type * from './adapters/file.ts';`, adapter);
  });

  test('tests may import any room and the scripts, and nothing else may import tests', () => {
    assertKeeps(
      `${server}/log/log.test.ts`,
      `import { x } from '../server.ts'; import '../../../../scripts/services.ts';`,
    );
    assertKeeps(`packages/protocol/src/codec.test.ts`, `import 'node:fs'; import 'zod'; import 'tideway';`);
    assertBreaks('direction', `${server}/log/log.ts`, `import { x } from './log.test.ts';`);
    assertBreaks('direction', `${server}/log/log.ts`, `import { x } from '../testing/clock.ts';`);
  });
});

describe('packages', () => {
  test('are entered through their exports', () => {
    assertBreaks('exports', `${client}/a.ts`, `import { x } from '@tideway/protocol/src/codec.ts';`);
    assertBreaks('exports', `${client}/a.ts`, `import { x } from '../../protocol/src/codec.ts';`);
    assertBreaks('exports', `${client}/a.test.ts`, `import { x } from '../../protocol/src/codec.ts';`);
    assertBreaks('exports', `${server}/ops/config.ts`, `import { x } from 'fs';`);
    assertKeeps(`${server}/cli/publish.ts`, `import { x } from '@tideway/client/node';`);
  });

  test('declare what they import', () => {
    assertBreaks('declared', `${server}/hub/schema.ts`, `import { z } from 'zod';`);
    assertBreaks('declared', `${server}/hub/schema.test.ts`, `import { z } from 'joi';`);
    assertBreaks('declared', `examples/chat/server.ts`, `import { z } from 'zod';`);
    assertKeeps(`scripts/pack.ts`, `import { z } from 'zod';`);
  });

  test('have no import cycles, save of types', () => {
    const [a, b] = [`${server}/hub/a.ts`, `${server}/hub/b.ts`];
    const cycle = { [a]: `import { b } from './b.ts';`, [b]: `import { a } from './a.ts';` };
    assert.deepEqual(broken(cycle), [`${b}: cycle`]);
    assert.deepEqual(broken({ [a]: `import { a } from './a.ts';` }), [`${a}: cycle`]);
    assertKeeps(a, `import type { B } from './b.ts';`, { [b]: `import { a } from './a.ts';` });
    assertKeeps(a, `import { b } from './b.ts'; import { c } from './c.ts';`, { [b]: `import { c } from './c.ts';` });
  });
});

describe('determinism', () => {
  const ambient = [
    'const t = Date.now();',
    'const t = new Date();',
    'const t = Date();',
    "const t = Date['now']();",
    'const { now } = Date;',
    'const t = performance.now();',
    'const t = process.hrtime.bigint();',
    'const r = Math.random();',
    'const r = Math.random;',
    'const r = crypto.getRandomValues(new Uint8Array(1));',
    'const r = crypto.randomUUID();',
    "import { randomBytes } from 'node:crypto';",
    "import { performance } from 'node:perf_hooks';",
    'setTimeout(() => 1, 5);',
    'globalThis.setTimeout(() => 1, 5);',
    'const start = setInterval;',
    'setImmediate(() => 1);',
    "await fetch('x');",
    'const options = { fetch };',
    "import { readFileSync } from 'node:fs';",
    "import { connect } from 'node:net';",
    "import { createServer } from 'node:http';",
    "import { WebSocketServer } from 'ws';",
    "import { setTimeout as later } from 'node:timers';",
  ];
  test('hub and view take nothing from outside', () => {
    for (const text of ambient) {
      assertBreaks('ambient', `${server}/hub/session.ts`, text);
      assertBreaks('ambient', `${server}/view/fold.ts`, text);
    }
    assertBreaks('ambient', `${server}/hub/rows.ts`, `import { ClassicLevel } from 'classic-level';`);
  });

  test('nor does the client', () => {
    for (const text of ambient.filter((text) => !text.startsWith('import'))) {
      assertBreaks('ambient', `${client}/session.ts`, text);
    }
  });

  test('except in env.ts, in adapters and in the stores of the view', () => {
    assertKeeps(`${client}/env.ts`, 'export const now = () => Date.now();');
    assertKeeps(`${client}/adapters/browser.ts`, "export const get = () => fetch('x');");
    assertKeeps(`${server}/ops/clock.ts`, 'export const now = () => Date.now();');
    assertKeeps(`${server}/view/store.ts`, `import 'node:fs/promises'; import 'classic-level';`);
    assertKeeps(`${server}/view/level/store-pages.ts`, `import { ClassicLevel } from 'classic-level';`);
    assertBreaks('ambient', `${server}/view/store.ts`, 'export const at = Date.now();');
    assertKeeps(`${server}/hub/session.test.ts`, 'const t = Date.now();');
  });

  test('what is injected, typed or merely called alike is not ambient', () => {
    assertKeeps(`${server}/hub/a.ts`, 'export const f = (env: { setTimeout(): void }) => env.setTimeout();');
    assertKeeps(`${client}/a.ts`, 'export function f(fetch: typeof globalThis.fetch) { return fetch; }');
    assertKeeps(`${client}/a.ts`, 'export const f = ({ fetch }: { fetch: () => void }) => fetch();');
    assertKeeps(`${client}/a.ts`, 'export type T = ReturnType<typeof setTimeout>;');
    assertKeeps(`${client}/a.ts`, "export const has = typeof fetch === 'function';");
    assertKeeps(`${client}/a.ts`, 'export const d = new Date(0); export const e = { fetch: 1, setTimeout() {} };');
    assertKeeps(`${client}/a.ts`, 'export class C { fetch() { return this.fetch(); } }');
  });
});

describe('the single file', () => {
  test('is short', () => {
    const lines = (count: number): string => head + 'export {};\n'.repeat(count - 1);
    assertKeeps('packages/protocol/src/a.ts', lines(400));
    assertBreaks('length', 'packages/protocol/src/a.ts', lines(401));
    const warned = judge(new Map([['packages/protocol/src/a.ts', lines(301)]])).warnings;
    assert.deepEqual(
      warned.map((one) => one.rule),
      ['length'],
    );
  });

  test('begins with its purpose', () => {
    const file = 'packages/protocol/src/a.ts';
    assert.deepEqual(broken({ [file]: '/* short */ export {};' }), [`${file}: head`]);
    assert.deepEqual(broken({ [file]: `#!/usr/bin/env node\nexport {};` }), [`${file}: head`]);
    assert.deepEqual(broken({ [file]: `#!/usr/bin/env node\n${head}export {};` }), []);
    assert.deepEqual(
      judge(new Map([[file, `export {};\n${head}`]])).findings.map((one) => one.rule),
      ['head'],
    );
  });

  test('holds no markers, enums, namespaces or other syntax that cannot be erased', () => {
    const file = 'packages/protocol/src/a.ts';
    for (const marker of ['TODO', 'FIXME', 'XXX']) assertBreaks('marker', file, `export {}; // ${marker}: later`);
    assertBreaks('syntax', file, 'export enum A { B }');
    assertBreaks('syntax', file, 'export namespace A { export const b = 1; }');
    assertBreaks('syntax', file, 'const = 1;');
    assertKeeps(file, "declare module 'x' { export const a: number; }");
    assertKeeps(file, 'declare global { interface Window { a: number } }');
  });

  test('names no place on a machine, whatever kind of file it is', () => {
    for (const place of [
      ['', 'work', 'main'],
      ['', 'root', '.npmrc'],
      ['', 'home', 'ann', 'x'],
    ]) {
      assertBreaks('machine-path', 'docs/start.md', `see ${place.join('/')}`);
    }
    assertKeeps('docs/start.md', 'https://example.com/work/start and network/root/x and /home');
  });

  test('has a name that says something', () => {
    assertBreaks('name', `${server}/hub/utils.ts`, 'export {};');
    assertBreaks('name', `${server}/common/clock.ts`, 'export {};');
    assertBreaks('name', `${server}/hub/helpers.test.ts`, 'export {};');
    assertKeeps(`${server}/hub/utility-bill.ts`, 'export {};');
  });

  test('is a lockfile that names no host', () => {
    assertBreaks('lockfile', 'package-lock.json', '{\n "resolved": "https://example.com/a.tgz" }');
    assertKeeps('package-lock.json', '{ "resolved": "packages/server" }');
  });
});

describe('tests', () => {
  const file = `${server}/hub/session.test.ts`;
  test('run all', () => {
    assertBreaks('only', file, "test.only('a', () => {});");
    assertBreaks('only', file, "describe.only('a', () => {});");
  });

  test('never sleep', () => {
    assertBreaks('sleep', file, 'await new Promise((resolve) => setTimeout(resolve, 50));');
    assertBreaks('sleep', file, 'await new Promise<void>((r) => { setTimeout(r, 50); });');
    assertBreaks('sleep', file, 'await new Promise((done) => setTimeout(() => done(1), 50));');
    assertBreaks('sleep', file, "import { setTimeout as sleep } from 'node:timers/promises';");
    assertKeeps(
      file,
      "await new Promise((ok, fail) => { setTimeout(() => fail(new Error('deadline')), 50); go(ok); });",
    );
  });
});

test('a folder without git is read whole, except for what is installed or built', () => {
  const root = mkdtempSync(join(tmpdir(), 'tideway-law-'));
  try {
    writeFileSync(join(root, 'a.md'), 'text');
    writeFileSync(join(root, 'b.bin'), Buffer.from([1, 0, 2]));
    for (const folder of ['node_modules/x', 'packages/x/dist', 'packages/x/src']) {
      mkdirSync(join(root, folder), { recursive: true });
      writeFileSync(join(root, folder, 'c.ts'), head);
    }
    assert.deepEqual([...readTree(root).keys()], ['a.md', 'packages/x/src/c.ts']);
  } finally {
    rmSync(root, { recursive: true });
  }
});
