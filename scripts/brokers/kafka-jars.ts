/** Where the jars of Apache Kafka are, and what a Java process of theirs is started with. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const kafkaPom = join(import.meta.dirname, 'kafka-pom.xml');

/** Of the broker and of the Java client, as the pom names it. */
export const kafkaVersion =
  /<artifactId>kafka_2\.13<\/artifactId>\s*<version>([^<]+)/.exec(readFileSync(kafkaPom, 'utf8'))?.[1] ?? '';

/** Those of the distribution that KAFKA_HOME names, else the fetched ones. */
export function kafkaJars(): string {
  const home = process.env['KAFKA_HOME'];
  return home ? join(home, 'libs') : join(import.meta.dirname, '../../.cache/kafka', kafkaVersion);
}

/** Classes as a broker has loaded them, which halves the time of its start; made by fetch-kafka.ts. */
export function kafkaArchive(): string {
  return join(kafkaJars(), 'classes.jsa');
}

/** Why no broker can be started here, naming what to do about it. */
export function missingKafka(): string | undefined {
  if (spawnSync('java', ['-version']).status !== 0) {
    return 'Apache Kafka: Java 17 or newer (Debian: openjdk-17-jre-headless)';
  }
  if (existsSync(kafkaJars())) return undefined;
  return 'Apache Kafka: its jars; fetch them with node scripts/brokers/fetch-kafka.ts (needs Maven), or set KAFKA_HOME';
}

/** Arguments of `java` for a class of the jars; the folder it runs in has a log4j2.properties. */
export function javaArguments(main: string, args: readonly string[], more: readonly string[] = []): string[] {
  const archive = kafkaArchive();
  const shared = existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`, '-Xlog:disable'] : [];
  const heap = ['-Xms64m', '-Xmx256m', '-XX:+UseSerialGC'];
  const settings = ['-Dlog4j2.configurationFile=log4j2.properties', '-Dfile.encoding=UTF-8'];
  return [...heap, ...shared, ...settings, ...more, '-cp', join(kafkaJars(), '*'), main, ...args];
}
