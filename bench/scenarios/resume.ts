/** The resume storm (storm.ts) in three shapes: all on one channel, ten on each of 500, each on its own with a token. */
import { missingCompiler } from '../floors/compile.ts';
import { createTokenIssuer } from '../json-web-token.ts';
import type { Contender, Scenario } from '../scenario.ts';
import { measureStorm, prepareStorm, type Prepared, type Storm } from '../storm.ts';
import { missingTideway, removeDataFolder } from '../tideway.ts';

export const resume: Scenario = {
  name: 'resume',
  title: '5,000 clients, each 100 records behind, resume at once while four sessions append 1,000/s',
  columns: ['allThereMs', 'serverCpuMs', 'acksBeforeP99Ms', 'acksDuringP99Ms', 'acksRatio', 'rssMb'],
  async open(settings) {
    const missing = missingCompiler() ?? missingTideway();
    const part = settings.quick ? 0.1 : 1;
    const clients = 5_000 * part;
    const folders: Promise<Prepared>[] = [];

    function contender(channels: number, more: Pick<Storm, 'issuer'>): Contender {
      let prepared: Promise<Prepared> | undefined;
      return {
        name: 'tideway',
        missing,
        async measure() {
          if (!prepared) {
            settings.progress(`appending ${channels * 101} records to resume from`);
            folders.push((prepared = prepareStorm(channels)));
          }
          return measureStorm({ prepared: await prepared, clients, ...more });
        },
      };
    }

    return {
      cases: [
        { name: 'one channel', contenders: [contender(1, {})] },
        { name: '500 channels', contenders: [contender(500 * part, {})] },
        { name: 'a channel each, JWT', contenders: [contender(clients, { issuer: createTokenIssuer() })] },
      ],
      async close() {
        for (const folder of await Promise.allSettled(folders)) {
          if (folder.status === 'fulfilled') removeDataFolder(folder.value.dataFolder);
        }
      },
    };
  },
};
