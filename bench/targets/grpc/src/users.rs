//! `bench.v1.Users` with the method `Get`.
use std::convert::Infallible;
use std::future::{ready, Future, Ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::server::{NamedService, UnaryService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

const GET: &str = "/bench.v1.Users/Get";

#[derive(Clone, PartialEq, prost::Message)]
pub struct Ask {
    #[prost(uint64, tag = "1")]
    pub id: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub struct Answer {
    #[prost(string, tag = "1")]
    pub name: String,
}

struct Get;

impl UnaryService<Ask> for Get {
    type Response = Answer;
    type Future = Ready<Result<Response<Answer>, Status>>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        ready(Ok(Response::new(Answer { name: format!("user {}", request.get_ref().id) })))
    }
}

#[derive(Clone)]
pub struct Users;

impl NamedService for Users {
    const NAME: &'static str = "bench.v1.Users";
}

impl Service<http::Request<Body>> for Users {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            if request.uri().path() != GET {
                return Ok(Status::unimplemented("").into_http());
            }
            let codec = ProstCodec::<Answer, Ask>::default();
            Ok(tonic::server::Grpc::new(codec).unary(Get, request).await)
        })
    }
}

/// What a generated client does.
pub async fn get<S>(client: &mut Grpc<S>, id: u64) -> Result<String, Status>
where
    S: GrpcService<Body>,
    S::ResponseBody: http_body::Body<Data = tonic::codegen::Bytes> + Send + 'static,
    <S::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError>,
    S::Error: Into<tonic::codegen::StdError>,
{
    client.ready().await.map_err(|error| Status::unknown(error.into().to_string()))?;
    let codec = ProstCodec::<Ask, Answer>::default();
    let answer = client.unary(Request::new(Ask { id }), PathAndQuery::from_static(GET), codec).await?;
    Ok(answer.into_inner().name)
}
