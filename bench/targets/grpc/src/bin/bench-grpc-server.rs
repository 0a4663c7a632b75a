//! A tonic server of unary calls, bare or with the OpenTelemetry SDK inside:
//! `bench-grpc-server <variant> <otlp traces url>`. Nothing in it can do TLS as a server.
use bench_grpc::sdk;
use bench_grpc::traced::TraceLayer;
use bench_grpc::users::Users;
use opentelemetry::trace::SpanKind;
use tokio::signal::unix::{signal, SignalKind};
use tonic::transport::server::TcpIncoming;
use tonic::transport::Server;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [variant, endpoint] = arguments.as_slice() else { panic!("two arguments are needed") };
    let provider = (variant != "bare").then(|| sdk::install("bench-grpc-server", endpoint));
    bench_grpc::runtime().block_on(serve(provider.is_some()));
    if let Some(provider) = provider {
        provider.shutdown().expect("shutdown");
    }
}

/// Until SIGTERM. Connections are accepted on the worker thread, as in a program with `#[tokio::main]`.
async fn serve(traced: bool) {
    let address = "127.0.0.1:0".parse().expect("an address");
    let incoming = TcpIncoming::bind(address).expect("bind").with_nodelay(Some(true));
    let port = incoming.local_addr().expect("address").port();
    println!("listening {port} pid {}", std::process::id());
    let server = tokio::spawn(async move {
        let served = match traced {
            false => Server::builder().add_service(Users).serve_with_incoming(incoming).await,
            true => {
                let mut builder = Server::builder().layer(TraceLayer::new(SpanKind::Server));
                builder.add_service(Users).serve_with_incoming(incoming).await
            }
        };
        served.expect("serve");
    });
    signal(SignalKind::terminate()).expect("SIGTERM").recv().await;
    server.abort();
}
