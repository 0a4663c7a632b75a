//! One server on axum, or on hyper alone, bare or with the OpenTelemetry SDK inside:
//! `bench-server <variant> <otlp traces url>`. Nothing in it can do TLS as a server.
mod plain_hyper;

use axum::extract::Path;
use axum::{routing::get, Router};
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use bench_server::{by_hand, sdk};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::signal::unix::{signal, SignalKind};
use tracing_subscriber::prelude::*;

async fn user(Path(id): Path<u64>) -> String {
    format!("user {id}")
}

/// Registers what the variant needs with the SDK and wraps the router in its layer.
fn instrument(variant: &str, router: Router, provider: &SdkTracerProvider) -> Router {
    match variant {
        "by-hand" => router.layer(by_hand::TraceLayer::new()),
        "tower" => router.layer(opentelemetry_instrumentation_tower::http::server::Layer::new()),
        "axum-tracing" => {
            tracing_subscriber::registry()
                .with(tracing_subscriber::EnvFilter::new("info,otel::tracing=trace"))
                .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("bench")))
                .init();
            router.layer(OtelAxumLayer::default())
        }
        other => panic!("unknown variant {other}"),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [variant, endpoint] = arguments.as_slice() else { panic!("two arguments are needed") };
    let router = Router::new().route("/users/{id}", get(user));
    let provider =
        (!matches!(variant.as_str(), "bare" | "hyper")).then(|| sdk::install("bench-server", endpoint));
    let router = match &provider {
        Some(provider) => instrument(variant, router, provider),
        None => router,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("runtime").block_on(serve(router, variant == "hyper"));
    if let Some(provider) = provider {
        provider.shutdown().expect("shutdown");
    }
}

/// Until SIGTERM. Connections are accepted on the worker thread, as in a program with `#[tokio::main]`.
async fn serve(router: Router, without_axum: bool) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    println!("listening {port} pid {}", std::process::id());
    let server = match without_axum {
        true => tokio::spawn(plain_hyper::serve(listener)),
        false => tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") }),
    };
    signal(SignalKind::terminate()).expect("SIGTERM").recv().await;
    server.abort();
}
