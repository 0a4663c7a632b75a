use hyper::{Body, Request};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (client, _server) = tokio::io::duplex(4096);
        let (mut sender, connection) = hyper::client::conn::handshake(client).await.unwrap();
        let answer = sender.send_request(Request::new(Body::empty()));
        drop(connection.await);
        drop(answer.await);
    });
}
