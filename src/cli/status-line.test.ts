import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatusMode } from './options.ts';
import type { Loss } from './status.ts';
import { StatusLine, type StatusStream } from './status-line.ts';

interface Screen extends StatusStream {
  text: string;
}

function screen(isTTY: boolean, columns = 80): Screen {
  return {
    isTTY,
    columns,
    text: '',
    write(text: string) {
      this.text += text;
    },
  };
}

/** What a reader sees: erased lines are gone. */
const visible = (text: string) =>
  text
    .split('\n')
    .map((line) => line.split('\r\x1b[2K').at(-1))
    .join('\n');

function setUp(
  isTTY: boolean,
  mode: StatusMode = 'auto',
  environment: Record<string, string> = { NO_COLOR: '1' },
) {
  const stream = screen(isTTY);
  const state = { exported: 0, losses: [] as Loss[] };
  const read = () => ({ programs: 1, spansPerSecond: 5, open: 0, queued: 0, ...state });
  return { stream, state, status: new StatusLine({ mode, stream, read, environment }) };
}
const LINE = (exported: number) => `1 program · 5 spans/s · 0 open · ${exported} exported · 0 queued`;

test('terminal: one line, rewritten, left behind at the end', () => {
  const { stream, state, status } = setUp(true);
  status.tick();
  state.exported = 7;
  status.tick();
  assert.equal(visible(stream.text), LINE(7));
  status[Symbol.dispose]();
  assert.equal(visible(stream.text), `${LINE(7)}\n`);
});

test('terminal: printed lines go above', () => {
  const { stream, status } = setUp(true);
  status.print('before\n');
  status.tick();
  status.print('GET /a\n');
  status.print('GET /b\n');
  assert.equal(visible(stream.text), `before\nGET /a\nGET /b\n${LINE(0)}`);
});

test('terminal: output to a file does not move the line', () => {
  const { stream, status } = setUp(true);
  const file = screen(false);
  status.tick();
  const before = stream.text;
  status.print('GET /a\n', file);
  assert.deepEqual([file.text, stream.text], ['GET /a\n', before]);
});

test('elsewhere: each ten seconds when there is news, at once when something is lost', () => {
  const { stream, state, status } = setUp(false);
  for (let second = 0; second < 10; second++) status.tick();
  assert.equal(stream.text, `status: ${LINE(0)}\n`);
  for (let second = 10; second < 20; second++) status.tick();
  assert.equal(stream.text, `status: ${LINE(0)}\n`);
  state.exported = 3;
  status.tick();
  assert.equal(stream.text, `status: ${LINE(0)}\nstatus: ${LINE(3)}\n`);
  state.losses = [{ name: 'ring-full', count: 1 }];
  status.tick();
  status.tick();
  assert.equal(stream.text.split('\n').at(-2), `status: ${LINE(3)} · lost: ring-full 1`);
  assert.equal(stream.text.split('\n').length, 4);
});

test('mode on repeats an unchanged plain line, mode off writes nothing', () => {
  const on = setUp(false, 'on');
  for (let second = 0; second < 20; second++) on.status.tick();
  assert.equal(on.stream.text, `status: ${LINE(0)}\n`.repeat(2));
  const off = setUp(true, 'off');
  off.status.start();
  off.status.print('GET /a\n');
  off.status[Symbol.dispose]();
  assert.equal(off.stream.text, 'GET /a\n');
});

test('colour only on a terminal and without NO_COLOR', () => {
  const coloured = setUp(true, 'auto', {});
  coloured.status.tick();
  assert(coloured.stream.text.includes('\x1b[1m'));
  for (const { status, stream } of [
    setUp(true),
    setUp(false, 'auto', {}),
    setUp(true, 'on', { TERM: 'dumb' }),
  ]) {
    status.tick();
    assert(!stream.text.includes('\x1b[1m'));
  }
});
