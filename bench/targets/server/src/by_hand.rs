//! What a careful user writes on the OpenTelemetry API alone: the parent from the headers, a SERVER span with the
//! stable HTTP attributes, its end at the response head.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{FutureExt, SpanKind, TraceContextExt, Tracer};
use opentelemetry::KeyValue;
use opentelemetry_http::HeaderExtractor;
use tower::{Layer, Service};

#[derive(Clone)]
pub struct TraceLayer {
    tracer: Arc<BoxedTracer>,
}

impl TraceLayer {
    pub fn new() -> TraceLayer {
        TraceLayer { tracer: Arc::new(global::tracer("bench")) }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner, tracer: self.tracer.clone() }
    }
}

#[derive(Clone)]
pub struct Traced<S> {
    inner: S,
    tracer: Arc<BoxedTracer>,
}

fn attributes(request: &Request, method: &str, route: Option<&str>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(8);
    attributes.push(KeyValue::new("http.request.method", method.to_owned()));
    attributes.push(KeyValue::new("url.path", request.uri().path().to_owned()));
    attributes.push(KeyValue::new("url.scheme", "http"));
    attributes.push(KeyValue::new("network.protocol.version", "1.1"));
    attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    attributes.extend(header("host").map(|host| KeyValue::new("server.address", host.to_owned())));
    attributes
        .extend(header("user-agent").map(|agent| KeyValue::new("user_agent.original", agent.to_owned())));
    attributes
}

impl<S> Service<Request> for Traced<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let parent = global::get_text_map_propagator(|propagator| {
            propagator.extract(&HeaderExtractor(request.headers()))
        });
        let method = request.method().as_str();
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let name = route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
        let builder = self
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Server)
            .with_attributes(attributes(&request, method, route));
        let context = parent.with_span(builder.start_with_context(&*self.tracer, &parent));
        let future = {
            let _guard = context.clone().attach();
            self.inner.call(request)
        };
        Box::pin(async move {
            let result = future.with_context(context.clone()).await;
            let span = context.span();
            if let Ok(response) = &result {
                let status = i64::from(response.status().as_u16());
                span.set_attribute(KeyValue::new("http.response.status_code", status));
            }
            span.end();
            result
        })
    }
}
