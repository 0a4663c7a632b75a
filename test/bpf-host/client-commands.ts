import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { type CallOptions, encode, inTask, layoutCommand } from './client-memory.ts';
import { type Commands, recv, replayOne, send, targetCommand } from './driver.ts';
import { summary } from './summary.ts';

export const TASKS = FLAG.SOCKET | FLAG.CONTEXTS | FLAG.TASK_SLOT | FLAG.TASK_TAG;
export const CLIENTS =
  FLAG.CLIENT_SOCKET | FLAG.CALLS | FLAG.WRITER_CONTEXT | FLAG.CLIENT_LIBRARY | FLAG.WRITES_SEEN;

export const run = (...commands: Commands) =>
  replayOne([targetCommand(TASKS | CLIENTS), layoutCommand(), inTask(7), ...commands]);

/** In task 7, which serves sockets; others are clients'. */
export const check = (name: string, commands: Commands, expected: readonly string[]) =>
  test(name, () => assert.deepEqual(summary(run(...commands)), expected));

export const MSG_DONTWAIT = 0x40;
export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
export const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;

/** A request of a server on socket 1, and its answer. */
export const serve = (path: string, socket = 1) => recv(get(path), { socket, flags: MSG_DONTWAIT });
export const answer = (socket = 1) => send(OK, { socket, flags: MSG_DONTWAIT });
export const CLIENT_SOCKET = 100;

/** Task 900, hyper's connection, encodes a call's head and writes it. Then task 7 goes on. */
export const written = (id: number, options: CallOptions = {}, socket = CLIENT_SOCKET): string[] => [
  inTask(900),
  ...encode(id, options),
  send(get('/x'), { socket, flags: MSG_DONTWAIT }),
  inTask(7),
];
export const responded = (text = OK, socket = CLIENT_SOCKET): string[] => [
  inTask(900),
  recv(text, { socket, flags: MSG_DONTWAIT }),
  inTask(7),
];
