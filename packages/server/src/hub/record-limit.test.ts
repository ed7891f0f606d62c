import assert from 'node:assert/strict';
import { test } from 'node:test';
import { limits } from '@tideway/protocol';
import type { Backbone } from './backbone.ts';
import type { NamespaceRules, Policy } from './policy.ts';
import { RecordLimit } from './record-limit.ts';

function largest(recordBytesMax: number, namespaces: readonly number[]): number {
  const policy = {
    appendable: namespaces.map((recordBytes) => ({ recordBytes }) as NamespaceRules),
  } as unknown as Policy;
  return new RecordLimit(policy, { log: { declares: { recordBytesMax } } } as unknown as Backbone).largest;
}

test('the largest record is that of any namespace, as far as the log stores it; without one it is no reason to refuse', () => {
  assert.equal(largest(1_000_000, [100, 5_000]), 5_000);
  assert.equal(largest(4_000, [100, 5_000]), 4_000);
  assert.equal(largest(1_000_000, []), limits.recordBytes);
  assert.equal(largest(4_000, []), 4_000);
});
