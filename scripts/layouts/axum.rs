use axum::{routing::get, Router};
use std::future::Future;
use std::task::{Context, Poll, Waker};
use tower_service::Service;

struct Idle;

impl std::task::Wake for Idle {
    fn wake(self: std::sync::Arc<Self>) {}
}

fn main() {
    let mut router: Router = Router::new().nest("/api", Router::new().route("/items", get(|| async { "items" })));
    let waker = Waker::from(std::sync::Arc::new(Idle));
    let mut context = Context::from_waker(&waker);
    let request = http::Request::builder().uri("/api/items").body(axum::body::Body::empty()).unwrap();
    let mut answer = Box::pin(router.call(request));
    let poll: Poll<_> = answer.as_mut().poll(&mut context);
    std::process::exit(i32::from(poll.is_pending()));
}
