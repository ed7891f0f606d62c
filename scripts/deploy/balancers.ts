/**
 * The load balancers of deploy/ as real programs: each file as it stands there, but for ports, nodes and the places of
 * files. What a test wants to change is found in the text, or it is an error.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { generate } from 'selfsigned';
import { findProgram, Program, projectFolder } from '../documents/programs.ts';
import { freePort } from '@tideway/verifier/free-ports';

const deploy = join(import.meta.dirname, '../../deploy');

/** The name that the files of deploy/ use. */
export const NAME = 'live.example.com';

export type Replacements = readonly (readonly [string, string])[];

export interface Balancer {
  /** The program that must be on this machine. */
  readonly program: 'nginx' | 'haproxy';
  /** TLS ends at the nodes: they need the certificate. */
  readonly passesTls?: true;
  start(t: TestContext, site: Site, ports: readonly number[], more?: Replacements): Promise<Running>;
}

export interface Running {
  readonly host: string;
  readonly port: number;
  readonly process: Program;
}

/** A folder with a certificate for the name and for 127.0.0.1, in the files that the configurations name. */
export interface Site {
  readonly folder: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** Made once a process, which trusts it from then on. */
let made: Promise<{ readonly cert: string; readonly private: string }> | undefined;

async function makeCertificate() {
  const altNames = [
    { type: 2, value: NAME },
    { type: 7, ip: '127.0.0.1' },
  ] as const;
  const certificate = await generate([{ name: 'commonName', value: NAME }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: [...altNames] }],
  });
  setDefaultCACertificates([...getCACertificates('default'), certificate.cert]);
  return certificate;
}

export async function makeSite(t: TestContext): Promise<Site> {
  const folder = projectFolder(t);
  const { cert, private: key } = await (made ??= makeCertificate());
  for (const [name, text] of Object.entries({ 'cert.pem': cert, 'key.pem': key, 'both.pem': `${cert}\n${key}` })) {
    writeFileSync(join(folder, name), text);
  }
  return { folder, certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
}

/** Why a balancer cannot be tried here; `undefined` where it can. Where services are required that is a failure. */
export function missingProgram({ program }: Balancer): string | undefined {
  if (findProgram(program) !== undefined) return undefined;
  assert.notEqual(process.env['TIDEWAY_REQUIRE_SERVICES'], '1', `${program} was not found`);
  return `${program} was not found`;
}

/** The text with replacements; what is not found in it is an error. */
export function fill(name: string, replacements: Replacements): string {
  let text = readFileSync(join(deploy, name), 'utf8');
  for (const [from, to] of replacements) {
    assert.ok(text.includes(from), `${name}: ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

export function nodesAt(ports: readonly number[]): Replacements {
  return ports.map((port, n) => [`127.0.0.1:${7401 + n}`, `127.0.0.1:${port}`] as const);
}

export const balancers = {
  /** TLS ends at nginx. */
  nginx: { program: 'nginx', start: startNginx },
  /** TLS ends at HAProxy. */
  haproxy: {
    program: 'haproxy',
    start: (t, site, ports, more = []) =>
      startHaproxy(t, site, 'haproxy.cfg', [...nodesAt(ports), ['/etc/ssl/live.example.com', site.folder], ...more]),
  },
  /** HAProxy passes bytes; TLS ends at the nodes. */
  'haproxy-passthrough': {
    program: 'haproxy',
    passesTls: true,
    start: (t, site, ports, more = []) =>
      startHaproxy(t, site, 'haproxy-passthrough.cfg', [...nodesAt(ports), ...more]),
  },
} as const satisfies Readonly<Record<string, Balancer>>;

async function startNginx(
  t: TestContext,
  { folder }: Site,
  ports: readonly number[],
  more: Replacements = [],
): Promise<Running> {
  const port = await freePort();
  mkdirSync(join(folder, 'cache'));
  const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const user = process.getuid?.() === 0 ? 'user root; ' : '';
  const text = fill('nginx.conf', [
    ...nodesAt(ports),
    ['listen 443', `listen 127.0.0.1:${port}`],
    ['/etc/ssl/live.example.com', folder],
    ['/var/cache/nginx/tideway', join(folder, 'cache')],
    [
      'worker_processes auto;',
      `${user}daemon off; master_process off; pid ${folder}/pid; error_log stderr notice; worker_processes 1;`,
    ],
    ['worker_rlimit_nofile 131072;', ''],
    ['worker_connections 65536;', 'worker_connections 4096;'],
    ['access_log off;', `access_log off; ${own.join(' ')}`],
    ...more,
  ]);
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, text);
  const running = new Program(t, folder, ['-e', 'stderr', '-c', file], {}, findProgram('nginx'));
  await running.says(/event method/);
  return { host: '127.0.0.1', port, process: running };
}

async function startHaproxy(
  t: TestContext,
  { folder }: Site,
  name: string,
  replacements: Replacements,
): Promise<Running> {
  const port = await freePort();
  const text = fill(name, [
    ['bind :443', `bind 127.0.0.1:${port}`],
    ['maxconn 50000', 'maxconn 4000\n  log stdout format raw local0'],
    ['option httpchk', 'option httpchk\n  option log-health-checks\n  log global'],
    ...replacements,
  ]);
  const file = join(folder, name);
  writeFileSync(file, text);
  const running = new Program(t, folder, ['-db', '-f', file], {}, findProgram('haproxy'));
  await running.says(/Health check for server tideway\/node3 succeeded/);
  return { host: '127.0.0.1', port, process: running };
}
