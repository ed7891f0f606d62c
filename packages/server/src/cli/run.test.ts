import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { version } from '../version.ts';
import { commands } from './commands.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { runHere } from './testing/cli-rig.ts';

describe('the program', () => {
  test('shows every command in its help, on stdout', async () => {
    const { exitCode, stdout, stderr } = await runHere(['--help']);
    assert.equal(exitCode, exitCodes.ok);
    assert.equal(stderr, '');
    for (const { name, summary } of commands) {
      assert.ok(stdout.includes(`  ${name} `), name);
      assert.ok(stdout.includes(summary), summary);
    }
  });

  test('without a command shows its help and fails as usage', async () => {
    assert.equal((await runHere([])).exitCode, exitCodes.usage);
  });

  test('says its version', async () => {
    assert.deepEqual(await runHere(['--version']), { exitCode: 0, stdout: `${version}\n`, stderr: '' });
  });

  for (const { name } of commands) {
    test(`explains ${name}: usage, flags, an example that begins with it`, async () => {
      const { exitCode, stdout } = await runHere([...name.split(' '), '--help']);
      assert.equal(exitCode, exitCodes.ok);
      assert.match(stdout, new RegExp(`^Usage: tideway ${name}( |\n)`));
      assert.match(stdout, new RegExp(`^  (.*[ |] ?)?tideway ${name}\\b`, 'm'));
      for (const line of stdout.split('\n').filter((one) => one.startsWith('  --')))
        assert.match(line, /^  --[a-z-]+( \S+)?  +\S.*$/);
      assert.deepEqual(await runHere(['help', ...name.split(' ')]), { exitCode: 0, stdout, stderr: '' });
    });
  }
});

test('a cursor that begins with a dash is a place, and no flag', async () => {
  for (const cursor of ['-bcdef.10.zzzz', '--cdef.0.----']) {
    const verify = await runHere(['verify', 'chat:1', '--from', cursor, '--url', 'http://127.0.0.1:1']);
    assert.equal(verify.exitCode, exitCodes.unreachable, verify.stderr);
  }
});

const mistakes: readonly [line: string, message: RegExp, hint?: RegExp][] = [
  ['sevre', /there is no command "sevre" \(did you mean serve\?\)/, /tideway --help/],
  ['--frobnicate', /there is no command "--frobnicate"/],
  ['config', /config needs a word more/, /tideway config check, tideway config print/],
  ['config pint', /there is no command "config pint"/],
  ['serve --prot 1', /there is no flag --prot \(did you mean --port\?\)/],
  ['serve --port', /--port <value>' argument missing/],
  ['serve --port http', /--port: "http" is not allowed; a port from 0 to 65535 is/],
  ['serve --port 1 --log-level loud', /--log-level: "loud" is not allowed; one of debug, info, warn, error is/],
  ['serve --auth-jwt-secret x', /there is no flag --auth-jwt-secret/],
  ['serve now', /"now" is one argument too many: tideway serve/],
  ['dev --faults=no', /does not take an argument/],
  ['append', /something is missing: tideway append CHANNEL \[DATA\|-\]/],
  ['append chat:1 hi', /DATA is no JSON: hi/, /--text/],
  ['append chat 1', /"chat" is no channel name; namespace:rest is/],
  ['append chat:1 1 --id x --count 2', /--id is the id of one record/],
  ['append chat:1 1 --file x', /give DATA or --file, not both/],
  ['append chat:1 - --count 2', /--count repeats DATA/],
  ['append chat:1 1 --rate 0', /--rate: 0 is not allowed; a whole number from 1 to 1,000,000 is/],
  ['tail chat:1 --from last:4000', /--from: "last:4000" is no place; now, oldest, last:N with N up to 1000/],
  ['tail chat:1 chat:2 --from joYyQo.2MR.S8Hj', /a cursor belongs to one channel, and 2 were given/],
  ['tail chat:1 --for soon', /--for: "soon" is not allowed; a duration/],
  ['tail chat:1 --transport pigeon', /--transport: "pigeon" is not allowed; one of auto, websocket, sse is/],
  ['tail chat:1 --url ftp://x', /--url: "ftp:\/\/x" is not allowed; a URL such as/],
  ['tail chat:1 --url http://ann:hunter2@x', /credentials do not belong in a URL/],
  ['verify chat:1 --from last:5', /--from: "last:5" is no place; oldest or a cursor is/],
  ['token', /--user is needed/],
  ['token --user ann', /there is no secret to sign with/],
  ['token inspect eyJ.eyJ.x', /a token in an argument is seen by everyone/],
  ['log check ./no-such-folder', /there is no folder/],
];

describe('a mistake', () => {
  for (const [line, message, hint] of mistakes) {
    test(`in "tideway ${line}" is told on stderr, and nothing is done`, async () => {
      const { exitCode, stdout, stderr } = await runHere(line.split(' '));
      assert.equal(exitCode, exitCodes.usage);
      assert.equal(stdout, '');
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n\s+at |hunter2/);
      if (hint !== undefined) assert.match(stderr, hint);
    });
  }
});

test('an error of the protocol has its exit code', () => {
  assert.equal(exitCodeOf('forbidden'), exitCodes.refused);
  assert.equal(exitCodeOf('unauthenticated'), exitCodes.refused);
  assert.equal(exitCodeOf('channel_closed'), exitCodes.failed);
});
