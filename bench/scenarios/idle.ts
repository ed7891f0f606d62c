/** Memory of idle subscribed connections: 8,000 in the clear, 3,000 over TLS; beside bare `ws` and Socket.IO. */
import { missingCompiler } from '../floors/compile.ts';
import { collectingNodeArgs, measureIdle, type IdleServer } from '../idle.ts';
import { plainDialect, socketIoDialect, startNode } from '../peers/peer.ts';
import type { Dialect } from '../receiver.ts';
import type { Contender, Scenario } from '../scenario.ts';
import { helloText, missingTideway, startTideway, subscribeText, tidewayDialect } from '../tideway.ts';

async function startPeer(script: string, args: readonly string[], dialect: Dialect): Promise<IdleServer> {
  const child = startNode(script, args, script, collectingNodeArgs);
  const { port } = await child.next('ready');
  return { pid: child.pid, port: Number(port), dialect, stop: () => child.stop() };
}

async function startOurs(args: readonly string[], dialect: Dialect): Promise<IdleServer> {
  return { ...(await startTideway({ args, nodeArgs: collectingNodeArgs })), dialect };
}

const oneChannel = tidewayDialect([[helloText('bench-idle'), subscribeText('bench:idle')]]);

function ownChannels(count: number): Dialect {
  const scripts = Array.from({ length: count }, (_, i) => [helloText(`bench-${i}`), subscribeText(`bench:idle-${i}`)]);
  return tidewayDialect(scripts);
}

export const idle: Scenario = {
  name: 'idle',
  title: 'resident memory of idle subscribed connections, after garbage collection',
  columns: ['rssKbEach', 'rssMb', 'emptyRssMb', 'connections'],
  async open(settings) {
    const noGcc = missingCompiler();
    const missing = missingTideway();
    const plain = settings.quick ? 1_000 : 8_000;
    const secure = settings.quick ? 300 : 3_000;
    const contender = (name: string, tls: boolean, start: () => Promise<IdleServer>): Contender => ({
      name,
      missing: (tls ? undefined : noGcc) ?? (name.startsWith('tideway') ? missing : undefined),
      measure: () => measureIdle(start, { connections: tls ? secure : plain, tls }),
    });
    return {
      cases: [
        {
          name: 'plain',
          contenders: [
            contender('tideway', false, () => startOurs([], oneChannel)),
            contender('tideway, a channel each', false, () => startOurs([], ownChannels(plain))),
            contender('ws', false, () => startPeer('ws-loop.ts', ['buffer'], plainDialect)),
            contender('Socket.IO', false, () => startPeer('socket-io.ts', [], socketIoDialect)),
          ],
        },
        {
          name: 'TLS',
          contenders: [
            contender('tideway', true, () => startOurs(['--tls'], oneChannel)),
            contender('ws', true, () => startPeer('ws-loop.ts', ['buffer', '--tls'], plainDialect)),
          ],
        },
      ],
    };
  },
};
