//! A small shop that knows nothing of OpenTelemetry: no dependency, no layer, no macro.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::time::sleep;

const PRODUCTS: [&str; 5] = ["kettle", "lamp", "chair", "teapot", "clock"];

#[derive(Clone, Default)]
struct Shop {
    carts: Arc<Mutex<HashMap<String, Vec<String>>>>,
    orders: Arc<AtomicU64>,
}

async fn list() -> String {
    sleep(Duration::from_millis(2)).await;
    PRODUCTS.join("\n")
}

async fn product(Path(id): Path<usize>) -> Response {
    sleep(Duration::from_millis(1 + id as u64 % 7)).await;
    match PRODUCTS.get(id) {
        Some(name) => name.into_response(),
        None => (StatusCode::NOT_FOUND, "no such product").into_response(),
    }
}

async fn cart(State(shop): State<Shop>, Path(user): Path<String>) -> String {
    shop.carts.lock().expect("carts").get(&user).map_or(String::new(), |cart| cart.join("\n"))
}

async fn add(State(shop): State<Shop>, Path(user): Path<String>, product: String) -> StatusCode {
    shop.carts.lock().expect("carts").entry(user).or_default().push(product);
    StatusCode::CREATED
}

/// The payment provider is slow, and every seventh payment fails.
async fn checkout(State(shop): State<Shop>, Path(user): Path<String>) -> Response {
    sleep(Duration::from_millis(25)).await;
    let order = shop.orders.fetch_add(1, Ordering::Relaxed) + 1;
    if order % 7 == 0 {
        return (StatusCode::INTERNAL_SERVER_ERROR, "payment failed").into_response();
    }
    shop.carts.lock().expect("carts").remove(&user);
    format!("order {order}").into_response()
}

#[tokio::main]
async fn main() {
    let catalogue = Router::new().route("/", get(list)).route("/{id}", get(product));
    let app = Router::new()
        .nest("/products", catalogue)
        .route("/cart/{user}", get(cart).post(add))
        .route("/checkout/{user}", post(checkout))
        .with_state(Shop::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    println!("listening {}", listener.local_addr().expect("address").port());
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM handler");
    tokio::select! {
        result = axum::serve(listener, app) => result.expect("serve"),
        _ = terminate.recv() => {}
    }
}
