/** A certificate for 127.0.0.1, signed by itself, in PEM. */
import { generate } from 'selfsigned';

export async function makeCertificate(): Promise<{ readonly certificate: string; readonly key: string }> {
  const made = await generate([{ name: 'commonName', value: '127.0.0.1' }], {
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  return { certificate: made.cert, key: made.private };
}
