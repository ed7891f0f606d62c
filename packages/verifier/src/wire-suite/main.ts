/** `node main.ts URL`: the wire suite against a server. Talk on stderr, with `--json` one line per check on stdout; exit 5 when something fails. */
import { parseArgs, styleText } from 'node:util';
import { describeCheck, wireChecks, wireSuite, type CheckResult } from './suite.ts';

const usage = `node packages/verifier/src/wire-suite/main.ts URL [--prefix wire:] [--only CLAUSE] [--json]
Credentials, where anonymous sessions may not do everything: TIDEWAY_TOKEN.`;

const marks = {
  passed: styleText('green', 'ok  '),
  failed: styleText('red', 'FAIL'),
  skipped: styleText('yellow', 'skip'),
};

function show(result: CheckResult, asJson: boolean): void {
  if (asJson) {
    const { check, state, error, tookMs } = result;
    console.log(
      JSON.stringify({
        clauses: check.clauses,
        title: check.title,
        state,
        tookMs: Math.round(tookMs),
        message: error?.message,
      }),
    );
    return;
  }
  const why = result.state === 'passed' ? '' : `\n     ${result.error?.message.replaceAll('\n', '\n     ') ?? ''}`;
  console.error(`${marks[result.state]} ${describeCheck(result.check)}${why}`);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { prefix: { type: 'string' }, only: { type: 'string' }, json: { type: 'boolean', default: false } },
});
const url = positionals[0];
if (url === undefined || !URL.canParse(url)) {
  console.error(usage);
  process.exitCode = 2;
} else {
  const { only } = values;
  const checks = wireChecks.filter((check) => only === undefined || describeCheck(check).includes(only));
  const options = { url, token: process.env['TIDEWAY_TOKEN'], prefix: values.prefix };
  const results = await wireSuite(options, (result) => show(result, values.json), checks);
  const count = (state: CheckResult['state']): number => results.filter((result) => result.state === state).length;
  console.error(`${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`);
  if (count('failed') > 0) process.exitCode = 5;
}
