/** Secrets for commands: from the environment, or from stdin; never from an argument, which everyone on a machine sees. */
import { text } from 'node:stream/consumers';
import { usageError } from './exit-codes.ts';
import type { Io } from './io.ts';

/** The signing secret or private key: $TIDEWAY_SECRET, what the server itself would use, or stdin. */
export async function signingSecret(io: Io, isOnStdin: boolean): Promise<string> {
  const secret = isOnStdin
    ? await text(io.stdin)
    : io.environment['TIDEWAY_SECRET'] || (io.environment['TIDEWAY_AUTH_JWT_SECRET'] ?? '');
  const trimmed = secret.includes('-----BEGIN') ? secret : secret.replace(/\r?\n$/, '');
  if (trimmed === '') {
    throw usageError(
      'there is no secret to sign with; put it in $TIDEWAY_SECRET (a text of 32 bytes or more, or a private key in PEM), or use --secret-stdin',
    );
  }
  return trimmed;
}
