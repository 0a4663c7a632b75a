//! What a careful user writes around tonic on the OpenTelemetry API: a SERVER or CLIENT span with the stable RPC
//! attributes, the context from or to the metadata, its end and status where `grpc-status` is, in the trailers.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use opentelemetry::global::{self, BoxedTracer};
use opentelemetry::trace::{FutureExt, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::Code;
use tower::{Layer, Service};

#[derive(Clone)]
pub struct TraceLayer {
    tracer: Arc<BoxedTracer>,
    kind: SpanKind,
}

impl TraceLayer {
    pub fn new(kind: SpanKind) -> TraceLayer {
        TraceLayer { tracer: Arc::new(global::tracer("bench")), kind }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
pub struct Traced<S> {
    inner: S,
    layer: TraceLayer,
}

fn attributes(request: &Request<Body>) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(5);
    attributes.push(KeyValue::new("rpc.system.name", "grpc"));
    attributes.push(KeyValue::new("rpc.method", request.uri().path().trim_start_matches('/').to_owned()));
    let authority = request.uri().authority();
    attributes
        .extend(authority.map(|authority| KeyValue::new("server.address", authority.host().to_owned())));
    let port = authority.and_then(|authority| authority.port_u16());
    attributes.extend(port.map(|port| KeyValue::new("server.port", i64::from(port))));
    attributes
}

impl TraceLayer {
    fn start(&self, request: &mut Request<Body>) -> Context {
        let parent = match self.kind {
            SpanKind::Server => global::get_text_map_propagator(|propagator| {
                propagator.extract(&HeaderExtractor(request.headers()))
            }),
            _ => Context::current(),
        };
        let builder = self
            .tracer
            .span_builder(request.uri().path().trim_start_matches('/').to_owned())
            .with_kind(self.kind.clone())
            .with_attributes(attributes(request));
        let context = parent.with_span(builder.start_with_context(&*self.tracer, &parent));
        if self.kind == SpanKind::Client {
            global::get_text_map_propagator(|propagator| {
                propagator.inject_context(&context, &mut HeaderInjector(request.headers_mut()));
            });
        }
        context
    }
}

impl<S> Service<Request<Body>> for Traced<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let context = self.layer.start(&mut request);
        let future = {
            let _guard = context.clone().attach();
            self.inner.call(request)
        };
        Box::pin(async move {
            let result = future.with_context(context.clone()).await;
            match &result {
                Ok(response) if end(&context, response.headers()) => result,
                Ok(_) => result.map(|response| response.map(|body| Body::new(TracedBody { body, context }))),
                Err(_) => {
                    context.span().set_status(Status::error("no response"));
                    context.span().end();
                    result
                }
            }
        })
    }
}

/// Ends the span when the status is among these headers.
fn end(context: &Context, headers: &HeaderMap) -> bool {
    let Some(status) = tonic::Status::from_header_map(headers) else { return false };
    let span = context.span();
    span.set_attribute(KeyValue::new("rpc.response.status_code", i64::from(status.code() as i32)));
    if status.code() != Code::Ok {
        span.set_status(Status::error(status.message().to_owned()));
    }
    span.end();
    true
}

struct TracedBody {
    body: Body,
    context: Context,
}

impl HttpBody for TracedBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(task);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            frame.trailers_ref().map(|trailers| end(&self.context, trailers));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
