/**
 * Where a server's endpoints are, from the one URL the application gives.
 */

export interface Endpoints {
  /** `ws://…/v1/ws` */
  readonly socket: string;
  /** `http://…`, without a slash at its end. */
  readonly http: string;
}

/**
 * @throws TypeError when the text is no http, https, ws or wss URL, or is relative and there is no page it belongs to
 */
export function resolveEndpoints(url: string, baseUrl: string | undefined): Endpoints {
  let parsed: URL | undefined;
  try {
    parsed = new URL(url, baseUrl);
  } catch {
    // Said below.
  }
  const match = /^(?:http|ws)(s?):$/.exec(parsed?.protocol ?? '');
  if (parsed === undefined || match === null) {
    throw new TypeError(
      `url "${url}" names no server: it must begin with http:, https:, ws: or wss:, or stand in a page`,
    );
  }
  const rest = `${match[1]}://${parsed.host}${parsed.pathname.replace(/\/+$/, '')}`;
  return { socket: `ws${rest}/v1/ws`, http: `http${rest}` };
}
