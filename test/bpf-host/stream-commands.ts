import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { type CallOptions, entriesAt, inTask, newTask } from './client-memory.ts';
import { type Commands, replayOne, targetCommand } from './driver.ts';
import {
  type FrameOptions,
  recvHeaders,
  sendHeaders,
  sendTrailers,
  streamLayout,
  takeRequest,
} from './stream-memory.ts';
import { summary } from './summary.ts';

export const TASKS = FLAG.CONTEXTS | FLAG.TASK_SLOT | FLAG.TASK_TAG;
export const STREAMS = FLAG.STREAMS | FLAG.CLIENT_STREAMS | FLAG.CALLS | TASKS;

/** The task of a connection, which reads and accepts. */
export const CONNECTION_TASK = 7;

export const run = (...commands: Commands) =>
  replayOne([targetCommand(STREAMS), streamLayout(), inTask(CONNECTION_TASK), ...commands]);

export const check = (name: string, commands: Commands, expected: readonly string[]) =>
  test(name, () => assert.deepEqual(summary(run(...commands)), expected));

export const GET: FrameOptions = { method: 1, scheme: 'http', authority: 'h', path: '/a' };
export const RPC: FrameOptions = { ...GET, method: 2, path: '/s/m' };

export const GET_SEEN = 'GET http h /a';
export const RPC_SEEN = 'POST http h /s/m';

/** A server's connection accepts the stream, and makes the task for it. */
export const accept = (connection: number, id: number, task: number): string[] => [
  ...takeRequest(connection, id),
  newTask(task),
];

/** The stream is received and handled in the task of that number. */
export const served = (connection: number, id: number, task: number, frame: FrameOptions = GET): string[] => [
  ...recvHeaders(connection, id, frame),
  ...accept(connection, id, task),
];

/** In a stream's task. */
export const answered = (connection: number, id: number, status = 200): string[] =>
  sendHeaders(connection, id, { status });
export const grpcAnswered = (connection: number, id: number): string[] => [
  ...answered(connection, id),
  ...sendTrailers(connection, id, { headers: [['grpc-status', '0']] }),
];

/** The client's connection gives the call of that number to a stream. */
export const carried = (
  call: number,
  connection: number,
  id: number,
  options: CallOptions = {},
  frame: FrameOptions = GET,
): string[] => [
  inTask(900),
  ...sendHeaders(connection, id, { ...frame, entries: entriesAt(call, options) }),
  inTask(CONNECTION_TASK),
];
