/**
 * Reads a stream of Server-Sent Events as `fetch` brings it (SSE-2, SSE-3).
 */

export interface StreamEvents {
  /** `name` is empty for a record. */
  onEvent(name: string, data: string): void;
  /** A sign of life. */
  onComment(): void;
}

/** Resolves at the stream's end; rejects with what broke it. */
export async function readEventStream(body: ReadableStream<Uint8Array>, events: StreamEvents): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let name = '';
  let data: string[] = [];
  const onLine = (line: string) => {
    if (line === '') {
      if (data.length > 0) events.onEvent(name, data.join('\n'));
      name = '';
      data = [];
    } else if (line.startsWith(':')) events.onComment();
    else if (line.startsWith('event: ')) name = line.slice(7);
    else if (line.startsWith('data: ')) data.push(line.slice(6));
  };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    // Only what is new can end a line: a long record is not searched again with each of its chunks.
    if (!value.includes(0x0a)) continue;
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  }
}
