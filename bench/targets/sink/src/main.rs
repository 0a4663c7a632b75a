//! An OTLP over HTTP endpoint that counts spans and forgets them. `GET /` answers `spans requests bytes`.
mod count;

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::LocalSet;

#[derive(Default)]
struct Totals {
    spans: Cell<u64>,
    requests: Cell<u64>,
    bytes: Cell<u64>,
}

impl Totals {
    fn add(&self, body: &[u8]) {
        self.spans.set(self.spans.get() + count::spans(body).expect("an ExportTraceServiceRequest"));
        self.requests.set(self.requests.get() + 1);
        self.bytes.set(self.bytes.get() + body.len() as u64);
    }
}

async fn answer(request: Request<Incoming>, totals: Rc<Totals>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        let text = format!("{} {} {}", totals.spans.get(), totals.requests.get(), totals.bytes.get());
        return Ok(Response::new(Full::from(text)));
    }
    if let Ok(body) = request.collect().await {
        totals.add(&body.to_bytes());
    }
    Ok(Response::builder()
        .header("content-type", "application/x-protobuf")
        .body(Full::default())
        .expect("response"))
}

async fn serve() {
    let totals = Rc::new(Totals::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    println!("listening {port} pid {}", std::process::id());
    while let Ok((stream, _)) = listener.accept().await {
        let totals = totals.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| answer(request, totals.clone()));
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    LocalSet::new().block_on(&runtime, serve());
}
