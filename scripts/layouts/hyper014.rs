use hyper::service::service_fn;
use hyper::{Body, Request, Response};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (server, _client) = tokio::io::duplex(4096);
        let answer = service_fn(|_: Request<Body>| async { Ok::<_, std::convert::Infallible>(Response::new(Body::empty())) });
        let _ = hyper::server::conn::Http::new().serve_connection(server, answer).await;
    });
}
