//! What a careful user writes around a call: a CLIENT span with the stable HTTP attributes under the current one,
//! its context in the request's headers, its end at the response head.
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::HeaderInjector;
use reqwest::{Client, Request, Response};

pub struct TracedClient {
    client: Client,
    tracer: BoxedTracer,
}

fn attributes(request: &Request) -> Vec<KeyValue> {
    let url = request.url();
    let mut attributes = Vec::with_capacity(6);
    attributes.push(KeyValue::new("http.request.method", request.method().as_str().to_owned()));
    attributes.push(KeyValue::new("url.full", url.as_str().to_owned()));
    attributes.extend(url.host_str().map(|host| KeyValue::new("server.address", host.to_owned())));
    attributes.extend(url.port_or_known_default().map(|port| KeyValue::new("server.port", i64::from(port))));
    attributes.push(KeyValue::new("network.protocol.version", "1.1"));
    attributes
}

impl TracedClient {
    pub fn new(client: Client) -> TracedClient {
        TracedClient { client, tracer: global::tracer("bench") }
    }

    pub async fn get(&self, url: String) -> reqwest::Result<Response> {
        let mut request = self.client.get(url).build()?;
        let builder = self
            .tracer
            .span_builder(request.method().as_str().to_owned())
            .with_kind(SpanKind::Client)
            .with_attributes(attributes(&request));
        let context = Context::current();
        let context = context.with_span(builder.start_with_context(&self.tracer, &context));
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut HeaderInjector(request.headers_mut()));
        });
        let result = self.client.execute(request).with_context(context.clone()).await;
        let span = context.span();
        match &result {
            Ok(response) => {
                let status = i64::from(response.status().as_u16());
                span.set_attribute(KeyValue::new("http.response.status_code", status));
            }
            Err(error) => span.set_status(Status::error(error.to_string())),
        }
        span.end();
        result
    }
}
