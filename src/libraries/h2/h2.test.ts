import assert from 'node:assert/strict';
import test from 'node:test';
import { crate, factsWith } from '../../plan/facts-for-tests.ts';
import { STREAM_HOOKS } from './h2.ts';
import { streamLayout } from './layout.ts';

const facts = (h2: string, http: string, rustc = '1.95.0') =>
  factsWith({
    crates: [crate('h2', h2), crate('http', http)],
    rustc: { version: rustc, commit: undefined, evidence: '' },
  });

test('cookies name the registers of the frame and of the stream', () => {
  const registers = Object.fromEntries(STREAM_HOOKS.map(({ program, register }) => [program, register]));
  assert.deepEqual(registers, {
    h2_recv_headers: 0x12, // rdx, rcx
    h2_recv_trailers: 0x12,
    h2_send_headers: 0x16, // rsi, rcx
    h2_send_reset: 0x86, // rsi, r8
    h2_cancel: 0x60, // rsi
    h2_recv_reset: 0x62, // rdx, rsi
    h2_closed: 0x70, // rdi
    h2_go_away: 0x62,
  });
});

test('a layout is one of headers and one of frames', () => {
  const found = streamLayout(facts('0.4.20', '1.3.1'));
  assert('value' in found);
  const { entrySize, entryName, frameScheme, frameTextPresent, refStore, innerStore } = found.value;
  assert.deepEqual(
    { entrySize, entryName, frameScheme, frameTextPresent, refStore, innerStore },
    // A text's word that tells whether there is one lies before its pointer.
    {
      entrySize: 104,
      entryName: 72,
      frameScheme: 128,
      frameTextPresent: 0xfff8,
      refStore: 472,
      innerStore: 456,
    },
  );
  assert.match(found.evidence, /h2 0\.4\.20, rustc 1\.95\.0; http 1\.3\.1, rustc 1\.95\.0/);
});

test('versions of h2 and http that are not known are refused', () => {
  const reason = (h2: string, http: string) => {
    const found = streamLayout(facts(h2, http));
    return 'missing' in found ? found.missing : undefined;
  };
  assert.match(reason('0.2.7', '0.2.12') ?? '', /h2 0\.2\.7 is older than what was measured/);
  assert.match(reason('0.3.15', '0.2.12') ?? '', /older/);
  assert.match(reason('0.5.0', '1.3.1') ?? '', /the layout of h2 0\.5\.0 is not known/);
  assert.match(reason('0.3.27', '0.2.8') ?? '', /http 0\.2\.8 numbers its standard headers/);
  assert.equal(reason('0.3.27', '0.2.12'), undefined);
});
