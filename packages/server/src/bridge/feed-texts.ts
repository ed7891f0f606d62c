/**
 * A network for `consume` on which the payloads of a feed come as their own text. A consumer is given what JSON says; a
 * broker is to get the bytes that were appended, also where a number has more digits than a double holds.
 */
import { elementTexts, memberText } from '@tideway/protocol';

export async function fetchTexts(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (!response.ok || !new URL(url).pathname.endsWith('/v1/feed')) return response;
  const page = await response.text();
  const { status, headers } = response;
  return new Response(withTexts(page), { status, headers: { 'content-type': headers.get('content-type') ?? '' } });
}

/** The page of a feed (PROTOCOL.md FEED-1) with each JSON payload as a text. */
export function withTexts(page: string): string {
  const records = memberText(page, 'records');
  if (records === undefined) return page;
  const lines = elementTexts(records).map((line) => {
    if (memberText(line, 'encoding') !== undefined) return line;
    // The last of a name counts.
    return `${line.trimEnd().slice(0, -1)},"data":${JSON.stringify(memberText(line, 'data') ?? 'null')}}`;
  });
  return `${page.trimEnd().slice(0, -1)},"records":[${lines.join(',')}]}`;
}
