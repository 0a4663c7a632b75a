//! Unary calls of a tonic client on one channel, bare or with the OpenTelemetry SDK inside:
//! `bench-grpc-caller <variant> <otlp traces url> <server url>`. Nothing in it can do TLS.
//! When it is connected it says so. For each line `<calls> <warm-up calls> <at once>` on stdin it makes the warm-up and prints `warm <n>`; on the next line
//! it makes the calls and prints `done <n> <seconds>`; n counts from 1. The end of stdin is its end.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Instant;

use bench_grpc::sdk;
use bench_grpc::traced::TraceLayer;
use bench_grpc::users;
use opentelemetry::trace::SpanKind;
use tokio::io::{AsyncBufReadExt, BufReader, Stdin};
use tokio::signal::unix::{signal, SignalKind};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::transport::Endpoint;
use tower::Layer;

/// So many tasks take from one number of calls until none is left, each one call at a time.
async fn run<S>(channel: &S, calls: usize, at_once: usize)
where
    S: GrpcService<Body> + Clone + Send + 'static,
    S::Future: Send,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError>,
    S::Error: Into<StdError>,
{
    let left = Arc::new(AtomicUsize::new(calls));
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (left, mut client) = (left.clone(), Grpc::new(channel.clone()));
        tasks.spawn(async move {
            let take = |count: usize| count.checked_sub(1);
            while let Ok(id) = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                let name = users::get(&mut client, id as u64).await.expect("an answer");
                assert_eq!(name, format!("user {id}"));
            }
        });
    }
    tasks.join_all().await;
}

async fn line(input: &mut BufReader<Stdin>) -> Option<String> {
    let mut line = String::new();
    (input.read_line(&mut line).await.expect("stdin") > 0).then_some(line)
}

async fn rounds<S>(channel: S)
where
    S: GrpcService<Body> + Clone + Send + 'static,
    S::Future: Send,
    S::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <S::ResponseBody as HttpBody>::Error: Into<StdError>,
    S::Error: Into<StdError>,
{
    let mut input = BufReader::new(tokio::io::stdin());
    for round in 1.. {
        let Some(sizes) = line(&mut input).await else { return };
        let sizes: Vec<usize> =
            sizes.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        let [calls, warm_up, at_once] = sizes.as_slice() else { panic!("three numbers are needed") };
        run(&channel, *warm_up, *at_once).await;
        println!("warm {round}");
        if line(&mut input).await.is_none() {
            return;
        }
        let start = Instant::now();
        run(&channel, *calls, *at_once).await;
        println!("done {round} {:.6}", start.elapsed().as_secs_f64());
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [variant, endpoint, url] = arguments.as_slice() else { panic!("three arguments are needed") };
    let provider = (variant != "bare").then(|| sdk::install("bench-grpc-caller", endpoint));
    bench_grpc::runtime().block_on(until_told(url.clone(), provider.is_some()));
    if let Some(provider) = provider {
        provider.shutdown().expect("shutdown");
    }
}

/// Until stdin ends, or SIGTERM. The calls are made on the worker thread.
async fn until_told(url: String, traced: bool) {
    let calls = tokio::spawn(async move {
        let endpoint = Endpoint::from_shared(url).expect("an address");
        let port = endpoint.uri().port_u16().expect("a port");
        let channel = endpoint.connect().await.expect("connect");
        println!("connected {port} pid {}", std::process::id());
        match traced {
            false => rounds(channel).await,
            true => rounds(TraceLayer::new(SpanKind::Client).layer(channel)).await,
        }
    });
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM");
    tokio::select! {
        _ = terminate.recv() => {}
        result = calls => result.expect("calls"),
    }
}
