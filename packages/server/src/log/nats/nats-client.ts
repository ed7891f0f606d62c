/**
 * The client of NATS: loads its packages when a log needs them, connects, and says in words what went wrong. It never
 * connects again by itself: what it would keep meanwhile and send later may have been answered `unknown` long ago.
 */
import { checkServerIdentity, type ConnectionOptions } from 'node:tls';
import type { Authenticator, NatsConnection, NodeConnectionOptions, TlsOptions } from '@nats-io/transport-node';
import { randomFraction, type Env } from '../../env.ts';
import { BrokerError } from '../broker/broker-port.ts';
import { natsPlace, readAddressFile, type NatsAddress } from './nats-address.ts';

type Transport = typeof import('@nats-io/transport-node');
type JetStream = typeof import('@nats-io/jetstream');

/** The packages that speak NATS. */
export interface NatsClient extends Pick<Transport, 'connect' | 'credsAuthenticator' | 'nkeyAuthenticator'> {
  readonly jetstreamManager: JetStream['jetstreamManager'];
}

/** How long a server may take to greet, the next one is tried then; and all of them together. */
const CONNECT_MS_MAX = 3_000;
const CONNECT_ALL_MS = 7_000;
/** A connection on which nothing answers is given up at the third ping; a partition that is followed finds it sooner. */
const PING_MS = 2_500;
const PINGS_OUT_MAX = 2;
export const DETECT_MS = 8_000;

export interface NatsPackages {
  readonly transport: () => Promise<Transport>;
  readonly jetstream: () => Promise<JetStream>;
}

const installed: NatsPackages = {
  transport: () => import('@nats-io/transport-node'),
  jetstream: () => import('@nats-io/jetstream'),
};

/** Loads the packages. Throws in words that name them where they are missing. */
export async function loadNatsClient(packages: NatsPackages = installed): Promise<NatsClient> {
  try {
    const [transport, jetstream] = await Promise.all([packages.transport(), packages.jetstream()]);
    const { connect, credsAuthenticator, nkeyAuthenticator } = transport;
    return { connect, credsAuthenticator, nkeyAuthenticator, jetstreamManager: jetstream.jetstreamManager };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    const names = ['@nats-io/transport-node', '@nats-io/jetstream'];
    throw new BrokerError(`a log on NATS needs the packages ${names.join(' and ')}: npm install ${names.join(' ')}`, {
      isFinal: true,
      cause: error,
    });
  }
}

/**
 * Connects to one of the address's servers, or of those that such a one told of before. Rejects in words: unreachable,
 * wrong credentials, wrong certificate, not NATS.
 */
export async function connectNats(
  client: NatsClient,
  address: NatsAddress,
  { alsoKnown, env }: { readonly alsoKnown: readonly string[]; readonly env: Env },
): Promise<NatsConnection> {
  // Those of the address first: what servers tell of themselves may be names that only they reach.
  const servers = [...new Set([...shuffled(address.hosts, env), ...shuffled(alsoKnown, env)])];
  const options: NodeConnectionOptions = {
    servers,
    noRandomize: true,
    name: 'tideway',
    reconnect: false,
    timeout: Math.min(CONNECT_MS_MAX, CONNECT_ALL_MS / servers.length),
    pingInterval: PING_MS,
    maxPingOut: PINGS_OUT_MAX,
    noAsyncTraces: true,
    ...accountOptions(client, address),
    ...(address.isTls ? { tls: tlsOptions(address) } : {}),
  };
  try {
    return await withDeadline(client.connect(options));
  } catch (error) {
    const { words, isFinal } = connectFault(error, address);
    throw new BrokerError(`${natsPlace(address)}: ${words}`, { isFinal, cause: error });
  }
}

/** In an order of its own for each node, so that they spread. */
function shuffled(hosts: readonly string[], env: Env): string[] {
  const drawn = hosts.map((host) => ({ host, lot: randomFraction(env) }));
  return drawn.toSorted((a, b) => a.lot - b.lot).map(({ host }) => host);
}

/** A connection that comes later than that is closed again. */
function withDeadline(connecting: Promise<NatsConnection>): Promise<NatsConnection> {
  return new Promise((resolve, reject) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      reject(new Error(`none of its servers greeted within ${CONNECT_ALL_MS / 1_000} s`));
    }, CONNECT_ALL_MS);
    connecting.then((connection) => {
      if (isLate) void connection.close();
      else resolve(connection);
    }, reject);
    connecting.then(
      () => clearTimeout(timer),
      () => clearTimeout(timer),
    );
  });
}

function accountOptions(client: NatsClient, address: NatsAddress): Partial<NodeConnectionOptions> {
  const { user, password, token, credentialsFile, nkeyFile } = address;
  if (user !== undefined) return { user, pass: password ?? '' };
  if (token !== undefined) return { token };
  let authenticator: Authenticator | undefined;
  if (credentialsFile !== undefined) {
    authenticator = client.credsAuthenticator(readAddressFile('credentials', credentialsFile));
  } else if (nkeyFile !== undefined) {
    const seed = readAddressFile('nkey', nkeyFile).toString('latin1').trim();
    if (!/^SU[A-Z2-7]{56}$/.test(seed))
      throw new BrokerError(`nkey=${nkeyFile} of the log's address is no seed of a user (SU…)`, { isFinal: true });
    authenticator = client.nkeyAuthenticator(Buffer.from(seed));
  }
  return authenticator === undefined ? {} : { authenticator };
}

function tlsOptions({ caFile, certFile, keyFile, hosts }: NatsAddress): TlsOptions {
  const options: TlsOptions & Pick<ConnectionOptions, 'checkServerIdentity'> = {
    // The client checks the certificate of a host that is a number for the name localhost. One that is good for a host
    // of the address is what its reader expects, also for a server that another one told of.
    checkServerIdentity(host, certificate) {
      if (host !== 'localhost') return checkServerIdentity(host, certificate);
      const names = hosts.map((one) => one.replace(/:\d+$/, '').replace(/^\[|\]$/g, ''));
      const faults = names.map((name) => checkServerIdentity(name, certificate));
      return faults.includes(undefined) ? undefined : faults[0];
    },
  };
  if (caFile !== undefined) options.ca = readAddressFile('ca', caFile).toString();
  if (certFile !== undefined) options.cert = readAddressFile('cert', certFile).toString();
  if (keyFile !== undefined) options.key = readAddressFile('key', keyFile).toString();
  return options;
}

interface ConnectFault {
  readonly words: string;
  readonly isFinal: boolean;
}

function connectFault(error: unknown, address: NatsAddress): ConnectFault {
  const text = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.name : '';
  const code = codeOf(error);
  const final = (words: string): ConnectFault => ({ words, isFinal: true });
  const passing = (words: string): ConnectFault => ({ words, isFinal: false });
  if (error instanceof BrokerError) return final(text);
  if (name === 'AuthorizationError' || name === 'UserAuthenticationExpiredError')
    return final(credentialsFault(address));
  if (/does not support 'tls'|not available on this server/.test(text)) return final('it speaks no TLS; write nats://');
  if (/alert|handshake/i.test(text) || code.startsWith('ERR_SSL_')) {
    return final(`it ended the TLS handshake (${code}); does it want cert= and key=?`);
  }
  if (/CERT|SELF_SIGNED|UNABLE_TO_|ALTNAME/.test(code) || /certificate|altnames/i.test(text)) {
    return final(
      `its certificate is not accepted (${text}); ca=FILE names who signs it, and the host must stand in it`,
    );
  }
  if (/unexpected response|JSON/.test(text)) return final('what answers there is not NATS');
  if (code === 'ECONNREFUSED' || /connection refused/i.test(text))
    return passing('nobody listens there (connection refused)');
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return passing('its host name is not known');
  if (name === 'TimeoutError') return passing('it took the connection and said nothing; is it NATS?');
  if (code === 'ECONNRESET' || text === '' || /undefined error/.test(text)) {
    // Where it wants a certificate its alert may be lost with the connection.
    return passing(
      address.isTls && address.certFile === undefined
        ? 'it closed the connection in or behind the TLS handshake; does it want cert= and key=?'
        : 'it closed the connection; is it NATS?',
    );
  }
  return passing(text);
}

function credentialsFault({ user, token, credentialsFile, nkeyFile }: NatsAddress): string {
  const given = Object.entries({ user, token, 'credentials file': credentialsFile, nkey: nkeyFile });
  const used = given.find(([, value]) => value !== undefined)?.[0];
  if (used !== undefined)
    return `it does not accept the ${used === 'user' ? 'user and password' : used} of the address`;
  return 'it wants credentials, and the address has none (user:password@, token@, credentials=, nkey=)';
}

/** The code of an error or of one of its causes. */
function codeOf(error: unknown): string {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { code } = one as NodeJS.ErrnoException;
    if (typeof code === 'string') return code;
  }
  return '';
}
