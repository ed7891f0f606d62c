/**
 * One HTTP request on the model network: its answer takes its time, and can be cut off at any moment.
 */
import type { Exchange } from './model-http.ts';

const utf8 = new TextEncoder();

export class ModelExchange implements Exchange {
  readonly url: URL;
  readonly init: RequestInit;
  readonly body: string;
  isOver = false;
  readonly #down: (arrive: () => unknown) => void;
  readonly #resolve: (response: Response) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onOver: () => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #onEnd = () => {};

  constructor(
    url: URL,
    init: RequestInit,
    down: (arrive: () => unknown) => void,
    resolve: (response: Response) => void,
    reject: (error: unknown) => void,
    onOver: () => void,
  ) {
    this.url = url;
    this.init = init;
    this.body = typeof init.body === 'string' ? init.body : '';
    this.#down = down;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onOver = onOver;
    init.signal?.addEventListener('abort', () => this.#break(new DOMException('aborted', 'AbortError')));
    if (init.signal?.aborted === true) this.#break(new DOMException('aborted', 'AbortError'));
  }

  json(status: number, body: unknown): void {
    this.#down(() => {
      if (this.isOver) return;
      this.#over();
      this.#resolve(new Response(JSON.stringify(body), { status }));
    });
  }

  stream(): { write(text: string): void; end(): void; onEnd(callback: () => void): void } {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
    });
    this.#down(() => this.#resolve(new Response(body)));
    return {
      write: (text) => this.#down(() => this.isOver || this.#controller?.enqueue(utf8.encode(text))),
      end: () =>
        this.#down(() => {
          if (this.isOver) return;
          this.#controller?.close();
          this.#over();
        }),
      onEnd: (callback) => {
        this.#onEnd = callback;
      },
    };
  }

  comment(): void {
    this.#controller?.enqueue(utf8.encode(':\n\n'));
  }

  cut(): void {
    this.#break(new TypeError('the connection was cut'));
  }

  #break(error: unknown): void {
    if (this.isOver) return;
    this.#over();
    this.#controller?.error(error);
    this.#reject(error);
  }

  #over(): void {
    this.isOver = true;
    this.#onOver();
    this.#onEnd();
  }
}
