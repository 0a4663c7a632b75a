import assert from 'node:assert/strict';
import test from 'node:test';
import { QUERIES } from './index.ts';

const answering = (name: string) => QUERIES.filter(({ pattern }) => pattern.test(name)).map(({ id }) => id);

test('demangled names as the compilers write them', () => {
  const server = '<hyper::proto::h1::role::Server as hyper::proto::h1::Http1Transaction>';
  const names: Readonly<Record<string, readonly string[]>> = {
    [`${server}::parse`]: ['hyper.server.parse'],
    [`${server}::encode`]: ['hyper.server.encode'],
    [`${server}::encode_headers`]: [],
    '<hyper::proto::h1::role::Client as hyper::proto::h1::Http1Transaction>::parse': [],
    'axum::extract::matched_path::set_matched_path_for_request': ['axum.set_matched_path'],
    'tokio::runtime::context::CONTEXT::{{constant}}::{{closure}}::__RUST_STD_INTERNAL_VAL': ['tokio.context'],
    'tokio::runtime::context::CONTEXT::__getit::VAL': ['tokio.context'],
    'tokio::runtime::context::CONTEXT::__getit::__KEY': ['tokio.context'],
    'tokio::runtime::context::CONTEXT::__getit::STATE': [],
    rust_panic: ['std.rust_panic'],
    '__rustc::rust_panic': ['std.rust_panic'],
    'std::panicking::rust_panic_with_hook': [],
    '<rustls::server::hs::ExpectClientHello as rustls::common_state::State<rustls::server::server_conn::ServerConnectionData>>::handle':
      ['tls.rustls'],
    'rustls::client::hs::ExpectServerHello::handle': [],
    'openssl::ssl::SslAcceptor::mozilla_intermediate_v5': ['tls.openssl'],
    'tokio_openssl::SslStream<S>::poll_accept': ['tls.openssl'],
    'openssl::ssl::SslConnector::connect': [],
    SSL_accept: ['tls.OpenSSL (linked in)'],
    'std::net::tcp::TcpListener::bind': ['std.listener'],
    'tokio::net::tcp::listener::TcpListener::bind': ['std.listener'],
    'std::net::tcp::TcpStream::connect': [],
    accept4: ['libc.accept'],
  };
  for (const [name, ids] of Object.entries(names)) assert.deepEqual(answering(name), ids, name);
});

test('each query has its own id', () => {
  assert.equal(new Set(QUERIES.map(({ id }) => id)).size, QUERIES.length);
});
