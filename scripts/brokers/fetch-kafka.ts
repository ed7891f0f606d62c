/**
 * Fetches the jars of Apache Kafka with Maven, as this machine has it set up, into `.cache/kafka`, and starts a broker
 * once so that later ones start sooner. Nothing is done for what is there.
 *
 *     node scripts/brokers/fetch-kafka.ts
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { startKafka } from './kafka.ts';
import { kafkaArchive, kafkaJars, kafkaPom, kafkaVersion } from './kafka-jars.ts';

function fetchJars(): void {
  const jars = kafkaJars();
  if (existsSync(jars)) return;
  mkdirSync(dirname(jars), { recursive: true });
  // Renamed when it is whole, so that a fetch that was cut off is never taken for one that ended.
  const half = mkdtempSync(join(dirname(jars), 'half-'));
  try {
    const goal = 'dependency:copy-dependencies';
    const args = ['-q', '-B', '-f', kafkaPom, goal, `-DoutputDirectory=${half}`];
    const { status, error } = spawnSync('mvn', args, { stdio: 'inherit' });
    if (error !== undefined) throw new Error(`Maven cannot be run (Debian: maven): ${error.message}`);
    if (status !== 0) throw new Error(`Maven ended with ${status}`);
    if (!existsSync(jars)) renameSync(half, jars);
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
}

/** A broker that is stopped cleanly leaves the classes it had loaded. */
async function archiveClasses(): Promise<void> {
  const archive = kafkaArchive();
  if (existsSync(archive)) return;
  const half = `${archive}.${process.pid}`;
  try {
    const { members } = await startKafka({ java: [`-XX:ArchiveClassesAtExit=${half}`, '-Xlog:disable'] });
    await members[0]?.stop();
    if (existsSync(half)) renameSync(half, archive);
  } finally {
    rmSync(half, { force: true });
  }
}

fetchJars();
await archiveClasses();
console.log(`Apache Kafka ${kafkaVersion}: ${kafkaJars()}`);
