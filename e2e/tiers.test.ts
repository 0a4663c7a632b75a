import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tier } from './support/agent.ts';
import { type Comparable, comparable, report } from './support/compare.ts';
import { runLoad } from './support/load.ts';
import { Session } from './support/session.ts';
import type { Program } from './support/target.ts';

const REQUESTS = 3_000;
/** A reset may come before the server has read the request, so its span is a matter of luck. */
const WITHOUT = ['reset'];

for (const program of ['axum08', 'axum06', 'hyper1', 'hyper014'] as const) {
  test(`${program}: socket and library tier give the same spans for the same requests`, async () => {
    const socket = await spansOf(program, 'socket');
    const library = await spansOf(program, 'library');
    assert.ok(socket.size > REQUESTS / 2, `only ${socket.size} spans`);
    const ids = new Set([...socket.keys(), ...library.keys()]);
    report([...ids].flatMap((id) => difference(id, socket.get(id), library.get(id))));
  });
}

async function spansOf(program: Program, tier: Tier): Promise<ReadonlyMap<string, Comparable>> {
  using session = await Session.start({ program }, { tier });
  const records = await runLoad(session.target, { count: REQUESTS, seed: 7, without: WITHOUT });
  assert.ok(records.every((record) => record.error === null));
  return comparable(await session.finish());
}

/** Names what differs, with both values. */
function difference(id: string, socket: Comparable | undefined, library: Comparable | undefined): string[] {
  if (!socket || !library)
    return [`request ${id}: only the ${socket ? 'socket' : 'library'} tier has a span`];
  const keys = new Set([...Object.keys(socket), ...Object.keys(library)]);
  return [...keys]
    .filter((key) => JSON.stringify(socket[key]) !== JSON.stringify(library[key]))
    .map(
      (key) =>
        `request ${id} - -: ${key} is ${JSON.stringify(socket[key])} and ${JSON.stringify(library[key])}`,
    );
}
