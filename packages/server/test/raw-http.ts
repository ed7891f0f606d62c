/** HTTP/1.1 byte by byte, for what no client library would send. */
import { connect as connectTcp } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

/** What is answered to bytes, until the server closes or the answer is whole. */
export async function answerTo(port: number, text: string): Promise<RawAnswer> {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(text);
  let got = '';
  for await (const chunk of socket) {
    got += String(chunk);
    const match = /^HTTP\/1\.1 (\d\d\d) [^]*?\r\nContent-Length: (\d+)[^]*?\r\n\r\n([^]*)$/i.exec(got);
    if (match !== null && (match[3] as string).length >= Number(match[2])) break;
  }
  socket.destroy();
  const [headers = '', body = ''] = got.split('\r\n\r\n');
  return { status: Number(headers.slice(9, 12)), headers, body };
}
