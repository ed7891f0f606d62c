/** Server-Sent Events as they are on the wire (WHATWG HTML §9.2): every block, also those an EventSource would not show. */
import { once } from 'node:events';
import { request as requestPlain, type IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request as requestEncrypted } from 'node:https';
import { Readable } from 'node:stream';
import { Arrivals } from './deadline.ts';

export interface StreamBlock {
  readonly event: string | undefined;
  readonly id: string | undefined;
  /** The lines of `data` joined; `undefined` where there was none. */
  readonly data: string | undefined;
  readonly retry: string | undefined;
  /** Comment lines, without the colon. */
  readonly comments: readonly string[];
}

/** Takes text as it comes and gives whole blocks. */
class BlockParser {
  #rest = '';

  push(text: string): StreamBlock[] {
    this.#rest += text;
    const blocks: StreamBlock[] = [];
    for (;;) {
      const end = /\r\n\r\n|\n\n|\r\r/.exec(this.#rest);
      if (end === null) return blocks;
      blocks.push(parseBlock(this.#rest.slice(0, end.index)));
      this.#rest = this.#rest.slice(end.index + end[0].length);
    }
  }
}

function parseBlock(text: string): StreamBlock {
  let event: string | undefined;
  let id: string | undefined;
  let retry: string | undefined;
  const data: string[] = [];
  const comments: string[] = [];
  for (const line of text.split(/\r\n|\n|\r/)) {
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (colon === 0) comments.push(value);
    else if (field === 'event') event = value;
    else if (field === 'id') id = value;
    else if (field === 'retry') retry = value;
    else if (field === 'data') data.push(value);
  }
  return { event, id, retry, comments, data: data.length === 0 ? undefined : data.join('\n') };
}

/** A response whose body is an event stream, read block by block. */
export class EventStream {
  readonly response: Response;
  readonly blocks = new Arrivals<StreamBlock>();
  /** Resolves when the stream is over, by whichever side. */
  readonly ended: Promise<void>;
  readonly #abort: AbortController;

  constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    this.ended = this.#read();
  }

  stop(): void {
    this.#abort.abort();
  }

  async #read(): Promise<void> {
    const parser = new BlockParser();
    const text = new TextDecoder();
    try {
      for await (const chunk of this.response.body ?? []) {
        for (const block of parser.push(text.decode(chunk, { stream: true }))) this.blocks.push(block);
      }
      this.blocks.end(new Error('the event stream ended'));
    } catch (error) {
      this.blocks.end(new Error('the event stream broke', { cause: error }));
    }
  }
}

/** Opens an event stream; whatever the answer is, the caller looks at it. */
export async function openEventStream(url: URL, init: RequestInit = {}): Promise<EventStream> {
  const abort = new AbortController();
  const response = await fetch(url, { ...init, signal: abort.signal });
  return new EventStream(response, abort);
}

/** HTTP/2 over TLS only, as browsers have it. */
export type HttpVersion = '1.1' | '2';

/** Opens an event stream on a connection of its own, in this version of HTTP. */
export async function openEventStreamOver(
  version: HttpVersion,
  url: URL,
  headers: Readonly<Record<string, string>>,
): Promise<EventStream> {
  return version === '2' ? await openOverHttp2(url, headers) : await openOverHttp1(url, headers);
}

async function openOverHttp1(url: URL, headers: Readonly<Record<string, string>>): Promise<EventStream> {
  const abort = new AbortController();
  const request = url.protocol === 'https:' ? requestEncrypted : requestPlain;
  const asked = request(url, { headers, agent: false, signal: abort.signal }).end();
  // What is said of the connection besides the first word is heard here; behind an answer it is the end of the body.
  asked.on('error', () => {});
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return new EventStream(responseOf(answer, answer.statusCode ?? 0), abort);
}

async function openOverHttp2(url: URL, headers: Readonly<Record<string, string>>): Promise<EventStream> {
  const abort = new AbortController();
  const session = connectHttp2(url);
  session.on('error', (error) => stream.destroy(error));
  const stream = session.request({ ':path': `${url.pathname}${url.search}`, ...headers }, { signal: abort.signal });
  stream.on('close', () => session.destroy());
  const [answer] = (await once(stream, 'response')) as [{ readonly ':status': number }];
  return new EventStream(responseOf(stream, answer[':status']), abort);
}

function responseOf(body: Readable, status: number): Response {
  // What ends with an error is what the caller reads; nobody else needs to hear it.
  body.on('error', () => {});
  // Node's own streams of the web are those of `fetch`; its types know them by two names.
  return new Response(status === 204 ? null : (Readable.toWeb(body) as unknown as ReadableStream), { status });
}
