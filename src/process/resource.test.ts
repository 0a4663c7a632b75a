import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uuidV5 } from './instance-id.ts';
import type { Process, ProcessDetails } from './process.ts';
import { type ProgramFacts, type ResourceContext, tracedProcess } from './resource.ts';
import { parseResourceAttributes } from './resource-attributes.ts';

const shop: Process = {
  pid: 4242,
  startTicks: 987654,
  executable: {
    path: '/opt/bin/shop',
    name: 'shop',
    device: 1,
    inode: 2,
    deleted: false,
    openPath: '/proc/4242/exe',
  },
};
const context: ResourceContext = {
  host: { name: 'web-1', id: 'ab'.repeat(16), arch: 'amd64', bootId: 'b00t' },
  versions: { agent: '1.2.3', sdk: '2.12.1' },
  serviceName: undefined,
  resourceAttributes: {},
};
const program: ProgramFacts = { serviceVersion: undefined, rustcVersion: '1.95.0' };

function details(environment: Record<string, string> = {}, cgroup = ''): ProcessDetails {
  return {
    commandLine: ['shop', '--token=x'],
    uid: 0,
    cgroup,
    mountInfo: '',
    mountNamespace: undefined,
    environment: new Map(Object.entries(environment)),
  };
}
const attributesOf = (given: ProcessDetails, changed: Partial<ResourceContext> = {}) =>
  tracedProcess(shop, given, program, { ...context, ...changed }).resourceAttributes;

test('all attributes of a plain process', () => {
  assert.deepEqual(tracedProcess(shop, details(), program, context), {
    pid: 4242,
    resourceAttributes: {
      'host.name': 'web-1',
      'host.id': 'ab'.repeat(16),
      'host.arch': 'amd64',
      'os.type': 'linux',
      'service.instance.id': uuidV5(`${'ab'.repeat(16)}/b00t/4242/987654`),
      'service.name': 'shop',
      'process.pid': 4242,
      'process.executable.name': 'shop',
      'process.executable.path': '/opt/bin/shop',
      'process.command_args': ['shop', '--token=REDACTED'],
      'process.runtime.name': 'rustc',
      'process.runtime.version': '1.95.0',
      'telemetry.sdk.language': 'rust',
      'telemetry.sdk.name': 'opentelemetry',
      'telemetry.sdk.version': '2.12.1',
      'telemetry.distro.name': 'otel-rust-agent',
      'telemetry.distro.version': '1.2.3',
    },
  });
});

test('service.name: each source beats the next', () => {
  const own = details({ OTEL_SERVICE_NAME: 'own', OTEL_RESOURCE_ATTRIBUTES: 'service.name=listed' });
  const agentList = { resourceAttributes: { 'service.name': 'agent-list' } };
  assert.equal(attributesOf(own, { serviceName: 'agent', ...agentList })['service.name'], 'agent');
  assert.equal(attributesOf(own, agentList)['service.name'], 'agent-list');
  assert.equal(attributesOf(own)['service.name'], 'own');
  assert.equal(
    attributesOf(details({ OTEL_RESOURCE_ATTRIBUTES: 'service.name=listed' }))['service.name'],
    'listed',
  );
  assert.equal(attributesOf(details({ OTEL_SERVICE_NAME: '' }))['service.name'], 'shop');
});

test('configured attributes beat detected ones, but not facts', () => {
  const own = details({ OTEL_RESOURCE_ATTRIBUTES: 'host.name=pretty,process.pid=1,team=a,zone=own' });
  const attributes = attributesOf(own, { resourceAttributes: { team: 'b', 'telemetry.sdk.name': 'x' } });
  assert.deepEqual(
    ['host.name', 'process.pid', 'team', 'zone', 'telemetry.sdk.name'].map((key) => attributes[key]),
    ['pretty', 4242, 'b', 'own', 'opentelemetry'],
  );
});

test('unknown is absent', () => {
  const bare = { ...details(), commandLine: [] };
  const { resourceAttributes } = tracedProcess(
    shop,
    bare,
    { serviceVersion: undefined, rustcVersion: undefined },
    { ...context, host: { name: 'h', id: undefined, arch: 'amd64', bootId: undefined } },
  );
  for (const key of [
    'process.command_args',
    'process.runtime.version',
    'service.version',
    'host.id',
    'container.id',
  ]) {
    assert(!(key in resourceAttributes), key);
  }
});

test('kubernetes: the cgroup and what the pod specification put into the environment', () => {
  const uid = '0b1f3d5a-7c9e-4b2d-8f60-123456789abc';
  const id = 'c0ffee00'.repeat(8);
  const environment = {
    K8S_POD_NAME: 'shop-1',
    OTEL_RESOURCE_ATTRIBUTES_NODE_NAME: 'node-a',
    K8S_POD_UID: 'other',
    HOSTNAME: 'not-me',
  };
  const attributes = attributesOf(details(environment, `0::/kubepods/pod${uid}/${id}`));
  const places = Object.entries(attributes).filter(([key]) => /^(k8s|container)\./.test(key));
  assert.deepEqual(Object.fromEntries(places), {
    'k8s.pod.name': 'shop-1',
    'k8s.pod.uid': uid,
    'k8s.node.name': 'node-a',
    'container.id': id,
  });
});

test('service.instance.id is stable and different for each process', () => {
  const id = (changed: Partial<Process>) =>
    tracedProcess({ ...shop, ...changed }, details(), program, context).resourceAttributes[
      'service.instance.id'
    ];
  assert.equal(id({}), id({}));
  assert.notEqual(id({}), id({ pid: 4243 }));
  assert.notEqual(id({}), id({ startTicks: 987655 }));
});

test('UUID version 5: the example of RFC 9562, appendix A.4', () => {
  const dns = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
  assert.equal(uuidV5('www.example.com', dns), '2ed6657d-e927-568b-95e1-2665a8aea6a2');
});

test('OTEL_RESOURCE_ATTRIBUTES is percent-decoded and dropped as a whole when broken', () => {
  assert.deepEqual(parseResourceAttributes('a=1%2C2, b = x%20y ,c='), { a: '1,2', b: 'x y', c: '' });
  for (const broken of ['a=1,b', 'a=1,=2', 'a=%zz', 'a=1,%=2'])
    assert.deepEqual(parseResourceAttributes(broken), {});
});
