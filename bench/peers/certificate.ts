/** A certificate for peers over TLS; of the kind `tideway dev --tls` makes (ECDSA P-256). */
import { generate } from 'selfsigned';

export async function selfSigned(): Promise<{ readonly key: string; readonly cert: string }> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec', curve: 'P-256' });
  return { key: made.private, cert: made.cert };
}
