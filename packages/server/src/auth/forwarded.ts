/**
 * A request as its client made it, where proxies stand between: address, name and scheme out of `X-Forwarded-For`, `-Host`
 * and `-Proto`. They are believed only on connections from `trustedProxies`; anybody else could write them. `Forwarded`
 * (RFC 7239) is never read: a proxy that writes the one passes on what a client wrote into the other.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { BlockList, isIP } from 'node:net';

/** What is known of a request's client. */
export interface ClientSide {
  /** Without port; absent where the connection is gone, or has no address. */
  readonly remoteAddress: string | undefined;
  /** Those of the request; `Host` is what the client asked for. */
  readonly headers: IncomingHttpHeaders;
  /** The client is seen to use TLS. */
  readonly isEncrypted: boolean;
}

/** A request of HTTP/1.1 or HTTP/2, of which nothing else is needed. */
export interface Forwardable {
  readonly headers: IncomingHttpHeaders;
  /** Absent on a stream of HTTP/2 that has ended. */
  readonly socket?: { readonly remoteAddress?: string | undefined; readonly encrypted?: boolean } | undefined;
}

export type ReadClientSide = (request: Forwardable) => ClientSide;

/**
 * @param trustedProxies addresses (`10.0.0.7`, `::1`) and networks (`10.0.0.0/8`), checked; empty: no header is believed
 */
export function createClientSide(trustedProxies: readonly string[]): ReadClientSide {
  const trusted = new BlockList();
  for (const network of trustedProxies) {
    const [address, bits] = network.split('/') as [string, string?];
    if (bits === undefined) trusted.addAddress(address, family(address));
    else trusted.addSubnet(address, Number(bits), family(address));
  }
  const isTrusted = (address: string | undefined): address is string =>
    address !== undefined && isIP(address) !== 0 && trusted.check(address, family(address));

  /** The last one in the line that is not one of ours; what stands in front of it anybody may have written. */
  function clientOf(line: string | undefined, peer: string): string {
    let known = peer;
    for (const item of line?.split(',').reverse() ?? []) {
      const address = addressIn(item);
      if (address === undefined) return known;
      known = address;
      if (!isTrusted(address)) return known;
    }
    return known;
  }

  return ({ headers, socket }) => {
    const remoteAddress = socket?.remoteAddress;
    const isEncrypted = socket?.encrypted === true;
    if (trustedProxies.length === 0 || !isTrusted(remoteAddress)) return { remoteAddress, headers, isEncrypted };
    const host = lastOf(headers['x-forwarded-host']);
    const scheme = lastOf(headers['x-forwarded-proto'])?.toLowerCase();
    return {
      remoteAddress: clientOf(textOf(headers['x-forwarded-for']), remoteAddress),
      headers: host === undefined ? headers : { ...headers, host, ':authority': host },
      isEncrypted: scheme === undefined ? isEncrypted : scheme === 'https' || scheme === 'wss',
    };
  };
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 4 ? 'ipv4' : 'ipv6';
}

/** The address in `192.0.2.7`, `192.0.2.7:5000`, `2001:db8::1` or `[2001:db8::1]:5000`. */
function addressIn(item: string): string | undefined {
  const text = item.trim();
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  return isIP(bare) === 0 ? undefined : bare;
}

/** That of the nearest proxy, which is the one that is trusted by its connection. */
function lastOf(header: string | string[] | undefined): string | undefined {
  const text = textOf(header)?.split(',').at(-1)?.trim();
  return text === '' ? undefined : text;
}

/** Node joins what was sent in several lines, save where it is asked not to. */
function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(',') : header;
}
