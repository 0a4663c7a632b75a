use bytes::Bytes;
use std::future::Future;
use std::io::Result;
use std::pin::{pin, Pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

struct Closed;

impl AsyncRead for Closed {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Closed {
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

struct Idle;

impl std::task::Wake for Idle {
    fn wake(self: std::sync::Arc<Self>) {}
}

async fn serve() {
    let mut connection = h2::server::handshake(Closed).await.unwrap();
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(b"a"), false).unwrap();
        stream.send_trailers(http::HeaderMap::new()).unwrap();
        stream.send_reset(h2::Reason::CANCEL);
    }
}

async fn call() {
    let (mut sender, connection) = h2::client::handshake(Closed).await.unwrap();
    let (answer, mut stream) = sender.send_request(http::Request::new(()), false).unwrap();
    stream.send_trailers(http::HeaderMap::new()).unwrap();
    let _ = connection.await;
    let _ = answer.await;
}

fn main() {
    let waker = Waker::from(std::sync::Arc::new(Idle));
    let mut context = Context::from_waker(&waker);
    let _ = pin!(serve()).poll(&mut context);
    let _ = pin!(call()).poll(&mut context);
}
