import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { planCommand } from './plan.ts';

const folder = mkdtempSync(join(tmpdir(), 'otel-rust-agent-plan-command-'));
after(() => rmSync(folder, { recursive: true }));
const FIXTURES = new URL('../../../fixtures/', import.meta.url);

function unpack(name: string): string {
  const path = join(folder, name.replaceAll('/', '-'));
  writeFileSync(path, gunzipSync(readFileSync(new URL(`${name}.gz`, FIXTURES))));
  return path;
}

async function output(name: string, json: boolean, tier?: 'library'): Promise<string> {
  let text = '';
  const options = tier === undefined ? { json } : { json, tier };
  assert.equal(await planCommand(unpack(name), options, (part) => (text += part)), 0);
  return text;
}

test('--json is the golden plan, byte for byte', async () => {
  const golden = readFileSync(new URL('plans/axum08.plan.json', FIXTURES), 'utf8');
  assert.equal(await output('plans/axum08', true), golden);
});

test('the text says what a user gets, the sites, and the layouts', async () => {
  const text = await output('plans/axum08', false);
  assert.match(text, /^ {2}HTTP\/1 server spans: yes, from sockets \(/m);
  assert.match(text, /^ {2}HTTPS server spans: yes, from probes in the program \(rustls is linked/m);
  assert.match(
    text,
    /^Probe sites: 22\n {2}hyper\.server\.parse {2}0x[0-9a-f]+ {2}push rbp {2}\(emulated\)$/m,
  );
  assert.match(text, /^ {2}HTTP\/2 and gRPC server spans: yes, from probes in the program \(h2 gives/m);
  assert.match(text, /^ {2}h2: entrySize 104, /m);
  assert.match(text, /^ {2}Tokio task id: fs - 0x178, tag none \(0 = no task\), id 48$/m);
  assert.doesNotMatch(text, /^Missing/m);
});

test('a stripped program: what tells, and what is missing', async () => {
  const text = await output('plans/axum08-stripped', false);
  assert.match(text, /^ {2}routes: yes, from probes in the program/m);
  assert.match(text, /^ {2}HTTPS client spans: no \(it is stripped, and no code of a TLS client/m);
  assert.match(text, /^ {2}HTTPS server spans: yes, from probes in the program \(rustls is linked/m);
  assert.match(
    text,
    /^ {4}no symbol, but panic locations at line 189, .* pointers in rsi and rdx, \d+ bytes/m,
  );
  assert.match(text, /^ {4}no symbol, but has the text "\/\{\*__private__axum_nest_tail_param\}", /m);
  assert.match(
    text,
    /^ {4}no symbol, but line 306 of recv\.rs and nothing from elsewhere, arguments in rdx, /m,
  );
  assert.match(text, /^ {2}axum 0\.8\.9$/m);
});

test('a tier can be asked for', async () => {
  assert.match(
    await output('plans/actix4', false, 'library'),
    /^ {2}HTTP\/1 server spans: no \(.*hyper was not found in it\)$/m,
  );
});

test('a C program, and a Rust program that serves nothing, are UserErrors', async () => {
  await assert.rejects(output('binaries/c-pie', false), { name: 'UserError', message: /not a Rust program/ });
  await assert.rejects(output('binaries/rust-small', false), {
    name: 'UserError',
    message: /without any library we know and without a network socket; it holds/,
  });
});
