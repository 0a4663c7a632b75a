//! What `bench-grpc-server` and `bench-grpc-caller` share: a service of one unary method, as a code generator writes
//! it, and a tower layer on the OpenTelemetry SDK.
// Not through the crate of that program: its axum has more features than tonic's.
#[path = "../../server/src/sdk.rs"]
pub mod sdk;
pub mod traced;
pub mod users;

use tokio::runtime::Runtime;

/// One worker thread, as all targets have.
pub fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("runtime")
}
