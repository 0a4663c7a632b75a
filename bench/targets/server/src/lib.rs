//! What `bench-server` and `bench-caller` share: the OpenTelemetry SDK and layers on it.
pub mod by_hand;
pub mod sdk;
