/** The crates whose line spans generate-spans.mjs takes, and the files of them that are of interest. */

/** `1.4.0 1.4.1` for `1.4.0-1`: a release and how many patches it has. */
const releases = (text) =>
  text.split(' ').flatMap((one) => {
    const [first, last] = one.split('-');
    const [major, minor, patch] = first.split('.').map(Number);
    const patches = Array.from({ length: Number(last ?? patch) - patch + 1 }, (_, index) => patch + index);
    return patches.map((number) => `${major}.${minor}.${number}`);
  });

export const CRATES = {
  hyper: {
    versions: releases(
      '0.14.0-32 1.0.0-1 1.1.0 1.2.0 1.3.0-1 1.4.0-1 1.5.0-2 1.6.0 1.7.0 1.8.0-1 1.9.0 1.10.0-1 1.11.0-1 1.12.0',
    ),
    files: ['src/proto/h1/role.rs', 'src/proto/h1/conn.rs', 'src/client/client.rs', 'src/client/dispatch.rs'],
  },
  'hyper-util': {
    versions: releases('0.1.0-21'),
    files: ['src/client/legacy/client.rs'],
  },
  h2: {
    versions: releases('0.3.16-27 0.4.0-20'),
    files: [
      'src/proto/streams/recv.rs',
      'src/proto/streams/send.rs',
      'src/proto/streams/streams.rs',
      'src/proto/streams/counts.rs',
      'src/proto/streams/prioritize.rs',
      'src/proto/streams/store.rs',
      'src/proto/streams/buffer.rs',
      'src/proto/peer.rs',
      'src/server.rs',
      'src/client.rs',
    ],
  },
  http: {
    versions: releases('0.2.0-12 1.0.0 1.1.0 1.2.0 1.3.0-1 1.4.0-2 1.5.0'),
    files: ['src/header/map.rs'],
  },
  bytes: {
    versions: releases(
      '1.0.0-1 1.1.0 1.2.0-1 1.3.0 1.4.0 1.5.0 1.6.0-1 1.7.0-2 1.8.0 1.9.0 1.10.0-1 1.11.0-1 1.12.0-2',
    ),
    files: ['src/bytes_mut.rs'],
  },
  axum: { versions: releases('0.6.0-20 0.7.0-9 0.8.0-9'), files: ['src/extract/matched_path.rs'] },
  tonic: {
    versions: releases('0.8.0-3 0.9.0-2 0.10.0-2 0.11.0 0.12.0-3 0.13.0-1 0.14.0-9'),
    files: ['src/transport/channel/mod.rs'],
  },
  tower: { versions: releases('0.4.0-13 0.5.0-3'), files: ['src/buffer/service.rs'] },
  reqwest: {
    versions: releases('0.11.0-27 0.12.0-28 0.13.0-5'),
    files: ['src/async_impl/client.rs', 'src/blocking/client.rs'],
  },
};
