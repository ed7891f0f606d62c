/** `tideway token inspect`: what a JWT says, and whether it is still good. */
import { text } from 'node:stream/consumers';
import { decodeJwt, decodeProtectedHeader, type JWTPayload } from 'jose';
import { createJwtVerifier } from '../auth/jwt.ts';
import { nodeEnv } from '../env.ts';
import { defineCommand } from './command.ts';
import { CliError, exitCodes, usageError, type ExitCode } from './exit-codes.ts';
import { jsonFlag } from './flags.ts';
import { type Io, print, printJson, say, visible } from './io.ts';

export const command = defineCommand({
  usage: 'token inspect -',
  about:
    'Reads a token from stdin and prints its claims. Where $TIDEWAY_AUTH_JWT_SECRET or $TIDEWAY_AUTH_JWT_PUBLIC_KEY is set, its signature is\nchecked as the server would. Exit code 5 where it is expired or not signed with that key.',
  flags: { json: jsonFlag },
  examples: ['tideway token --user ann | tideway token inspect -'],
  arguments: [1, 1],
  async run({ io, flags, positionals }) {
    if (positionals[0] !== '-')
      throw usageError(
        'a token in an argument is seen by everyone on this machine; give it on stdin',
        'tideway token inspect -',
      );
    const token = (await text(io.stdin)).trim();
    const { header, claims } = read(token);
    if (flags.json) await printJson(io, { header, claims });
    else await print(io, JSON.stringify(claims, undefined, 2).split('\n').map(visible).join('\n'));
    return judge(io, token, claims);
  },
});

function read(token: string): { readonly header: object; readonly claims: JWTPayload } {
  try {
    return { header: decodeProtectedHeader(token), claims: decodeJwt(token) };
  } catch {
    throw new CliError(exitCodes.failed, 'what came on stdin is no JWT: three parts in base64url, with dots between');
  }
}

async function judge(io: Io, token: string, claims: JWTPayload): Promise<ExitCode> {
  const secret = io.environment['TIDEWAY_AUTH_JWT_SECRET'] ?? io.environment['TIDEWAY_SECRET'];
  const publicKey = io.environment['TIDEWAY_AUTH_JWT_PUBLIC_KEY'];
  const isPrivateKey = secret?.includes('-----BEGIN') === true;
  if (publicKey !== undefined || (secret !== undefined && !isPrivateKey)) {
    try {
      const verifier = await createJwtVerifier(publicKey === undefined ? { secret } : { publicKey }, nodeEnv, () => {});
      await verifier.verify(token);
      say(io, '✓ the signature is good, and a server with this key takes it');
      return exitCodes.ok;
    } catch (error) {
      say(io, `✗ ${(error as Error).message}`);
      return exitCodes.checkFailed;
    }
  }
  const { exp } = claims;
  if (exp === undefined) {
    say(io, '✗ it has no "exp"; the server asks for one');
    return exitCodes.checkFailed;
  }
  const leftMs = exp * 1_000 - Date.now();
  const when = new Date(exp * 1_000).toISOString();
  say(io, leftMs > 0 ? `expires ${when}; the signature was not checked` : `✗ expired ${when}`);
  return leftMs > 0 ? exitCodes.ok : exitCodes.checkFailed;
}
