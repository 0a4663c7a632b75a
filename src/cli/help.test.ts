import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseArguments } from './args.ts';
import { helpText, wrap } from './help.ts';
import { COMMANDS, isCommandName } from './options.ts';

test('help names every option the parser takes, in lines of at most 100 columns', () => {
  for (const [name, command] of Object.entries(COMMANDS)) {
    assert(isCommandName(name));
    const text = helpText(name);
    for (const option of Object.keys(command.options))
      assert(text.includes(`--${option} `), `${name} --${option}`);
    for (const line of text.split('\n')) assert(line.length <= 100, line);
    assert.deepEqual(parseArguments([name, '--help']), { kind: 'help', topic: name });
  }
});

test('the overview names every command', () => {
  const text = helpText(undefined);
  for (const name of Object.keys(COMMANDS)) assert.match(text, new RegExp(`^  ${name} `, 'm'));
  for (const line of text.split('\n')) assert(line.length <= 100, line);
});

test('wrap', () => {
  assert.deepEqual(wrap('a bb ccc dddddd e', 5), ['a bb', 'ccc', 'dddddd', 'e']);
  assert.deepEqual(wrap('', 5), ['']);
});
