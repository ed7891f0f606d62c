import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { blockNamed, codeBlocks } from './markdown.ts';
import { Program, projectFolder } from './programs.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');

test('the README begins with a name, a sentence and the command, and shows no more than 24 lines of code', () => {
  assert.match(readme, /^# Tideway\n\n[^\n]+\.\n\n```sh\nnpm install && npm start\n```\n/);
  const blocks = codeBlocks(readme);
  assert.equal(
    blocks.reduce((sum, { lines }) => sum + lines, 0) <= 24,
    true,
    blocks.map(({ lines, name, language }) => `${name ?? language}: ${lines}`).join(', '),
  );
});

test('its commands are scripts of package.json', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
  const commands = codeBlocks(readme)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ code }) => code.trim().split(' && '));
  assert.deepEqual(commands, ['npm install', 'npm start', 'npm test']);
  for (const script of ['start', 'test']) assert.ok(script in scripts, script);
});

test('its client goes on where it was after a kill -9 of its server, as the README says', async (t) => {
  const folder = projectFolder(t);
  const serve = (port: string): Program => {
    const code = blockNamed(readme, 'server.ts').replace('port: 7401', `port: ${port}`);
    assert.match(code, /port: \d/);
    writeFileSync(join(folder, 'server.ts'), `${code}\nconsole.log('at', server.url);\n`);
    return new Program(t, folder, ['server.ts']);
  };
  const first = serve('0');
  const [, url = '', port = ''] = await first.says(/at (http:\/\/[\d.]+:(\d+))/);

  writeFileSync(join(folder, 'client.ts'), blockNamed(readme, 'client.ts').replace('http://localhost:7401', url));
  const client = new Program(t, folder, ['client.ts']);
  await client.says(/^\d{13} \{ text: 'hello' \}$/m);

  await first.kill('SIGKILL');
  const second = serve(port);
  await second.says(/at http/);
  const answer = await fetch(`${url}/v1/records?channel=chat:42`, { method: 'POST', body: '{"text":"still here"}' });
  assert.equal(answer.status, 201);
  await client.says(/^\d{13} \{ text: 'still here' \}$/m);
  assert.equal(client.said.match(/\{ text/g)?.length, 2, client.said);
  assert.doesNotMatch(client.said, /reason:/);
});
