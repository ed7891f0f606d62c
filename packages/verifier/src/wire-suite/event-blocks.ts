/** What the checks of event streams do with blocks: find the next of a kind, take its data apart. */
import assert from 'node:assert/strict';
import type { EventStream, StreamBlock } from '../raw/event-stream.ts';
import type { Fields } from './talk.ts';
import type { Wire } from './wire.ts';

export function dataOf(block: StreamBlock): Fields {
  assert.ok(block.data !== undefined, `an event without data: ${JSON.stringify(block)}`);
  assert.ok(!block.data.includes('\n'), 'data of more than one line');
  return JSON.parse(block.data) as Fields;
}

const isRecord = (block: StreamBlock): boolean => block.event === undefined && block.data !== undefined;

export function next(wire: Wire, stream: EventStream, event: string | undefined): Promise<StreamBlock> {
  const fits = event === undefined ? isRecord : (block: StreamBlock): boolean => block.event === event;
  return stream.blocks.next(fits, wire.deadlineMs, event ?? 'a record');
}

export async function records(wire: Wire, stream: EventStream, count: number): Promise<StreamBlock[]> {
  const blocks: StreamBlock[] = [];
  while (blocks.length < count) blocks.push(await next(wire, stream, undefined));
  return blocks;
}

export async function opened(
  wire: Wire,
  stream: EventStream,
): Promise<{ readonly ready: Fields; readonly block: StreamBlock }> {
  assert.equal(stream.response.status, 200);
  const first = await stream.blocks.next(
    (block) => block.event !== undefined || block.data !== undefined,
    wire.deadlineMs,
    'ready',
  );
  assert.equal(first.event, 'ready', 'ready is the first event (SSE-3)');
  return { ready: dataOf(first), block: first };
}

export function post(body: unknown): { readonly body: string; readonly headers: Readonly<Record<string, string>> } {
  return { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } };
}
