/** ES256 tokens (RFC 7519) for clients of a server that verifies them; signed by a key made for one run. */
import { generateKeyPairSync, sign } from 'node:crypto';

export interface TokenIssuer {
  /** SPKI, PEM. */
  readonly publicKey: string;
  tokenOf(user: string): string;
}

export function createTokenIssuer(): TokenIssuer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encoded = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const header = encoded({ alg: 'ES256', typ: 'JWT' });
  const expiresAt = Math.floor(Date.now() / 1_000) + 86_400;
  return {
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }),
    tokenOf(user) {
      const signed = `${header}.${encoded({ sub: user, exp: expiresAt })}`;
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return `${signed}.${signature.toString('base64url')}`;
    },
  };
}
