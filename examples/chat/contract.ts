/** What the channels of the chat carry. The server checks it; the page imports its type only. */
import { contract } from 'tideway';
import * as v from 'valibot';

const name = v.pipe(v.string(), v.trim(), v.minLength(1), v.maxLength(40));

export const chat = contract({
  'chat:{room}': {
    record: v.object({ name, text: v.pipe(v.string(), v.minLength(1), v.maxLength(2_000)) }),
    signal: v.object({ name }),
  },
});
export type Chat = typeof chat;
