import {
  ATTR_CLIENT_ADDRESS,
  ATTR_ERROR_TYPE,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_SERVICE_NAME,
  ATTR_URL_FULL,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
} from '@opentelemetry/semantic-conventions';
import type { AttributeKey } from '../base/attribute-key.ts';
import {
  ATTR_RPC_RESPONSE_STATUS_CODE,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
} from '../base/rpc-keys.ts';
import type { AttributeValue, SpanRecord } from '../spans/span.ts';
import { spanIdHex, traceIdHex } from './span-ids.ts';

const ERROR = 2;
const CLIENT = 2;

/** SGR codes (ECMA-48, 8.3.117). */
const STYLES = { bold: '1', dim: '2', red: '31' } as const;
export type Paint = (text: string, style: keyof typeof STYLES) => string;

export function painter(colour: boolean): Paint {
  return colour ? (text, style) => `\x1b[${STYLES[style]}m${text}\x1b[0m` : (text) => text;
}

/** `16:04:05.678 shop  GET /users/{id}  200  1.23 ms  path=/users/7  0af76519:00f067aa` */
export function renderLine(span: SpanRecord, paint: Paint): string {
  const ids = paint(`${traceIdHex(span).slice(0, 8)}:${spanIdHex(span).slice(0, 8)}`, 'dim');
  return `${paint(timeOfDay(span), 'dim')} ${renderSpan(span, paint)}  ${ids}`;
}

/** Service, name, status, duration and the attributes that matter. */
export function renderSpan(span: SpanRecord, paint: Paint): string {
  const attributes = readAttributes(span);
  const failed = span.status === ERROR;
  const parts = [
    serviceOf(span).padEnd(8),
    nameOf(span, attributes).padEnd(20),
    outcome(attributes).padEnd(3),
    `${formatMilliseconds(durationMs(span))} ms`.padStart(10),
  ];
  const details = renderDetails(span, attributes);
  const head = parts.join('  ');
  const line = failed ? paint(head, 'red') : head;
  return details === '' ? line : `${line}  ${details}`;
}

type Attributes = ReadonlyMap<string, AttributeValue>;

function readAttributes(span: SpanRecord): Attributes {
  const found = new Map<string, AttributeValue>();
  for (let i = 0; i < span.attributes.length; i += 2) {
    found.set((span.attributes[i] as AttributeKey).name, span.attributes[i + 1] as AttributeValue);
  }
  return found;
}

const STATUS_CODES = [ATTR_HTTP_RESPONSE_STATUS_CODE, ATTR_RPC_RESPONSE_STATUS_CODE, ATTR_RPC_STATUS_CODE];

/** Those of remote procedure calls begin with their system. */
function nameOf(span: SpanRecord, attributes: Attributes): string {
  const system = attributes.get(ATTR_RPC_SYSTEM_NAME);
  const name = system === undefined || system === span.name ? span.name : `${system} ${span.name}`;
  return `${span.kind === CLIENT ? '→ ' : ''}${printable(name)}`;
}

/** The status code, or `-` when none was seen. */
function outcome(attributes: Attributes): string {
  const codes = STATUS_CODES.map((name) => attributes.get(name));
  return printable(String(codes.find((code) => code !== undefined) ?? '-'));
}

function renderDetails(span: SpanRecord, attributes: Attributes): string {
  const query = attributes.get(ATTR_URL_QUERY);
  const path = attributes.get(ATTR_URL_PATH);
  const scheme = attributes.get(ATTR_URL_SCHEME);
  const details: readonly (readonly [string, AttributeValue | undefined])[] = [
    ['error', attributes.get(ATTR_ERROR_TYPE)],
    ['message', span.statusMessage],
    ['path', query === undefined || path === undefined ? path : `${path}?${query}`],
    ['url', attributes.get(ATTR_URL_FULL)],
    ['scheme', scheme === 'http' ? undefined : scheme],
    ['client', attributes.get(ATTR_CLIENT_ADDRESS)],
  ];
  return details
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([label, value]) => `${label}=${printable(String(value))}`)
    .join(' ');
}

export function serviceOf(span: SpanRecord): string {
  return printable(String(span.process.resourceAttributes[ATTR_SERVICE_NAME] ?? span.process.pid));
}

/** What came over the network must not steer the terminal: control characters are shown as `\x1b`. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (unit) => `\\x${unit.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Local time with milliseconds. */
export function timeOfDay(span: SpanRecord): string {
  const date = new Date(span.startUnixSeconds * 1_000 + Math.floor(span.startNanoseconds / 1e6));
  const two = (value: number) => String(value).padStart(2, '0');
  const seconds = `${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`;
  return `${two(date.getHours())}:${two(date.getMinutes())}:${seconds}`;
}

export function durationMs(span: SpanRecord): number {
  const seconds = span.endUnixSeconds - span.startUnixSeconds;
  return seconds * 1_000 + (span.endNanoseconds - span.startNanoseconds) / 1e6;
}

/** Three digits that count: `0.123`, `1.23`, `12.3`, `123`, `1234`. */
function formatMilliseconds(milliseconds: number): string {
  const decimals = milliseconds < 1 ? 3 : milliseconds < 10 ? 2 : milliseconds < 100 ? 1 : 0;
  return milliseconds.toFixed(decimals);
}
