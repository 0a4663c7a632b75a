/** What generate-layouts.mjs builds and which members it asks each program's DWARF for. */

/** Field order is the compiler's choice: one row for each of these that can build the version. */
export const OLD_RUSTC = '1.75.0';
export const NEW_RUSTC = '1.95.0';
/** std's thread-local storage changed between these. */
const BETWEEN = ['1.70.0', '1.77.2', '1.79.0', '1.80.1', '1.81.0', '1.85.1', '1.90.0'];

const CONTEXT = 'tokio::runtime::context::Context';
/** What a `thread_local!` holds its value in, by version of std; the symbol's size tells which one it is. */
const STORAGE = [
  CONTEXT,
  `std::sys::thread_local::native::eager::Storage<${CONTEXT}>`,
  `std::sys::thread_local::native::lazy::Storage<${CONTEXT}, ()>`,
  `std::sys::thread_local::fast_local::eager::Storage<${CONTEXT}>`,
  `std::sys::thread_local::fast_local::lazy::Storage<${CONTEXT}, ()>`,
  `std::sys::thread_local::fast_local::Key<${CONTEXT}>`,
  `std::sys::pal::common::thread_local::fast_local::Key<${CONTEXT}>`,
  `std::sys::common::thread_local::fast_local::Key<${CONTEXT}>`,
  `std::sys::common::thread_local::fast_local::fast::Key<${CONTEXT}>`,
];

const hyperMember = (type, ...path) => ({ types: [`hyper::proto::${type}`], path });
const ENCODE = 'h1::Encode<http::status::StatusCode>';
const hyperMembers = {
  parseContextReqMethod: hyperMember('h1::ParseContext', 'req_method'),
  encodeHead: hyperMember(ENCODE, 'head'),
  encodeReqMethod: hyperMember(ENCODE, 'req_method'),
  headStatus: hyperMember('MessageHead<http::status::StatusCode>', 'subject'),
  bytesMutPointer: { types: ['bytes::bytes_mut::BytesMut'], path: ['ptr'] },
  bytesMutLength: { types: ['bytes::bytes_mut::BytesMut'], path: ['len'] },
};

const HEAD = 'MessageHead<hyper::proto::RequestLine>';
const CLIENT_ENCODE = 'h1::Encode<hyper::proto::RequestLine>';
const ENTRIES = ['headers', 'entries', 'buf', '?inner'];
const TEXT = ['data', 'bytes']; // of an Authority and of a PathAndQuery: a Bytes
const hyperClientMembers = {
  clientEncodeHead: hyperMember(CLIENT_ENCODE, 'head'),
  clientEncodeReqMethod: hyperMember(CLIENT_ENCODE, 'req_method'),
  clientHeadEntries: hyperMember(HEAD, ...ENTRIES, 'ptr'),
  clientHeadPath: hyperMember(HEAD, 'subject', '@1', 'path_and_query', ...TEXT, 'ptr'),
  clientHeadPathLength: hyperMember(HEAD, 'subject', '@1', 'path_and_query', ...TEXT, 'len'),
  clientParseReqMethod: hyperMember('h1::ParseContext', 'req_method'),
  bytesMutPointer: { types: ['bytes::bytes_mut::BytesMut'], path: ['ptr'] },
  bytesMutLength: { types: ['bytes::bytes_mut::BytesMut'], path: ['len'] },
};

const part = (...path) => ({ types: ['http::request::Parts'], path });
const httpMembers = {
  requestHead: {
    types: ['http::request::Request<alloc::vec::Vec<u8, alloc::alloc::Global>>'],
    path: ['head'],
  },
  requestHeadSmall: { types: ['http::request::Request<()>'], path: ['head'] },
  requestHeadLarge: { types: ['http::request::Request<[u64; 64]>'], path: ['head'] },
  requestUri: part('uri'),
  requestMethod: part('method'),
  requestScheme: part('uri', 'scheme'),
  requestAuthority: part('uri', 'authority', ...TEXT, 'ptr'),
  requestAuthorityLength: part('uri', 'authority', ...TEXT, 'len'),
  requestPath: part('uri', 'path_and_query', ...TEXT, 'ptr'),
  requestPathLength: part('uri', 'path_and_query', ...TEXT, 'len'),
  requestEntries: part(...ENTRIES, 'ptr'),
  requestEntriesLength: part('headers', 'entries', 'len'),
  requestEntriesCapacity: part(...ENTRIES, 'cap'),
};

const BUCKET = 'http::header::map::Bucket<http::header::value::HeaderValue>';
const entry = (...path) => ({ types: [BUCKET], path });
const BYTES = '~bytes::bytes::Bytes';
const entryMembers = {
  entrySize: { ...entry(), size: true },
  entryName: entry('key', BYTES, 'ptr'),
  entryNameLength: entry('key', BYTES, 'len'),
  entryNameCustom: entry('key', 'inner', '#'),
  entryNameTag: entry('key', '~http::header::name::StandardHeader'),
  entryValue: entry('value', BYTES, 'ptr'),
  entryValueLength: entry('value', BYTES, 'len'),
};

const frame = (...path) => ({ types: ['h2::frame::headers::Headers'], path: ['header_block', ...path] });
const pseudo = (...path) => frame('pseudo', ...path);
const streamPtr = (...path) => ({ types: ['h2::proto::streams::store::Ptr'], path });
const INNER = 'h2::proto::streams::streams::Inner';
const MUTEX = [`std::sync::poison::mutex::Mutex<${INNER}>`, `std::sync::mutex::Mutex<${INNER}>`];
const streamRef = (...path) => ({
  types: ['h2::proto::streams::streams::StreamRef<bytes::bytes::Bytes>'],
  path,
});
const h2Members = {
  frameFields: frame('fields'),
  frameEntries: frame('fields', ...ENTRIES.slice(1), 'ptr'),
  frameEntriesLength: frame('fields', 'entries', 'len'),
  frameMethod: pseudo('method', '#'),
  frameScheme: pseudo('scheme', BYTES, 'ptr'),
  frameSchemeLength: pseudo('scheme', BYTES, 'len'),
  frameSchemePresent: pseudo('scheme', '#'),
  frameAuthority: pseudo('authority', BYTES, 'ptr'),
  frameAuthorityPresent: pseudo('authority', '#'),
  framePath: pseudo('path', BYTES, 'ptr'),
  framePathPresent: pseudo('path', '#'),
  frameProtocol: { ...pseudo('protocol', BYTES, 'ptr'), optional: true },
  frameProtocolPresent: { ...pseudo('protocol', '#'), optional: true },
  frameStatus: pseudo('status'),
  streamStore: streamPtr('store'),
  streamId: streamPtr('key', 'stream_id'),
  streamRefInner: streamRef('opaque', 'inner'),
  streamRefId: streamRef('opaque', 'key', 'stream_id'),
  streamRefLock: {
    types: MUTEX.map((mutex) => `alloc::sync::ArcInner<${mutex}>`),
    path: ['data'],
  },
  streamsInner: { types: ['h2::proto::streams::streams::DynStreams<bytes::bytes::Bytes>'], path: ['inner'] },
  innerStore: {
    types: MUTEX,
    path: ['data', '~h2::proto::streams::store::Store'],
  },
  goAwayLastId: { types: ['h2::frame::go_away::GoAway'], path: ['last_stream_id'] },
};

const URL = ['url', 'serialization', 'vec', 'buf', '?inner', 'ptr'];
const reqwestMembers = {
  requestUrl: { types: ['reqwest::async_impl::request::Request'], path: URL },
  blockingRequestUrl: { types: ['reqwest::blocking::request::Request'], path: ['inner', ...URL] },
};

const ARC = 'alloc::sync::Arc<str, alloc::alloc::Global>';
const MAP = 'std::collections::hash::map::HashMap';
const tables = [ARC, 'alloc::sync::Arc<str>'].flatMap((arc) => [
  `${MAP}<axum::routing::RouteId, ${arc}, std::hash::random::RandomState, alloc::alloc::Global>`,
  `${MAP}<axum::routing::RouteId, ${arc}, std::hash::random::RandomState>`,
  `${MAP}<axum::routing::RouteId, ${arc}, std::collections::hash::map::RandomState>`,
]);
const buckets = [`(axum::routing::RouteId, ${ARC})`, '(axum::routing::RouteId, alloc::sync::Arc<str>)'];
const table = (...path) => ({ types: tables, path: ['base', 'table', 'table', ...path] });
const bucket = (...path) => ({ types: buckets, path });

const tokioMembers = {
  context: { types: [CONTEXT], path: [] },
  taskId: { types: [CONTEXT], path: ['current_task_id', '~tokio::runtime::task::id::Id'] },
  taskIdOption: { types: [CONTEXT], path: ['current_task_id'] },
  ...Object.fromEntries(
    STORAGE.map((type) => [type, { types: [type], path: [`~${CONTEXT}`], optional: true }]),
  ),
};
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
    members: tokioMembers,
  },
  {
    library: 'tokio',
    program: 'tokio.rs',
    variants: { full: tokio(['full']) },
    versions: ['1.28.2', '1.40.0', '1.54.1'],
    old: ['1.28.2', '1.40.0'],
    members: tokioMembers,
  },
  {
    library: 'tokio',
    program: 'tokio_current_thread.rs',
    variants: { rt: tokio(['rt']) },
    versions: ['1.28.2', '1.40.0', '1.54.1'],
    old: ['1.28.2', '1.40.0'],
    members: tokioMembers,
  },
  {
    library: 'hyper',
    program: 'hyper014.rs',
    variants: { 'server http1 runtime': hyper014(['server', 'http1', 'runtime']) },
    versions: HYPER_014,
    old: ['0.14.14', '0.14.20', '0.14.27', '0.14.32'],
    members: hyperMembers,
  },
  {
    library: 'hyper',
    program: 'hyper014.rs',
    variants: { 'server http1': hyper014(['server', 'http1']), full: hyper014(['full']) },
    versions: ['0.14.14', '0.14.20', '0.14.32'],
    old: ['0.14.32'],
    members: hyperMembers,
  },
  {
    library: 'hyper',
    program: 'hyper1.rs',
    variants: { 'server http1': hyper1(['server', 'http1']) },
    versions: HYPER_1,
    old: ['1.0.1', '1.3.1', '1.5.2', '1.6.0', '1.8.1'],
    members: hyperMembers,
  },
  {
    library: 'hyper',
    program: 'hyper1.rs',
    variants: { full: hyper1(['full']) },
    versions: ['1.0.1', '1.5.2', '1.6.0', '1.12.0'],
    old: ['1.6.0'],
    members: hyperMembers,
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
    members: {
      controlPointer: table('ctrl'),
      bucketMask: table('bucket_mask'),
      hasherKeys: { types: tables, path: ['base', 'hash_builder', 'k0'] },
      bucketSize: { ...bucket(), size: true },
      routeId: bucket('@0'),
      templatePointer: bucket('@1', 'ptr', 'pointer', 'data_ptr'),
      templateLength: bucket('@1', 'ptr', 'pointer', 'length'),
      arcHeader: { types: ['alloc::sync::ArcInner<str>'], path: ['data'] },
    },
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
    members: hyperClientMembers,
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
    members: hyperClientMembers,
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
    members: { ...httpMembers, ...entryMembers },
  },
  {
    library: 'h2',
    program: 'h2.rs',
    variants: { default: h2 },
    versions: H2,
    old: H2, // the store's place differs by version, that of a Vec's pointer by compiler
    compilers: { '0.3.26': BETWEEN.slice(1), '0.4.5': BETWEEN.slice(1) },
    members: h2Members,
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
    members: reqwestMembers,
  },
];
