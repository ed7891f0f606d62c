import assert from 'node:assert/strict';
import { describe, type TestContext } from 'node:test';
import { jetstream, jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { nats as kind, startNats } from '../../../../scripts/brokers/nats.ts';
import { tokenText } from '../log/nats/nats-subject.ts';
import { BridgeRoom, bridgeTest, stopBridge } from './testing/bridge-room.ts';
import { arrivesInOrder, keepsPayloads, type SinkSide, type Written } from './testing/outbound-suite.ts';

async function side(t: TestContext, subject: string, config: Partial<StreamConfig> = {}): Promise<SinkSide> {
  const server = await startNats({ isSynced: true });
  t.after(() => server.stop());
  const connection = await connect({ servers: `127.0.0.1:${server.port}` });
  t.after(() => connection.close());
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: 'SHOP', subjects: ['shop.>'], ...config });
  return {
    to: `nats://127.0.0.1:${server.port}/${subject}`,
    isOnce: true,
    async read() {
      const { state } = await manager.streams.info('SHOP');
      if (state.messages === 0) return [];
      const consumer = await jetstream(connection).consumers.get('SHOP');
      const written: Written[] = [];
      for await (const message of await consumer.fetch({ max_messages: state.messages, expires: 5_000 })) {
        const headers = new Map([...(message.headers ?? [])].map(([name, [value = '']]) => [name, value]));
        const [id = '', channel = ''] = [headers.get('Nats-Msg-Id'), headers.get('tideway-channel')];
        if (subject.endsWith('>')) assert.equal(tokenText(message.subject.split('.')[2] as string), channel);
        written.push({ channel, value: Buffer.from(message.data), headers, id });
      }
      return written;
    },
  };
}

describe('channels, bridged to a subject of JetStream', () => {
  bridgeTest(kind, 'arrive once, each in order, over kills of bridge and server', async (t) => {
    await arrivesInOrder(t, await side(t, 'shop.events'));
  });

  bridgeTest(kind, 'keep their payloads, with the channel in the subject', async (t) => {
    await keepsPayloads(t, await side(t, 'shop.channels.>'));
  });

  bridgeTest(kind, 'leave what the stream will never take to the dead letter channel, and go on', async (t) => {
    const { to, read } = await side(t, 'shop.events', { max_msg_size: 2_000 });
    const room = await BridgeRoom.open(t);
    const long = JSON.stringify('x'.repeat(3_000));
    await room.append('order:a', [
      { rid: 'r1', json: '1' },
      { rid: 'r2', json: long },
      { rid: 'r3', json: '3' },
    ]);
    const bridge = await room.bridge('--from', 'order:*', '--to', to, '--dead-letter', 'dead:orders');
    await bridge.line('stdout', /"event":"dead".*"place":"channel order:a, cursor /);
    const [dead] = (await room.untilRecords('dead:orders', 1)).map(({ data }) => data as Record<string, unknown>);
    assert.equal(dead?.['rid'], 'r2');
    assert.equal(dead?.['data'], long);
    const written = await t.waitFor(
      async () => {
        const all = await read();
        assert.equal(all.length, 2);
        return all;
      },
      { interval: 100, timeout: 90_000 },
    );
    assert.deepEqual(
      written.map(({ value }) => value.toString()),
      ['1', '3'],
    );
    await stopBridge(bridge);
  });
});
