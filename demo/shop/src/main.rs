//! A small shop and the warehouse it calls. They know nothing of OpenTelemetry: no dependency, no layer, no macro.
mod warehouse;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::time::timeout;

const PRODUCTS: [&str; 5] = ["kettle", "lamp", "chair", "teapot", "clock"];
/// A page doesn't wait longer for what is nice to have.
const PATIENCE: Duration = Duration::from_millis(15);

#[derive(Clone)]
struct Shop {
    carts: Arc<Mutex<HashMap<String, Vec<String>>>>,
    client: reqwest::Client,
    warehouse: String,
}

impl Shop {
    async fn get(&self, path: String) -> reqwest::Result<reqwest::Response> {
        self.client.get(format!("{}{path}", self.warehouse)).send().await
    }

    async fn post(&self, path: String, body: String) -> reqwest::Result<reqwest::Response> {
        self.client.post(format!("{}{path}", self.warehouse)).body(body).send().await
    }

    async fn stock(&self, id: usize) -> String {
        match self.get(format!("/stock/{id}")).await {
            Ok(answer) if answer.status().is_success() => answer.text().await.unwrap_or_default(),
            _ => String::from("?"),
        }
    }
}

/// Asks for the stock of three products at once.
async fn list(State(shop): State<Shop>) -> String {
    let (first, second, third) = tokio::join!(shop.stock(0), shop.stock(1), shop.stock(2));
    format!("{} {first}, {} {second}, {} {third}", PRODUCTS[0], PRODUCTS[1], PRODUCTS[2])
}

async fn product(State(shop): State<Shop>, Path(id): Path<usize>) -> Response {
    let stock = shop.stock(id).await;
    let Some(name) = PRODUCTS.get(id) else {
        return (StatusCode::NOT_FOUND, "no such product").into_response();
    };
    let suggestion = timeout(PATIENCE, shop.get(format!("/suggestions/{id}"))).await;
    let more = if matches!(suggestion, Ok(Ok(_))) { ", and others" } else { "" };
    format!("{stock} of {name}{more}").into_response()
}

async fn cart(State(shop): State<Shop>, Path(user): Path<String>) -> String {
    shop.carts.lock().expect("carts").get(&user).map_or(String::new(), |cart| cart.join("\n"))
}

async fn add(State(shop): State<Shop>, Path(user): Path<String>, product: String) -> StatusCode {
    shop.carts.lock().expect("carts").entry(user).or_default().push(product);
    StatusCode::CREATED
}

/// Reserves in a task of its own while the payment is made.
async fn checkout(State(shop): State<Shop>, Path(user): Path<String>) -> Response {
    let (other, path) = (shop.clone(), format!("/reservations/{user}"));
    let reservation = tokio::spawn(async move { other.post(path, String::new()).await.is_ok() });
    let paid = shop.post(String::from("/payments"), user.clone()).await;
    let reserved = reservation.await.unwrap_or(false);
    match paid {
        Ok(answer) if answer.status().is_success() && reserved => {
            shop.carts.lock().expect("carts").remove(&user);
            answer.text().await.unwrap_or_default().into_response()
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "payment failed").into_response(),
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    (listener, port)
}

#[tokio::main]
async fn main() {
    let (behind, behind_port) = listen().await;
    tokio::spawn(async move { axum::serve(behind, warehouse::routes()).await.expect("serve the warehouse") });
    let shop = Shop {
        carts: Arc::default(),
        client: reqwest::Client::new(),
        warehouse: format!("http://127.0.0.1:{behind_port}"),
    };
    let catalogue = Router::new().route("/", get(list)).route("/{id}", get(product));
    let app = Router::new()
        .nest("/products", catalogue)
        .route("/cart/{user}", get(cart).post(add))
        .route("/checkout/{user}", post(checkout))
        .with_state(shop);
    let (listener, port) = listen().await;
    println!("listening {port}");
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM handler");
    tokio::select! {
        result = axum::serve(listener, app) => result.expect("serve"),
        _ = terminate.recv() => {}
    }
}
