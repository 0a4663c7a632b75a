//! The service behind the shop: stock, payments, suggestions.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::Router;
use tokio::time::sleep;

type Payments = Arc<AtomicU64>;

async fn stock(Path(id): Path<u64>) -> Result<String, StatusCode> {
    sleep(Duration::from_millis(1 + id % 3)).await;
    if id < 5 {
        Ok(format!("{}", 3 + id))
    } else {
        Err(StatusCode::NOT_FOUND)
    }
}

async fn reserve(Path(user): Path<String>) -> String {
    sleep(Duration::from_millis(4)).await;
    format!("reserved for {user}")
}

/// The payment provider is slow, and every seventh payment fails.
async fn pay(State(payments): State<Payments>) -> Result<String, StatusCode> {
    sleep(Duration::from_millis(25)).await;
    let payment = payments.fetch_add(1, Ordering::Relaxed) + 1;
    if payment % 7 == 0 {
        return Err(StatusCode::BAD_GATEWAY);
    }
    Ok(format!("payment {payment}"))
}

/// Takes its time for some: nobody waits so long.
async fn suggestions(Path(id): Path<u64>) -> String {
    sleep(Duration::from_millis(if id % 3 == 2 { 200 } else { 2 })).await;
    format!("{}", (id + 1) % 5)
}

pub fn routes() -> Router {
    Router::new()
        .route("/stock/{id}", get(stock))
        .route("/reservations/{user}", post(reserve))
        .route("/payments", post(pay))
        .route("/suggestions/{id}", get(suggestions))
        .with_state(Payments::default())
}
