/**
 * The certificate of `wss://` and `https://`: read from PEM files and read again when they change, without dropping a
 * connection. What does not fit together is told and not used; the certificate before stays.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import type { Env } from '../env.ts';

export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** What `https.createServer` and `http2.createSecureServer` need. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  readonly minVersion: 'TLSv1.2';
}

/** What the watcher tells; each fits the event of the same name in the log. */
export type OnTlsEvent = (
  event: 'tls.loaded' | 'tls.failed' | 'tls.expiring',
  fields: { readonly message: string; readonly path: string },
) => void;

/** Files are looked at this often: simple, and true on every kind of disk, symbolic links and network mounts included. */
export const TLS_CHECK_MS = 5_000;
const EXPIRY_WARNING_MS = 14 * 86_400_000;
const DAY_MS = 86_400_000;

/**
 * Reads certificate and key and checks that they belong together.
 *
 * @throws RangeError that names the file, and what is wrong with it
 */
export async function loadTls(files: TlsFiles): Promise<TlsMaterial> {
  // One after the other: of two that cannot be read, always the first is named.
  const cert = await read('tls.cert', files.cert);
  const key = await read('tls.key', files.key);
  const material: TlsMaterial = { cert, key, minVersion: 'TLSv1.2' };
  try {
    // An empty text would pass as "no certificate"; the first certificate must be one, and the key its own.
    const isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
    if (!isPair) throw new Error('the key belongs to another certificate');
    createSecureContext(material);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new RangeError(`tls.cert ${files.cert} and tls.key ${files.key} cannot be used together: ${reason}`, {
      cause,
    });
  }
  return material;
}

async function read(setting: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new RangeError(`${setting}: ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown'})`, {
      cause,
    });
  }
}

/**
 * Gives a server the new certificate whenever its files change.
 *
 * @param options.first what the server was made with
 * @returns stops watching
 */
export function watchTls(options: {
  readonly files: TlsFiles;
  readonly first: TlsMaterial;
  readonly server: { setSecureContext(context: SecureContextOptions): void };
  readonly env: Env;
  readonly onEvent: OnTlsEvent;
}): () => void {
  const { files, server, env, onEvent } = options;
  let inUse = options.first;
  /** The last failure told: a file that stays wrong is told once. */
  let failure = '';
  let expiryToldAtMs = -Infinity;
  let stopTimer = (): void => {};
  let isStopped = false;

  function tellExpiry(): void {
    const endsAtMs = Date.parse(new X509Certificate(inUse.cert).validTo);
    if (endsAtMs - env.now() > EXPIRY_WARNING_MS || env.monotonicMs() - expiryToldAtMs < DAY_MS) return;
    expiryToldAtMs = env.monotonicMs();
    onEvent('tls.expiring', {
      message: `the certificate ends at ${new Date(endsAtMs).toISOString()}`,
      path: files.cert,
    });
  }

  async function check(): Promise<void> {
    try {
      const material = await loadTls(files);
      failure = '';
      if (isStopped) return;
      if (material.cert !== inUse.cert || material.key !== inUse.key) {
        server.setSecureContext(material);
        inUse = material;
        expiryToldAtMs = -Infinity;
        onEvent('tls.loaded', { message: describe(material), path: files.cert });
      }
    } catch (error) {
      const { message } = error as Error;
      if (message !== failure && !isStopped) onEvent('tls.failed', { message, path: files.cert });
      failure = message;
    }
    tellExpiry();
  }

  function schedule(): void {
    stopTimer = env.setTimer(TLS_CHECK_MS, () => {
      void check().finally(() => {
        if (!isStopped) schedule();
      });
    });
  }

  onEvent('tls.loaded', { message: describe(inUse), path: files.cert });
  tellExpiry();
  schedule();
  return () => {
    isStopped = true;
    stopTimer();
  };
}

function describe(material: TlsMaterial): string {
  const { subjectAltName, subject, validTo } = new X509Certificate(material.cert);
  return `certificate for ${subjectAltName ?? subject}, valid until ${new Date(Date.parse(validTo)).toISOString()}`;
}
