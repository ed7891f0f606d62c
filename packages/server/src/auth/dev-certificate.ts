/**
 * A certificate of this machine for `tideway dev --tls`: self-signed, for loopback names only, kept in a folder so that
 * a browser needs to be told once. Node can sign but not build one (X.509, RFC 5280), so the few bytes of DER are ours;
 * that is less than the smallest package for it.
 */
import { generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Env, nodeEnv } from '../env.ts';
import { loadTls, type TlsFiles } from './tls.ts';

const DAY_MS = 86_400_000;
/** Browsers refuse certificates that live longer than 398 days. */
const LIFE_DAYS = 365;
const RENEW_DAYS = 30;
const NAME = 'localhost';
const ADDRESSES = [Uint8Array.of(127, 0, 0, 1), Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)];

/** The files of the folder's certificate; made, or made anew, where there is none that lasts another month. */
export async function createDevCertificate(folder: string, env: Env = nodeEnv): Promise<TlsFiles> {
  const files: TlsFiles = { cert: join(folder, 'dev-cert.pem'), key: join(folder, 'dev-key.pem') };
  if (await isGood(files, env)) return files;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  await mkdir(folder, { recursive: true });
  await writeFile(files.key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  await writeFile(files.cert, selfSigned(publicKey, privateKey, env));
  return files;
}

async function isGood(files: TlsFiles, env: Env): Promise<boolean> {
  try {
    const { validFrom, validTo } = new X509Certificate((await loadTls(files)).cert);
    return Date.parse(validFrom) < env.now() && Date.parse(validTo) - env.now() > RENEW_DAYS * DAY_MS;
  } catch {
    return false;
  }
}

const ECDSA_SHA256 = [1, 2, 840, 10045, 4, 3, 2];
const COMMON_NAME = [2, 5, 4, 3];
const BASIC_CONSTRAINTS = [2, 5, 29, 19];
const KEY_USAGE = [2, 5, 29, 15];
const EXTENDED_KEY_USAGE = [2, 5, 29, 37];
const SERVER_AUTH = [1, 3, 6, 1, 5, 5, 7, 3, 1];
const SUBJECT_ALT_NAME = [2, 5, 29, 17];

/** RFC 5280 §4.1: tbsCertificate, algorithm, signature; as PEM. */
function selfSigned(publicKey: KeyObject, privateKey: KeyObject, env: Env): string {
  const serial = Buffer.from(env.randomBytes(16));
  // Positive, and without leading zero bytes.
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  const algorithm = sequence(objectId(ECDSA_SHA256));
  const name = sequence(set(sequence(objectId(COMMON_NAME), text(0x0c, 'Tideway development'))));
  const from = env.now() - DAY_MS;
  const alternatives = sequence(text(0x82, NAME), ...ADDRESSES.map((address) => der(0x87, address)));
  const tbs = sequence(
    der(0xa0, der(0x02, Uint8Array.of(2))),
    der(0x02, serial),
    algorithm,
    name,
    sequence(time(from), time(from + LIFE_DAYS * DAY_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(
      0xa3,
      sequence(
        extension(BASIC_CONSTRAINTS, sequence(), true),
        // digitalSignature: the first bit, seven unused.
        extension(KEY_USAGE, der(0x03, Uint8Array.of(7, 0x80)), true),
        extension(EXTENDED_KEY_USAGE, sequence(objectId(SERVER_AUTH)), false),
        extension(SUBJECT_ALT_NAME, alternatives, false),
      ),
    ),
  );
  const signature = sign('sha256', tbs, privateKey);
  const certificate = sequence(tbs, algorithm, der(0x03, Uint8Array.of(0), signature));
  const lines = certificate.toString('base64').match(/.{1,64}/g) as string[];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** One DER value: tag, length, contents (X.690 §8.1). */
function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  if (body.length < 0x80) return Buffer.concat([Uint8Array.of(tag, body.length), body]);
  const length = body.length > 0xff ? [0x82, body.length >> 8, body.length & 0xff] : [0x81, body.length];
  return Buffer.concat([Uint8Array.of(tag, ...length), body]);
}

function sequence(...contents: readonly Uint8Array[]): Buffer {
  return der(0x30, ...contents);
}

function set(content: Uint8Array): Buffer {
  return der(0x31, content);
}

function text(tag: number, value: string): Buffer {
  return der(tag, Buffer.from(value, 'utf8'));
}

/** X.690 §8.19: the first two numbers in one byte, the others in base 128. */
function objectId([first = 0, second = 0, ...rest]: readonly number[]): Buffer {
  const bytes = [first * 40 + second];
  for (const number of rest) {
    const digits = [number & 0x7f];
    for (let left = number >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return der(0x06, Uint8Array.from(bytes));
}

/** UTCTime (RFC 5280 §4.1.2.5: until 2049). */
function time(ms: number): Buffer {
  return text(0x17, `${new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(2, 14)}Z`);
}

function extension(id: readonly number[], value: Uint8Array, critical: boolean): Buffer {
  const flag = critical ? [der(0x01, Uint8Array.of(0xff))] : [];
  return sequence(objectId(id), ...flag, der(0x04, value));
}
