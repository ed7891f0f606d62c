/** `tideway bridge`: moves messages of brokers into channels, and records to brokers. A client of the server: any number of copies, anywhere. */
import { isBridgeName, type ResolvedBridge } from '../bridge/bridge-options.ts';
import { backOffMs } from '../bridge/patience.ts';
import { runBridge, type NodeAccess } from '../bridge/run-bridge.ts';
import type { Result } from '../bridge/settler.ts';
import { nodeEnv, pause } from '../env.ts';
import { checkBridge } from '../ops/config-bridges.ts';
import { resolveConfig } from '../ops/config.ts';
import { ConfigError, type Problem } from '../ops/config-values.ts';
import { BridgeLines } from './bridge-lines.ts';
import { defineCommand } from './command.ts';
import { CliError, exitCodes, usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { type Io, say } from './io.ts';
import { reachServer, timeoutFlag, urlFlag, type ServerAccess } from './server-access.ts';
import { configFlag, loadServerConfig } from './server-config.ts';
import { endOnSignal } from './signals.ts';

export const command = defineCommand({
  usage: 'bridge [NAME…]',
  about:
    'Runs the bridges of the configuration, all or those named; or the one of --from and --to. Runs until it is told to end\n(SIGTERM, Ctrl-C), waits for a broker or server that is away, and says so. What is moved is acknowledged once it is stored.',
  flags: {
    from: {
      kind: 'text',
      value: 'BROKER|CHANNELS',
      variable: 'TIDEWAY_BRIDGE_FROM',
      meaning:
        'A broker and what to read there, as in docs/guides/bridges.md; or channels, such as order:*. With credentials, use the variable.',
    },
    to: {
      kind: 'text',
      value: 'CHANNEL|BROKER',
      variable: 'TIDEWAY_BRIDGE_TO',
      meaning: 'The channel of a message, such as order:{key}; or a broker and where to write there.',
    },
    'dead-letter': { kind: 'text', value: 'CHANNEL', meaning: 'The channel for what can never arrive.' },
    'record-key': { kind: 'text', value: 'TEXT', meaning: 'The key of the record, such as {body.status}.' },
    rid: { kind: 'text', value: 'TEXT', meaning: 'What makes a message itself, such as {header.event-id}.' },
    payload: {
      kind: 'choice',
      choices: ['json', 'bytes'],
      meaning: 'What bodies are: JSON by default; bytes takes them as they are.',
    },
    name: { kind: 'text', default: 'bridge', meaning: 'What this bridge is called, in its group and in dead letters.' },
    group: { kind: 'text', meaning: 'What keeps the place. Default: tideway- and the name; to a broker, the name.' },
    config: configFlag,
    url: urlFlag,
    timeout: { ...timeoutFlag, default: 30_000, meaning: 'How long the server may take to answer.' },
    json: jsonFlag,
  },
  examples: [
    'tideway bridge',
    "tideway bridge --from kafka://127.0.0.1:9092/orders --to 'order:{key}' --dead-letter dead:orders",
    "tideway bridge --from 'order:*' --to nats://127.0.0.1/shop.orders --dead-letter dead:orders",
  ],
  arguments: [0, 100],
  async run({ io, flags, given, positionals }) {
    const bridges = flags.from === undefined ? await configured(io, given, positionals) : [single(flags)];
    const signal = endOnSignal();
    // While broker and server are away nothing else keeps the process.
    const stay = setInterval(() => {}, 60_000);
    try {
      const access = await untilReached(io, flags, signal);
      if (access !== undefined) await runAll(io, bridges, nodeOf(access, flags.timeout), flags.json, signal);
    } finally {
      clearInterval(stay);
    }
    return exitCodes.ok;
  },
});

/** Where one cannot begin until somebody acts, the others are ended for it. */
async function runAll(
  io: Io,
  bridges: readonly ResolvedBridge[],
  node: NodeAccess,
  isJson: boolean,
  signal: AbortSignal,
): Promise<void> {
  const failed = new AbortController();
  const ends = AbortSignal.any([signal, failed.signal]);
  const running = bridges.map((bridge) => {
    const lines = new BridgeLines(io, bridge, isJson);
    const { totals, ended } = runBridge(bridge, node, lines, ends);
    lines.watch(totals);
    return ended.catch((error: unknown) => failed.abort(error)).finally(() => lines.end());
  });
  await Promise.all(running);
  if (failed.signal.aborted) throw failed.signal.reason;
}

async function configured(
  io: Io,
  given: Parameters<typeof loadServerConfig>[1],
  names: readonly string[],
): Promise<ResolvedBridge[]> {
  const { options, file } = await loadServerConfig(io, given);
  const { bridges } = resolveConfig(options);
  const known = bridges.map(({ name }) => name);
  const missing = names.find((name) => !known.includes(name));
  if (missing !== undefined)
    throw usageError(
      `there is no bridge "${missing}"; ${known.length === 0 ? 'there are none' : `there are: ${known.join(', ')}`}`,
    );
  if (known.length === 0) {
    const where = file ?? 'tideway.config.ts';
    throw usageError(
      `there are no bridges in ${where}`,
      'tideway bridge --from BROKER --to CHANNEL --dead-letter CHANNEL',
    );
  }
  return names.length === 0 ? [...bridges] : bridges.filter(({ name }) => names.includes(name));
}

function single(flags: {
  readonly name: string;
  readonly 'record-key': string | undefined;
  readonly 'dead-letter': string | undefined;
  readonly [flag: string]: unknown;
}): ResolvedBridge {
  const { name } = flags;
  if (!isBridgeName(name)) throw usageError(`--name: "${name}" is no name of a bridge; a–z, 0–9 and -, a letter first`);
  const problems: Problem[] = [];
  const options = { ...flags, recordKey: flags['record-key'], deadLetter: flags['dead-letter'] };
  const keyOf = (setting: string): string => `--${setting.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`)}`;
  const bridge = checkBridge(name, options, keyOf, problems);
  if (bridge === undefined) throw new ConfigError(problems);
  return bridge;
}

/** `undefined` when the signal came before the server. */
async function untilReached(
  io: Io,
  flags: { readonly url: string; readonly timeout: number },
  signal: AbortSignal,
): Promise<ServerAccess | undefined> {
  for (let failures = 0; ; failures++) {
    try {
      return await reachServer(io, flags);
    } catch (error) {
      if (!(error instanceof CliError && error.exitCode === exitCodes.unreachable)) throw error;
      if (failures === 0) say(io, `${error.message}; it is tried again until it answers`);
      if (!(await pause(nodeEnv, backOffMs(nodeEnv, failures), signal))) return undefined;
    }
  }
}

function nodeOf({ url, token, session, request }: ServerAccess, timeoutMs: number): NodeAccess {
  return {
    url,
    token,
    recordBytes: session.limits.recordBytes,
    async append(body) {
      const response = await request('/v1/batch', {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json' },
        signal: AbortSignal.timeout(timeoutMs),
      });
      const { results } = (await response.json()) as { readonly results: readonly Result[] };
      return results;
    },
  };
}
