/**
 * What generate-layouts.mjs builds. Which members it asks each program's DWARF for is in src/libraries/<library>/members.json:
 * the agent asks a program that has DWARF itself.
 */
import axum from '../../src/libraries/axum/members.json' with { type: 'json' };
import h2Questions from '../../src/libraries/h2/members.json' with { type: 'json' };
import http from '../../src/libraries/http/members.json' with { type: 'json' };
import hyper from '../../src/libraries/hyper/members.json' with { type: 'json' };
import reqwest from '../../src/libraries/reqwest/members.json' with { type: 'json' };
import tokioQuestions from '../../src/libraries/tokio/members.json' with { type: 'json' };

/** Field order is the compiler's choice: one row for each of these that can build the version. */
export const OLD_RUSTC = '1.75.0';
export const NEW_RUSTC = '1.95.0';
/** std's thread-local storage changed between these. */
const BETWEEN = ['1.70.0', '1.77.2', '1.79.0', '1.80.1', '1.81.0', '1.85.1', '1.90.0'];

const H2 = [
  ...[16, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27].map((patch) => `0.3.${patch}`),
  ...Array.from({ length: 21 }, (_, patch) => `0.4.${patch}`),
];
const h2 = (version) => ({
  h2: { version },
  http: version.startsWith('0.3') ? '0.2' : '1',
  bytes: '1',
  tokio: '1',
});

const tokio = (features) => (version) => ({ tokio: { version, features } });

const HYPER_014 = '0 2 4 8 12 14 15 16 17 18 19 20 23 24 26 27 28 30 32'
  .split(' ')
  .map((patch) => `0.14.${patch}`);
const hyper014 = (features) => (version) => ({
  hyper: { version, features },
  tokio: { version: '1', features: ['rt', 'io-util'] },
});
const hyper1 = (features) => (version) => ({ hyper: { version, features } });

const client014 = (features) => (version) => ({
  hyper: { version, features },
  tokio: { version: '1', features: ['rt', 'io-util'] },
});
const client1 = (features) => (version) => ({ hyper: { version, features } });
const HYPER_1 = '0.1 1.0 2.0 3.1 4.0 4.1 5.2 6.0 7.0 8.1 9.0 10.1 11.1 12.0'
  .split(' ')
  .map((patch) => `1.${patch}`);

/** `versions` are built with the newest compiler, `old` with an old one, `compilers` with those named. */
export const LIBRARIES = [
  {
    library: 'tokio',
    program: 'tokio.rs',
    variants: { 'rt-multi-thread': tokio(['rt-multi-thread']) },
    versions: [
      '1.24.2',
      '1.28.2',
      '1.29.1',
      '1.30.0',
      '1.31.0',
      '1.32.1',
      '1.36.0',
      '1.37.0',
      '1.38.2',
      '1.39.3',
      '1.40.0',
      '1.44.2',
      '1.48.0',
      '1.54.1',
    ],
    old: ['1.24.2', '1.28.2', '1.32.1', '1.36.0', '1.40.0', '1.44.2', '1.48.0'],
    compilers: { '1.28.2': BETWEEN, '1.40.0': BETWEEN },
    members: tokioQuestions.layouts,
  },
  {
    library: 'tokio',
    program: 'tokio.rs',
    variants: { full: tokio(['full']) },
    versions: ['1.28.2', '1.40.0', '1.54.1'],
    old: ['1.28.2', '1.40.0'],
    members: tokioQuestions.layouts,
  },
  {
    library: 'tokio',
    program: 'tokio_current_thread.rs',
    variants: { rt: tokio(['rt']) },
    versions: ['1.28.2', '1.40.0', '1.54.1'],
    old: ['1.28.2', '1.40.0'],
    members: tokioQuestions.layouts,
  },
  {
    library: 'hyper',
    program: 'hyper014.rs',
    variants: { 'server http1 runtime': hyper014(['server', 'http1', 'runtime']) },
    versions: HYPER_014,
    old: ['0.14.14', '0.14.20', '0.14.27', '0.14.32'],
    members: hyper.layouts,
  },
  {
    library: 'hyper',
    program: 'hyper014.rs',
    variants: { 'server http1': hyper014(['server', 'http1']), full: hyper014(['full']) },
    versions: ['0.14.14', '0.14.20', '0.14.32'],
    old: ['0.14.32'],
    members: hyper.layouts,
  },
  {
    library: 'hyper',
    program: 'hyper1.rs',
    variants: { 'server http1': hyper1(['server', 'http1']) },
    versions: HYPER_1,
    old: ['1.0.1', '1.3.1', '1.5.2', '1.6.0', '1.8.1'],
    members: hyper.layouts,
  },
  {
    library: 'hyper',
    program: 'hyper1.rs',
    variants: { full: hyper1(['full']) },
    versions: ['1.0.1', '1.5.2', '1.6.0', '1.12.0'],
    old: ['1.6.0'],
    members: hyper.layouts,
  },
  {
    library: 'axum',
    program: 'axum.rs',
    variants: {
      'matched-path': (version) => ({
        axum: { version, 'default-features': false, features: ['matched-path'] },
        http: version.startsWith('0.6') ? '0.2' : '1',
        'tower-service': '0.3',
      }),
    },
    versions: ['0.6.1', '0.6.20', '0.7.0', '0.7.9', '0.8.0', '0.8.9'],
    old: ['0.6.20', '0.7.9', '0.8.0'],
    members: axum.layouts,
  },
  {
    library: 'hyper',
    table: 'client-layouts',
    program: 'hyper014_client.rs',
    variants: {
      'client http1': client014(['client', 'http1']),
      'client server http1': client014(['client', 'server', 'http1']),
      'client server http1 runtime': client014(['client', 'server', 'http1', 'runtime']),
    },
    versions: HYPER_014,
    old: ['0.14.14', '0.14.20', '0.14.27', '0.14.32'],
    members: hyper['client-layouts'],
  },
  {
    library: 'hyper',
    table: 'client-layouts',
    program: 'hyper1_client.rs',
    variants: {
      'client http1': client1(['client', 'http1']),
      'client server http1': client1(['client', 'server', 'http1']),
    },
    versions: HYPER_1,
    old: ['1.0.1', '1.3.1', '1.5.2', '1.6.0', '1.8.1'],
    members: hyper['client-layouts'],
  },
  {
    library: 'http',
    program: 'http.rs',
    variants: { default: (version) => ({ http: { version } }) },
    versions: '0.2.0 0.2.1 0.2.4 0.2.6 0.2.8 0.2.9 0.2.11 0.2.12 1.0.0 1.1.0 1.2.0 1.3.1 1.4.0 1.5.0'.split(
      ' ',
    ),
    old: ['0.2.6', '0.2.9', '0.2.12', '1.0.0', '1.1.0', '1.2.0', '1.3.1'],
    compilers: { '0.2.12': BETWEEN.slice(1), '1.1.0': BETWEEN.slice(1) },
    members: http.layouts,
  },
  {
    library: 'h2',
    program: 'h2.rs',
    variants: { default: h2 },
    versions: H2,
    old: H2, // the store's place differs by version, that of a Vec's pointer by compiler
    compilers: { '0.3.26': BETWEEN.slice(1), '0.4.5': BETWEEN.slice(1) },
    members: h2Questions.layouts,
  },
  {
    library: 'reqwest',
    program: 'reqwest.rs',
    variants: {
      blocking: (version) => ({
        reqwest: { version, 'default-features': false, features: ['blocking'] },
      }),
    },
    versions:
      '0.11.10 0.11.14 0.11.18 0.11.23 0.11.27 0.12.4 0.12.9 0.12.15 0.12.22 0.12.28 0.13.1 0.13.5'.split(
        ' ',
      ),
    old: ['0.11.18', '0.11.27', '0.12.4', '0.12.9'],
    members: reqwest.layouts,
  },
];
