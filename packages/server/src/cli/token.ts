/** `tideway token`: makes a JWT, for trying things out and for tests. */
import { createPrivateKey, createSecretKey, type KeyObject } from 'node:crypto';
import { SignJWT } from 'jose';
import { parseAllow } from '../auth/allow.ts';
import { type Allow, isUser } from '../auth/identity.ts';
import { show } from '../ops/config-values.ts';
import { defineCommand } from './command.ts';
import { exitCodes, usageError } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { print, printJson, say } from './io.ts';
import { signingSecret } from './secret-input.ts';

const HS256_BYTES_MIN = 32;

export const command = defineCommand({
  usage: 'token --user NAME',
  about:
    'Signs with the secret or private key in $TIDEWAY_SECRET (else $TIDEWAY_AUTH_JWT_SECRET): HS256 with a text, else what the key is for.\nThe token alone goes to stdout. See also: tideway token inspect, tideway token key.',
  flags: {
    user: { kind: 'text', value: 'NAME', meaning: 'Who its bearer is.' },
    ttl: { kind: 'duration', default: 3_600_000, min: 1_000, max: 31_536_000_000, meaning: 'How long it holds.' },
    role: { kind: 'list', value: 'ROLE', meaning: 'A role of its bearer.' },
    allow: {
      kind: 'list',
      isWhole: true,
      value: 'CHANNELS:WORDS',
      meaning: "Narrows it to channels and permissions: 'chat:*:subscribe,append'.",
    },
    issuer: { kind: 'text', meaning: 'Its `iss`.' },
    audience: { kind: 'text', meaning: 'Its `aud`.' },
    kid: { kind: 'text', meaning: 'The name of the key, in its header.' },
    'secret-stdin': { kind: 'switch', default: false, meaning: 'Reads the secret or private key from stdin.' },
    json: jsonFlag,
  },
  examples: [
    "TIDEWAY_SECRET=… tideway token --user ann --ttl 15m --allow 'chat:*:subscribe,append'",
    'tideway token --user ann --secret-stdin < private-key.pem',
  ],
  arguments: [0, 0],
  async run({ io, flags }) {
    const { user, ttl, role, allow, issuer, audience, kid } = flags;
    if (!isUser(user)) throw usageError('--user is needed: a name of 1–255 bytes');
    const claim = allow === undefined ? undefined : allowClaim(allow);
    const { key, algorithm } = keyOf(await signingSecret(io, flags['secret-stdin']));
    const expiresAt = new Date(Date.now() + ttl);
    const jwt = new SignJWT({
      ...(role !== undefined && { roles: role }),
      ...(claim !== undefined && { allow: claim }),
    })
      .setProtectedHeader({ alg: algorithm, typ: 'JWT', ...(kid !== undefined && { kid }) })
      .setSubject(user)
      .setIssuedAt()
      .setExpirationTime(expiresAt);
    if (issuer !== undefined) jwt.setIssuer(issuer);
    if (audience !== undefined) jwt.setAudience(audience);
    const token = await jwt.sign(key);
    if (flags.json) await printJson(io, { token, algorithm, expiresAt: expiresAt.toISOString() });
    else {
      await print(io, token);
      say(io, `${algorithm}, for ${user}, until ${expiresAt.toISOString()}`);
    }
    return exitCodes.ok;
  },
});

/** `chat:*:subscribe,append`: what stands behind the last colon are the permissions. */
function allowClaim(items: readonly string[]): Allow {
  const claim: Record<string, string[]> = {};
  const read = (part: Readonly<Record<string, string[]>>, given: string): Allow => {
    try {
      return parseAllow(part);
    } catch (error) {
      const why = (error as Error).message.replace(/^allow:? /, '');
      throw usageError(`--allow: ${given} is not allowed; ${why}`, `--allow 'chat:*:subscribe,append'`);
    }
  };
  for (const item of items) {
    const [, glob, words] = /^(.*):(.*)$/.exec(item) ?? [];
    if (glob === undefined || words === undefined) {
      const form = 'channels, a colon and permissions are';
      throw usageError(`--allow: ${show(item)} is not allowed; ${form}`, `--allow 'chat:*:subscribe,append'`);
    }
    read({ [glob]: words.split(',') }, show(item));
    claim[glob] = [...(claim[glob] ?? []), ...words.split(',')];
  }
  return read(claim, `${items.length} of them`);
}

function keyOf(secret: string): { readonly key: KeyObject; readonly algorithm: string } {
  if (!secret.includes('-----BEGIN')) {
    const bytes = Buffer.from(secret);
    if (bytes.length < HS256_BYTES_MIN) {
      throw usageError(`the secret has ${bytes.length} bytes; HS256 needs ${HS256_BYTES_MIN} or more (RFC 7518 §3.2)`);
    }
    return { key: createSecretKey(bytes), algorithm: 'HS256' };
  }
  let key: KeyObject;
  try {
    key = createPrivateKey(secret);
  } catch {
    throw usageError('the PEM given is no private key that can be read');
  }
  const curve = key.asymmetricKeyDetails?.namedCurve;
  if (key.asymmetricKeyType === 'rsa') return { key, algorithm: 'RS256' };
  if (key.asymmetricKeyType === 'ed25519') return { key, algorithm: 'EdDSA' };
  if (key.asymmetricKeyType === 'ec' && curve === 'prime256v1') return { key, algorithm: 'ES256' };
  throw usageError(`a key of type ${curve ?? key.asymmetricKeyType} is not allowed; P-256, Ed25519 or RSA is`);
}
