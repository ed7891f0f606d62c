/** How the demo starts a Kafka of its own: one member in KRaft mode, from the distribution that KAFKA_HOME names. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CliError, exitCodes } from '../exit-codes.ts';
import type { BrokerPlace, BrokerProgram } from './demo-broker-program.ts';

const INSTALL =
  'install Java 17 or newer (Debian: openjdk-17-jre-headless), unpack Apache Kafka 4, and set KAFKA_HOME to its folder';

function javaArguments(main: string, args: readonly string[]): readonly string[] {
  const jars = join(process.env['KAFKA_HOME'] ?? '', 'libs', '*');
  const settings = ['-Xmx256m', '-XX:+UseSerialGC', '-Dlog4j2.configurationFile=log4j2.properties'];
  return [...settings, '-cp', jars, main, ...args];
}

function serverProperties({ folder, ports: [port, controllerPort] }: BrokerPlace): string {
  return Object.entries({
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': join(folder, 'data'),
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

const LOGGING = `
status=error
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%p %c{1}: %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=OUT
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
`;

export const kafka: BrokerProgram = {
  name: 'Kafka',
  install: INSTALL,
  portCount: 2,
  ready: /Kafka Server started/,
  command: () => ['java', ...javaArguments('kafka.Kafka', ['server.properties'])],
  /** Writes its settings and formats its folder. */
  async prepare(place) {
    if (!existsSync(join(process.env['KAFKA_HOME'] ?? '', 'libs'))) {
      throw new CliError(exitCodes.failed, 'KAFKA_HOME names no folder with a Kafka in it', INSTALL);
    }
    const { folder } = place;
    await writeFile(join(folder, 'server.properties'), serverProperties(place));
    await writeFile(join(folder, 'log4j2.properties'), LOGGING);
    if (existsSync(join(folder, 'data'))) return;
    // Any id of 16 bytes.
    const id = Buffer.from('tideway the demo').toString('base64url');
    const format = javaArguments('kafka.tools.StorageTool', ['format', '-t', id, '-c', 'server.properties']);
    await promisify(execFile)('java', [...format], { cwd: folder }).catch((error: NodeJS.ErrnoException) => {
      const why = error.code === 'ENOENT' ? 'java is not on this machine; Kafka needs it' : error.message;
      throw new CliError(exitCodes.failed, why, INSTALL);
    });
  },
  address: ({ ports: [port] }) => `kafka://127.0.0.1:${port}/demo`,
};
