import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { effectiveCapabilities, hasCapability } from './capabilities.ts';
import { findCgroup2 } from './cgroup.ts';
import { propagationCheck } from './checks.ts';
import { visitConnections } from './sockets.ts';

test('cgroup v2: the mount of the whole tree, wherever it is', () => {
  const line = (root: string, folder: string, type: string) =>
    `30 23 0:26 ${root} ${folder} rw,nosuid shared:9 - ${type} none rw`;
  const hybrid = [line('/', '/sys/fs/cgroup/cpu', 'cgroup'), line('/', '/sys/fs/cgroup/unified', 'cgroup2')];
  assert.equal(findCgroup2(hybrid.join('\n')), '/sys/fs/cgroup/unified');
  assert.equal(findCgroup2(line('/', '/a\\040b\\134c', 'cgroup2')), '/a b\\c');
  assert.equal(findCgroup2(line('/pod', '/sys/fs/cgroup', 'cgroup2')), undefined);
  assert.equal(findCgroup2('30 23 0:26 / /x rw - tmpfs cgroup2 rw'), undefined);
  assert.equal(findCgroup2(''), undefined);
});

test('what is missing for trace context takes nothing else away', () => {
  const need = { id: 'cgroup2', title: 'cgroup v2', ok: false, found: 'not mounted' };
  const check = propagationCheck(need);
  assert.deepEqual([check.verdict, check.found], ['reduced', 'not mounted']);
  assert.match(check.meaning, /all else works without/);
  assert.equal(propagationCheck({ ...need, ok: true }).verdict, 'ok');
});

const canLook = hasCapability(effectiveCapabilities(), 'CAP_SYS_PTRACE');

test('the connections that a process has begun, not those it has accepted', {
  skip: canLook ? false : 'needs CAP_SYS_PTRACE',
}, async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
  t.after(() => {
    client.destroy();
    accepted[0].destroy();
    server.close();
  });
  const seen: bigint[] = [];
  visitConnections(process.pid, ({ cookie }) => seen.push(cookie));
  assert.equal(seen.length, 1);
  assert.notEqual(seen[0], 0n);
  client.destroy();
  visitConnections(process.pid, ({ cookie }) => seen.push(cookie));
  assert.equal(seen.length, 1);
  visitConnections(2 ** 22, () => assert.fail('no such process has sockets'));
});
