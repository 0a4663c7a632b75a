//! The same answer from hyper alone: no router, so no route.
use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

async fn user(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let id = request.uri().path().rsplit('/').next().and_then(|text| text.parse::<u64>().ok());
    Ok(Response::new(Full::from(format!("user {}", id.unwrap_or_default()))))
}

pub async fn serve(listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(user));
        tokio::spawn(async move { connection.await.ok() });
    }
}
