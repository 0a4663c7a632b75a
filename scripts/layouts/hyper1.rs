use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{Request, Response};
use std::convert::Infallible;
use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

struct Closed;

impl Read for Closed {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: ReadBufCursor<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Write for Closed {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Nothing;

impl hyper::body::Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::result::Result<hyper::body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

struct Idle;

impl std::task::Wake for Idle {
    fn wake(self: std::sync::Arc<Self>) {}
}

fn main() {
    let answer = service_fn(|_: Request<Incoming>| async { Ok::<_, Infallible>(Response::new(Nothing)) });
    let mut connection = Box::pin(hyper::server::conn::http1::Builder::new().serve_connection(Closed, answer));
    let waker = Waker::from(std::sync::Arc::new(Idle));
    let _ = std::future::Future::poll(connection.as_mut(), &mut Context::from_waker(&waker));
}
