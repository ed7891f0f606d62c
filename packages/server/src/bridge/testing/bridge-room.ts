/** What the tests of bridges share: a server to bridge to, the command as a process, and what its channels hold. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { BrokerKind } from '../../../../../scripts/brokers/broker.ts';
import { requireService } from '../../../../../scripts/services.ts';
import { CliProcess, startServer, temporaryFolder, type RunningServer } from '../../cli/testing/cli-rig.ts';

export interface StoredRecord {
  readonly channel: string;
  readonly rid?: string;
  readonly key?: string;
  readonly encoding?: string;
  readonly data: unknown;
}

export interface DeadLetter {
  readonly code: string;
  readonly message: string;
  readonly bridge: string;
  readonly source: string;
  readonly place: string;
  readonly bodyBytes: number;
  readonly body: unknown;
  readonly isCut?: boolean;
}

/** A test that needs a broker: skipped, and said so, where there is none. */
export function bridgeTest(kind: BrokerKind, title: string, run: (t: TestContext) => Promise<void>): void {
  test(title, { timeout: 180_000 }, async (t) => {
    if (requireService(t, kind.missing() ?? kind.name, kind.missing() === undefined)) await run(t);
  });
}

const WAIT = { interval: 50, timeout: 60_000 };

export class BridgeRoom {
  readonly #t: TestContext;
  readonly #data: string;
  #server: RunningServer;

  private constructor(t: TestContext, data: string, server: RunningServer) {
    this.#t = t;
    this.#data = data;
    this.#server = server;
  }

  static async open(t: TestContext): Promise<BridgeRoom> {
    const data = join(await temporaryFolder(t), 'data');
    return new BridgeRoom(t, data, await startServer(t, { data }));
  }

  /** `tideway bridge`, reading already. */
  async bridge(...args: readonly string[]): Promise<CliProcess> {
    const bridge = this.command(...args);
    await bridge.line('stdout', /"event":"ready"/);
    return bridge;
  }

  /** The same, whatever becomes of it. */
  command(...args: readonly string[]): CliProcess {
    const { environment } = this.#server;
    return new CliProcess(this.#t, ['bridge', '--json', ...args], { environment });
  }

  /** Appends records to a channel, one batch after the other, each stored when this resolves. */
  async append(channel: string, items: readonly { readonly rid: string; readonly json: string }[]): Promise<void> {
    const lines = items.map(({ rid, json }) => `{"channel":"${channel}","rid":"${rid}","key":"k","data":${json}}`);
    const response = await fetch(`${this.#server.url}/v1/batch`, { method: 'POST', body: `[${lines.join(',')}]` });
    const { results } = (await response.json()) as { readonly results: readonly { readonly cursor?: string }[] };
    assert.ok(results.every(({ cursor }) => cursor !== undefined));
  }

  async appendBytes(channel: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const headers = { 'content-type': 'application/octet-stream' };
    const response = await fetch(`${this.#server.url}/v1/records?channel=${channel}`, {
      method: 'POST',
      body: bytes,
      headers,
    });
    assert.equal(response.status, 201);
  }

  async killServer(): Promise<void> {
    await this.#server.process.end('SIGKILL');
  }

  async restartServer(): Promise<void> {
    const { port, url, environment } = this.#server;
    const args = ['dev', '--port', String(port), '--data', this.#data, '--json'];
    const process = new CliProcess(this.#t, args);
    await process.line('stdout', /"event":"ready"/);
    this.#server = { process, port, url, environment };
  }

  /** Everything a channel holds, in order. */
  async records(channel: string): Promise<readonly StoredRecord[]> {
    const all: StoredRecord[] = [];
    for (let after = 'oldest', end = false; !end;) {
      const query = new URLSearchParams({ channel, after, limit: '1000' });
      const response = await fetch(`${this.#server.url}/v1/records?${query}`);
      assert.equal(response.status, 200);
      const page = (await response.json()) as {
        readonly records: readonly StoredRecord[];
        readonly next: string;
        readonly end: boolean;
      };
      all.push(...page.records);
      ({ next: after, end } = page);
    }
    return all;
  }

  /** What a channel holds as soon as that is `count` records; more, or others, are the caller's to see. */
  async untilRecords(channel: string, count: number): Promise<readonly StoredRecord[]> {
    return this.#t.waitFor(async () => {
      const records = await this.records(channel);
      assert.ok(records.length >= count, `${channel} has ${records.length} of ${count}`);
      return records;
    }, WAIT);
  }

  async deadLetters(channel: string): Promise<readonly DeadLetter[]> {
    return (await this.records(channel)).map(({ data }) => data as DeadLetter);
  }
}

/** Ends it as the service manager does. */
export async function stopBridge(bridge: CliProcess): Promise<void> {
  const { exitCode, stderr } = await bridge.end('SIGTERM');
  assert.equal(exitCode, 0, stderr);
}
