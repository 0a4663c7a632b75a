//! An axum server whose handler makes one call through reqwest, bare or with the OpenTelemetry SDK inside:
//! `bench-caller <variant> <otlp traces url> <downstream url>`. `GET /users/N` asks the downstream for `/items/N`.
//! Nothing in it can do TLS.
mod client_span;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{routing::get, Router};
use bench_server::{by_hand, sdk};
use client_span::TracedClient;
use tokio::signal::unix::{signal, SignalKind};

/// Both ways to ask the downstream answer with its text.
enum Client {
    Bare(reqwest::Client),
    Traced(TracedClient),
}

struct Downstream {
    client: Client,
    url: String,
}

impl Downstream {
    async fn item(&self, id: u64) -> reqwest::Result<String> {
        let url = format!("{}/items/{id}", self.url);
        let response = match &self.client {
            Client::Bare(client) => client.get(url).send().await?,
            Client::Traced(client) => client.get(url).await?,
        };
        response.text().await
    }
}

async fn user(Path(id): Path<u64>, State(downstream): State<Arc<Downstream>>) -> Result<String, StatusCode> {
    downstream.item(id).await.map_err(|_| StatusCode::BAD_GATEWAY)
}

fn layered(variant: &str, router: Router) -> Router {
    match variant {
        "bare" => router,
        "by-hand" => router.layer(by_hand::TraceLayer::new()),
        "tower" => router.layer(opentelemetry_instrumentation_tower::http::server::Layer::new()),
        other => panic!("unknown variant {other}"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [variant, endpoint, url] = arguments.as_slice() else { panic!("three arguments are needed") };
    let provider = (variant != "bare").then(|| sdk::install("bench-caller", endpoint));
    let client = reqwest::Client::new();
    let client =
        if provider.is_some() { Client::Traced(TracedClient::new(client)) } else { Client::Bare(client) };
    let downstream = Arc::new(Downstream { client, url: url.clone() });
    let router = layered(variant, Router::new().route("/users/{id}", get(user)).with_state(downstream));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("runtime").block_on(serve(router));
    if let Some(provider) = provider {
        provider.shutdown().expect("shutdown");
    }
}

/// Until SIGTERM. Connections are accepted on the worker thread, as in a program with `#[tokio::main]`.
async fn serve(router: Router) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    println!("listening {port} pid {}", std::process::id());
    let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
    signal(SignalKind::terminate()).expect("SIGTERM").recv().await;
    server.abort();
}
