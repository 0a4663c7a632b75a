//! The SDK with its defaults: batch processor, every span sampled, OTLP over http/protobuf.
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use opentelemetry_sdk::Resource;

/// The blocking HTTP client of the exporter may not be made on a thread of the runtime.
pub fn install(service: &'static str, endpoint: &str) -> SdkTracerProvider {
    let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).build().expect("exporter");
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name(service).build())
        .build();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    opentelemetry::global::set_tracer_provider(provider.clone());
    provider
}
