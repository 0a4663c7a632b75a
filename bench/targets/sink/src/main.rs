//! An OTLP over HTTP endpoint that counts spans and forgets them. `GET /` answers `spans requests bytes`.
//! With the argument `edges`, `GET /edges` answers `right wrong lost unknown missing` for what came since the last time.
mod count;
mod edges;
mod fields;

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;

use edges::Edges;
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
    edges: Option<RefCell<Edges>>,
}

impl Totals {
    fn add(&self, body: &[u8]) {
        let well_formed = "an ExportTraceServiceRequest";
        self.spans.set(self.spans.get() + count::spans(body).ok().expect(well_formed));
        if let Some(edges) = &self.edges {
            edges.borrow_mut().add(body).ok().expect(well_formed);
        }
        self.requests.set(self.requests.get() + 1);
        self.bytes.set(self.bytes.get() + body.len() as u64);
    }

    fn text(&self, path: &str) -> String {
        match (&self.edges, path) {
            (Some(edges), "/edges") => edges.borrow_mut().judge().to_string(),
            _ => format!("{} {} {}", self.spans.get(), self.requests.get(), self.bytes.get()),
        }
    }
}

async fn answer(request: Request<Incoming>, totals: Rc<Totals>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        return Ok(Response::new(Full::from(totals.text(request.uri().path()))));
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
    let edges = (std::env::args().nth(1).as_deref() == Some("edges")).then(RefCell::default);
    let totals = Rc::new(Totals { edges, ..Totals::default() });
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
