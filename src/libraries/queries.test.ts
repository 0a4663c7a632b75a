import assert from 'node:assert/strict';
import test from 'node:test';
import { QUERIES } from './index.ts';

const answering = (name: string) => QUERIES.filter(({ pattern }) => pattern.test(name)).map(({ id }) => id);

test('demangled names as the compilers write them', () => {
  const server = '<hyper::proto::h1::role::Server as hyper::proto::h1::Http1Transaction>';
  const names: Readonly<Record<string, readonly string[]>> = {
    [`${server}::parse`]: ['hyper.server.parse', 'hyper.server.code'],
    [`${server}::encode`]: ['hyper.server.encode', 'hyper.server.code'],
    [`${server}::encode_headers`]: ['hyper.server.code'],
    '<hyper::proto::h1::role::Client as hyper::proto::h1::Http1Transaction>::parse': ['hyper.client.parse'],
    '<hyper::proto::h1::role::Client as hyper::proto::h1::Http1Transaction>::encode': ['hyper.client.encode'],
    'hyper_util::client::legacy::client::extract_domain': ['hyper.client.domain'],
    'hyper::client::client::extract_domain': ['hyper.client.domain'],
    'hyper_util::client::legacy::client::Client<C,B>::request': ['hyper.client.request'],
    '<hyper_util::client::legacy::client::Client<c::Connector, c::Body>>::request': ['hyper.client.request'],
    '<hyper_util::client::legacy::client::Client<C,B> as tower_service::Service<http::request::Request<B>>>::call':
      ['hyper.client.call'],
    'hyper_util::client::legacy::client::Client<C,B>::connect_to::{{closure}}': [],
    'core::ptr::drop_in_place<hyper_util::client::legacy::client::Client<c::Connector,c::Body>::send_request::{{closure}}>':
      ['hyper.client.future'],
    'core::ptr::drop_in_place::<<hyper_util::client::legacy::client::Client<c::Connector, c::Body>>::send_request::{closure#0}>':
      ['hyper.client.future'],
    'core::ptr::drop_in_place<hyper_util::client::legacy::client::Client<c::Connector,c::Body>::try_send_request::{{closure}}>':
      [],
    'core::ptr::drop_in_place<hyper::client::client::Client<c::Connector>::send_request::{{closure}}::{{closure}}>':
      [],
    'core::ptr::drop_in_place<hyper::client::client::Client<c::Connector>::retryably_send_request::{{closure}}>':
      ['hyper.client.retry_future'],
    'h2::proto::streams::recv::Recv::recv_headers': ['h2.Recv.recv_headers'],
    '<h2::proto::streams::recv::Recv>::recv_headers': ['h2.Recv.recv_headers'],
    'h2::proto::streams::recv::Recv::recv_headers::{{closure}}': [],
    'h2::proto::streams::streams::DynStreams<B>::recv_headers': [],
    'h2::proto::streams::send::Send::send_headers': ['h2.Send.send_headers'],
    '<h2::proto::streams::send::Send>::send_trailers::<hyper::proto::h2::SendBuf<bytes::bytes::Bytes>>': [
      'h2.Send.send_trailers',
    ],
    'h2::proto::streams::streams::StreamRef<B>::send_trailers': ['h2.StreamRef.send_trailers'],
    'h2::proto::streams::streams::DynStreams<B>::recv_reset': ['h2.DynStreams.recv_reset'],
    '<h2::proto::streams::streams::DynStreams<b::Body>>::recv_eof': ['h2.DynStreams.recv_eof'],
    'h2::proto::streams::recv::Recv::recv_reset': [],
    '<h2::server::Peer as h2::proto::peer::Peer>::convert_poll_message': [],
    'h2::server::Connection<T,B>::poll_accept': ['h2.server'],
    '<hyper::proto::h2::client::ClientTask<B,E,T> as core::future::future::Future>::poll': ['h2.client'],
    '<tonic::transport::channel::Channel as tower_service::Service<http::request::Request<tonic::body::Body>>>::call':
      ['tonic.call'],
    '<tonic::transport::channel::Channel as tower_service::Service<http::request::Request<tonic::body::Body>>>::poll_ready':
      [],
    'core::ptr::drop_in_place<tonic::transport::channel::ResponseFuture>': ['tonic.drop'],
    'core::ptr::drop_in_place::<tonic::transport::channel::ResponseFuture>': ['tonic.drop'],
    'reqwest::blocking::client::Client::execute': ['reqwest.blocking_call'],
    '<reqwest::async_impl::client::Client>::execute_request': ['reqwest.execute'],
    'tokio::runtime::task::id::Id::next::NEXT_ID': ['tokio.next_id'],
    '<tokio::runtime::task::id::Id>::next::NEXT_ID': ['tokio.next_id'],
    'tokio::runtime::task::list::NEXT_OWNED_TASKS_ID': [],
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
    'rustls::client::hs::ExpectServerHello::handle': ['tls.client.rustls'],
    'openssl::ssl::SslAcceptor::mozilla_intermediate_v5': ['tls.openssl'],
    'tokio_openssl::SslStream<S>::poll_accept': ['tls.openssl'],
    'openssl::ssl::SslConnector::connect': ['tls.client.openssl'],
    SSL_accept: ['tls.OpenSSL (linked in)'],
    'std::net::tcp::TcpListener::bind': ['std.socket'],
    'tokio::net::tcp::listener::TcpListener::bind': ['std.socket'],
    'std::net::tcp::TcpStream::connect': ['std.socket'],
    'std::net::ip::IpAddr::is_loopback': [],
    accept4: ['libc.accept'],
  };
  for (const [name, ids] of Object.entries(names)) assert.deepEqual(answering(name), ids, name);
});

test('each query has its own id', () => {
  assert.equal(new Set(QUERIES.map(({ id }) => id)).size, QUERIES.length);
});
