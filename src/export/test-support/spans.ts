import { attributeKey } from '../../base/attribute-key.ts';
import { readConfig } from '../../config.ts';
import {
  type AttributeValue,
  type FlatAttributes,
  type Scope,
  SPAN_KIND,
  type SpanRecord,
  STATUS,
  type TracedProcess,
} from '../../spans/span.ts';
import type { ExportSettings } from '../settings.ts';

export const PROCESS: TracedProcess = {
  pid: 4711,
  resourceAttributes: { 'service.name': 'shop', 'process.pid': 4711 },
};
export const SCOPE: Scope = { name: 'hyper', version: '1.12.0' };

export function flat(attributes: Readonly<Record<string, AttributeValue>>): FlatAttributes {
  return Object.entries(attributes).flatMap(([name, value]) => [attributeKey(name), value]);
}

export function makeSpan(index: number, overrides: Partial<SpanRecord> = {}): SpanRecord {
  return {
    process: PROCESS,
    scope: SCOPE,
    kind: SPAN_KIND.server,
    name: 'GET /users/{id}',
    traceId0: 0x0af76519,
    traceId1: 0x16cd43dd,
    traceId2: 0x8448eb21 | 0,
    traceId3: index,
    spanId0: 0x00f067aa,
    spanId1: index,
    parentId0: 0,
    parentId1: 0,
    parentIsRemote: false,
    traceState: undefined,
    traceFlags: 1,
    startUnixSeconds: 1_700_000_000,
    startNanoseconds: 123_456_789,
    endUnixSeconds: 1_700_000_000,
    endNanoseconds: 124_000_000,
    status: STATUS.unset,
    statusMessage: undefined,
    attributes: SERVER_ATTRIBUTES,
    events: undefined,
    ...overrides,
  };
}

/** The 17 attributes of a usual server span. */
export const SERVER_ATTRIBUTES = flat({
  'http.request.method': 'GET',
  'url.path': '/users/1234',
  'url.query': 'page=2&sort=name',
  'url.scheme': 'http',
  'http.route': '/users/{id}',
  'http.response.status_code': 200,
  'network.protocol.version': '1.1',
  'server.address': 'shop.example.com',
  'server.port': 8080,
  'client.address': '10.1.2.3',
  'network.peer.address': '10.1.2.3',
  'network.peer.port': 51234,
  'user_agent.original': 'curl/8.5.0',
  'http.request.header.accept': ['*/*'],
  'http.request.body.size': 0,
  'http.response.body.size': 512,
  'thread.id': 4712,
});

export function testSettings(env: Readonly<Record<string, string>>): ExportSettings {
  return readConfig({ OTEL_BSP_SCHEDULE_DELAY: '5', ...env }).config;
}
