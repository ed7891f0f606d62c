/**
 * The files of deploy/ against the server: every variable, flag, command, port, path and package that they name is real,
 * and whoever ends the server waits for longer than it takes. Their syntax is looked at by the programs that read them,
 * where this machine has them, and by the formatter.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { createServer } from '../src/index.ts';
import { commands } from '../src/cli/commands.ts';
import { parseLogAddress } from '../src/log/registry.ts';
import { resolveConfig } from '../src/ops/config.ts';
import { environmentName, settingKeys, settings } from '../src/ops/config-schema.ts';
import { mergeConfig } from '../src/ops/config-sources.ts';
import { findProgram, projectFolder } from '../../../scripts/documents/programs.ts';

const root = join(import.meta.dirname, '../../..');
const deploy = join(root, 'deploy');
const text = (name: string): string => readFileSync(join(deploy, name), 'utf8');
const files = readdirSync(deploy);
const dockerfile = text('Dockerfile');
const compose = text('compose.yaml');
const kubernetes = text('kubernetes.yaml');
const unit = text('tideway.service');

/** Every match's first group; there must be some. */
function all(source: string, pattern: RegExp): string[] {
  const found = [...source.matchAll(new RegExp(pattern, `g${pattern.flags}`))].map((match) => match[1] as string);
  assert.ok(found.length > 0, `nothing is like ${String(pattern)}`);
  return found;
}

function seconds(source: string, pattern: RegExp): number {
  const [found] = all(source, pattern);
  return Number(found);
}

/** What a stopping server takes at most: it is noticed, its clients move, then what is left is flushed. */
const STOP_SECONDS = (settings.noticeMs.default + settings.drainMs.default) / 1_000 + 5;
const PORT = String(settings.port.default);

async function serves(path: string): Promise<number> {
  const server = await createServer({ log: 'memory:', logger: () => {} });
  try {
    const { url } = await server.listen({ port: 0 });
    return (await fetch(url + path)).status;
  } finally {
    await server.close({ drainMs: 0 });
  }
}

/** A command line of the files, judged by the command's own table. */
async function checkCommand(words: readonly string[]): Promise<void> {
  const bare = words.filter((word, n) => !word.startsWith('-') && words[n - 1]?.startsWith('-') !== true);
  const entry = commands.find(({ name }) => name === bare.join(' '));
  assert.ok(entry !== undefined, `tideway ${bare.join(' ')} is no command`);
  const { flags } = await entry.load();
  for (const word of words.filter((word) => word.startsWith('-'))) {
    assert.ok(Object.hasOwn(flags, word.slice(2)), `tideway ${bare.join(' ')} has no ${word}`);
  }
}

describe('all files', () => {
  test('name variables that a server reads', () => {
    const known = settingKeys.map(environmentName);
    const named = files.flatMap((file) => [...text(file).matchAll(/\bTIDEWAY_[A-Z_]+/g)].map(([name]) => name));
    assert.ok(named.length > 10);
    assert.deepEqual(
      named.filter((name) => !known.includes(name)),
      [],
    );
  });

  test('name flags of the server', async () => {
    const serve = await commands.find(({ name }) => name === 'serve')?.load();
    for (const flag of all(text('haproxy-passthrough.cfg'), /--([a-z-]+)/)) {
      assert.ok(Object.hasOwn(serve?.flags ?? {}, flag), flag);
    }
  });

  test('ask for paths that are there', async () => {
    const paths = files.flatMap((file) => [...text(file).matchAll(/\/(?:healthz|readyz|livez|health|ready)\b/g)]);
    assert.deepEqual([...new Set(paths.map(([path]) => path))].toSorted(), ['/healthz', '/readyz']);
    for (const path of ['/healthz', '/readyz']) assert.equal(await serves(path), 200);
  });
});

/** A strict reader of YAML 1.1, as Kubernetes has one: what other readers take, it may not. */
function yamlReader(): string | undefined {
  return ['python3', '/usr/bin/python3'].find(
    (program) => spawnSync(program, ['-c', 'import yaml'], { stdio: 'ignore' }).status === 0,
  );
}

test('the YAML is such that the strict reader of Kubernetes takes it', (t) => {
  const python = yamlReader();
  if (python === undefined) return t.skip('python3 with yaml was not found (on Debian: apt-get install python3-yaml)');
  const read = 'import sys, yaml; list(yaml.safe_load_all(sys.stdin))';
  const said = (input: string): string => spawnSync(python, ['-c', read], { input, encoding: 'utf8' }).stderr;
  const names = files.filter((file) => file.endsWith('.yaml'));
  assert.deepEqual(names.toSorted(), ['compose.yaml', 'kubernetes.yaml']);
  for (const name of names) assert.equal(said(text(name)), '', name);
  assert.match(said('{ path: /readyz?filling=ok, port: http }'), /expected ',' or '}'/);
});

describe('the load balancers', () => {
  for (const name of ['nginx.conf', 'haproxy.cfg', 'haproxy-passthrough.cfg']) {
    test(`${name} lets silence last for more than two pings`, () => {
      const times = all(text(name), /(?:proxy_(?:read|send)_timeout|timeout (?:client|server|tunnel)) +(\d+)s/);
      for (const time of times) assert.ok(Number(time) * 1_000 > 2 * settings.pingMs.default, time);
    });
  }

  test('nginx takes the largest batch', () => {
    assert.ok(seconds(text('nginx.conf'), /client_max_body_size (\d+)m;/) > 4);
  });
});

describe('the container', () => {
  const tideway = JSON.parse(readFileSync(join(root, 'packages/server/package.json'), 'utf8')) as {
    readonly bin: Readonly<Record<string, string>>;
    readonly engines: { readonly node: string };
    readonly dependencies: Readonly<Record<string, string>>;
    readonly peerDependencies: Readonly<Record<string, string>>;
  };

  test('starts what the package has as its program, with a command that there is', async () => {
    const [entry] = all(dockerfile, /ENTRYPOINT \["node", "([^"]+)"\]/);
    assert.equal(entry, join('/app/node_modules/tideway', tideway.bin['tideway'] as string));
    await checkCommand(all(dockerfile, /CMD \["([a-z]+)"\]/));
  });

  test('has the Node with which everything is tested, and every package of ours that it needs', () => {
    const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly optionalDependencies: Readonly<Record<string, string>>;
    };
    // The build starts the one that npm brings, which needs what an image of an older Node may not have.
    const [tested] = Object.values(optionalDependencies).map((version) => version.split('.')[0]);
    assert.deepEqual([...new Set(all(dockerfile, /FROM node:(\d+)-/))], [tested]);
    assert.ok(Number(tested) >= Number(/\d+/.exec(tideway.engines.node)?.[0]));
    const packed = all(dockerfile, /-w ([@a-z/]+)/);
    const ours = Object.keys(tideway.dependencies).filter((name) => name.startsWith('@tideway/'));
    assert.deepEqual(packed.toSorted(), ['tideway', ...ours].toSorted());
  });

  test('is built of what git knows, and of nothing that lies beside it', () => {
    const ignored = text('Dockerfile.dockerignore').split('\n');
    const named = readFileSync(join(root, '.gitignore'), 'utf8').split('\n');
    assert.ok(ignored.includes('.git'));
    for (const name of named) assert.ok(ignored.includes(name) || ignored.includes(`**/${name}`), name);
  });

  test('has the clients of all brokers, in the versions that the package takes', () => {
    const installed = [...dockerfile.matchAll(/ (@?[a-z/-]+)@(\d+)/g)].map(([, name, major]) => [name, major]);
    const wanted = Object.entries(tideway.peerDependencies).map(([name, range]) => [name, /\d+/.exec(range)?.[0]]);
    assert.deepEqual(Object.fromEntries(installed), Object.fromEntries(wanted));
  });

  test('listens where it says, keeps what is in its volume, and runs as nobody in particular', () => {
    const environment = Object.fromEntries(
      [...(/^ENV (.*)$/m.exec(dockerfile)?.[1] ?? '').matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [
        name as string,
        value as string,
      ]),
    );
    const { host, port, data } = resolveConfig(mergeConfig({ environment }).options);
    assert.deepEqual([host, String(port)], ['0.0.0.0', all(dockerfile, /EXPOSE (\d+)/)[0]]);
    assert.equal(data, all(dockerfile, /VOLUME (\S+)/)[0]);
    assert.deepEqual(all(dockerfile, /^USER (\S+)/m), ['node']);
    assert.ok(seconds(dockerfile, /docker stop -t (\d+)/) > STOP_SECONDS);
  });
});

describe('compose', () => {
  test('gives each node a log of its profile, and the port of the container', () => {
    const nodes = [...compose.matchAll(/profiles: \[(\w+)\]\n +environment: \{[^}]*TIDEWAY_LOG: '([^']+)'/g)];
    const drivers = nodes.map(([, profile, log]) => {
      const { driver } = parseLogAddress(log as string);
      assert.equal(driver, profile);
      return driver;
    });
    assert.deepEqual(drivers.toSorted(), ['kafka', 'nats', 'rabbitmq', 'redis']);
    for (const port of all(compose, /ports: \['\d+:(\d+)'\]/)) assert.equal(port, PORT);
  });

  test('starts what its profile names and nothing else', () => {
    const [, services = ''] = /^services:\n([^]*?)^\w/m.exec(compose) ?? [];
    for (const service of services.split(/^ {2}(?=\w)/m).slice(1)) {
      assert.match(service, /profiles: \[\w+\]|<<: \*on-\w+/, service);
    }
    assert.match(compose, /Profiles: redis, nats, rabbitmq, kafka; and embedded/);
  });

  test('gives policies that a server takes', () => {
    const [namespaces] = all(compose, /TIDEWAY_NAMESPACES: '([^']+)'/) as [string];
    const [hosts] = all(compose, /TIDEWAY_HOSTS: (\S+)/) as [string];
    const environment = { TIDEWAY_NAMESPACES: namespaces, TIDEWAY_HOSTS: hosts };
    const config = resolveConfig(mergeConfig({ environment }).options);
    assert.deepEqual([config.hosts, config.namespaces['chat']?.append], [['localhost'], 'anyone']);
  });

  test('waits for longer than a server takes to stop', () => {
    assert.ok(seconds(compose, /stop_grace_period: (\d+)s/) > STOP_SECONDS);
  });
});

describe('the Kubernetes manifest', () => {
  test('waits for longer than the pod takes to be forgotten and to stop', () => {
    const sleep = seconds(kubernetes, /preStop: \{ sleep: \{ seconds: (\d+) \} \}/);
    assert.ok(sleep >= 5);
    assert.ok(seconds(kubernetes, /terminationGracePeriodSeconds: (\d+)/) > sleep + STOP_SECONDS);
  });

  test('asks /readyz whether a pod gets clients and /healthz whether it is started anew, under its own name', () => {
    const [host] = all(kubernetes, /TIDEWAY_HOSTS, value: (\S+) \}/);
    for (const asked of all(kubernetes, /name: Host, value: (\S+) \}/)) assert.equal(asked, host);
    assert.match(kubernetes, /startupProbe:\n +httpGet: \{ path: '\/readyz\?filling=ok',/);
    // One answer is enough: a node that stops says so for a few seconds only.
    assert.match(
      kubernetes,
      /readinessProbe:\n +httpGet: \{ path: \/readyz,.*\n +periodSeconds: 2\n +failureThreshold: 1\n/,
    );
    assert.match(kubernetes, /livenessProbe:\n +httpGet: \{ path: \/healthz/);
  });

  test('starts a command that there is, at the port of the container, and binds no client to a node', async () => {
    await checkCommand(all(kubernetes, /args: \[(\w+)\]/));
    assert.deepEqual(all(kubernetes, /containerPort: (\d+)/), [PORT]);
    assert.doesNotMatch(kubernetes, /sessionAffinity: ClientIP/);
  });
});

describe('the systemd unit', () => {
  const lines = unit.split('\n').filter((line) => /^\w+=/.test(line));
  const value = (name: string): string => {
    const line = lines.find((one) => one.startsWith(`${name}=`));
    assert.ok(line !== undefined, name);
    return line.slice(name.length + 1);
  };

  test('checks the configuration, then serves, with flags that there are', async () => {
    for (const name of ['ExecStartPre', 'ExecStart']) {
      const [program, ...words] = value(name).split(' ');
      assert.equal(program, '/usr/bin/tideway');
      await checkCommand(words);
    }
  });

  test('waits for longer than a server takes to stop, and has a descriptor for every client', () => {
    assert.ok(Number.parseInt(value('TimeoutStopSec'), 10) > STOP_SECONDS);
    assert.equal(value('KillSignal'), 'SIGTERM');
    // The limit of Linux itself for one process (fs.nr_open).
    assert.equal(value('LimitNOFILE'), '1048576');
    assert.ok(Number(value('LimitNOFILE')) > settings['limits.sessions'].default);
  });

  test('keeps what the server writes in a folder that it may write to', () => {
    assert.equal(value('ProtectSystem'), 'strict');
    assert.match(value('ExecStart'), new RegExp(`--data /var/lib/${value('StateDirectory')}$`));
  });

  test('is one that systemd takes', (t) => {
    const program = findProgram('systemd-analyze');
    if (program === undefined) return t.skip('systemd-analyze was not found');
    const file = join(projectFolder(t), 'tideway.service');
    // The program and its user are not on this machine.
    const here = unit.replaceAll('/usr/bin/tideway', process.execPath).replace(/^(User|Group)=.*$/gm, '$1=root');
    const verify = (source: string) => {
      writeFileSync(file, source);
      const { stderr, status } = spawnSync(program, ['verify', '--man=no', file], { encoding: 'utf8' });
      return { said: stderr.split('\n').filter((line) => line.includes('tideway.service')), status };
    };
    assert.deepEqual(verify(here), { said: [], status: 0 });
    assert.notDeepEqual(verify(here.replace('ProtectHome', 'ProtectHouse')).said, []);
    // On a scale to 100: what a service of this kind must have, which writes and listens, makes 17.
    const exposed = ['security', '--offline=true', '--threshold=20', file];
    writeFileSync(file, here);
    assert.equal(spawnSync(program, exposed, { encoding: 'utf8' }).status, 0);
    writeFileSync(file, here.replace(/^(?:Cap|System|UMask).*$/gm, ''));
    assert.notEqual(spawnSync(program, exposed, { encoding: 'utf8' }).status, 0);
  });
});
