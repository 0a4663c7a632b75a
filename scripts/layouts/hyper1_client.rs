use hyper::body::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::Request;
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
    let waker = Waker::from(std::sync::Arc::new(Idle));
    let mut context = Context::from_waker(&waker);
    let mut handshake = Box::pin(hyper::client::conn::http1::handshake::<_, Nothing>(Closed));
    let Poll::Ready(Ok((mut sender, connection))) = std::future::Future::poll(handshake.as_mut(), &mut context) else {
        return;
    };
    let mut answer = Box::pin(sender.send_request(Request::new(Nothing)));
    let mut connection = Box::pin(connection);
    let _ = std::future::Future::poll(connection.as_mut(), &mut context);
    let _ = std::future::Future::poll(answer.as_mut(), &mut context);
}
