import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { post, recordedDays } from './demo-producer.ts';

const INDEX = `date,open,high,low,close,adjclose,volume
2000-01-03,1,1,1,1455.22,1455.22,9
2000-01-04,1,1,1,1399.42,1399.42,9
2000-02-01,1,1,1,,,9
2000-02-02,1,1,1,1409.12,1409.12,9
`;
const SHARES = `symbol,date,price
MSFT,Jan 1 2000,39.81
AAPL,Jan 1 2000,25.94
MSFT,Feb 1 2000,36.35
`;

test('each trading day has the index; the first of a month has the shares of that month', () => {
  const days = recordedDays(INDEX, SHARES).map((day) => day.map(({ symbol, price, date }) => [symbol, price, date]));
  assert.deepEqual(days, [
    [
      ['S&P 500', 1455.22, '2000-01-03'],
      ['MSFT', 39.81, '2000-01-03'],
      ['AAPL', 25.94, '2000-01-03'],
    ],
    [['S&P 500', 1399.42, '2000-01-04']],
    [
      ['S&P 500', 1409.12, '2000-02-02'],
      ['MSFT', 36.35, '2000-02-02'],
    ],
  ]);
});

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a batch is done when every record has its place', async (t) => {
  const url = await serve(t, (_, response) => response.end('{"results":[{"cursor":"a"},{"cursor":"b"}]}'));
  assert.equal(await post(url, []), true);
});

test('no answer, half an answer and a retryable error are all sent again', async (t) => {
  const answers = [
    'half a',
    '{"results":[{"cursor":"a"},{"code":"unconfirmed","retryMs":100}]}',
    '{"error":{"code":"overloaded","retryMs":100}}',
  ];
  const url = await serve(t, (_, response) => {
    const answer = answers.shift();
    if (answer === undefined) response.destroy();
    else response.end(answer);
  });
  for (let n = 0; n < 4; n++) assert.equal(await post(url, []), false);
});

test('a final refusal is said and not repeated for ever', async (t) => {
  const body = '{"results":[{"code":"forbidden","message":"no appends here"}]}';
  const url = await serve(t, (_, response) => response.end(body));
  await assert.rejects(post(url, []), /no appends here/);
});
