//! HTTP/1.1 load on one thread: a fixed number of requests over keep-alive connections.
//!   bench-load <address> <requests> <warm-up requests> <connections> <path> [tls]
//! All requests are equal; a path that ends in `#` ends in each request's own number instead, counted from 0.
//! Prints `warm` when the warm-up is done, waits for a line on stdin, makes the requests and prints the time they
//! took in seconds, then waits for stdin to end before it closes its connections.
mod tls;

use std::cell::Cell;
use std::io::{self, BufRead};
use std::rc::Rc;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

struct Requests {
    /// Up to the number when there is one, else all.
    head: Vec<u8>,
    /// Behind the number; empty when there is none.
    tail: Vec<u8>,
    next: Cell<usize>,
}

impl Requests {
    fn new(address: &str, path: &str) -> Requests {
        let tail = format!(" HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench-load/1\r\nAccept: */*\r\n\r\n");
        let next = Cell::new(0);
        match path.strip_suffix('#') {
            Some(path) => Requests { head: format!("GET {path}").into(), tail: tail.into(), next },
            None => Requests { head: format!("GET {path}{tail}").into(), tail: Vec::new(), next },
        }
    }

    fn write_next(&self, request: &mut Vec<u8>) {
        request.clear();
        request.extend(&self.head);
        if self.tail.is_empty() {
            return;
        }
        let number = self.next.replace(self.next.get() + 1);
        request.extend(number.to_string().into_bytes());
        request.extend(&self.tail);
    }
}

struct Connection {
    stream: Box<dyn Stream>,
    requests: Rc<Requests>,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    async fn exchange(&mut self) -> io::Result<()> {
        self.requests.write_next(&mut self.request);
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        loop {
            let count = self.stream.read(&mut self.buffer[filled..]).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            match response_size(&self.buffer[..filled])? {
                Some(size) if size == filled => return Ok(()),
                Some(size) if size < filled => return Err(invalid("more than one response")),
                _ => {}
            }
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// Head and body of a response with `content-length`, once the head is complete.
fn response_size(bytes: &[u8]) -> io::Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    if !bytes.starts_with(b"HTTP/1.1 200 ") {
        return Err(invalid(&String::from_utf8_lossy(&bytes[..head])));
    }
    let text = std::str::from_utf8(&bytes[..head]).map_err(|_| invalid("the head is not UTF-8"))?;
    let length = text.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.and_then(|value| value.parse().ok()).ok_or_else(|| invalid("no length"))?;
    Ok(Some(head + 4 + length))
}

/// All connections take from one number of requests until none is left.
async fn run(connections: Vec<Connection>, requests: usize) -> io::Result<Vec<Connection>> {
    let left = Rc::new(Cell::new(requests));
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        let left = left.clone();
        tasks.spawn_local(async move {
            while let Some(next) = left.get().checked_sub(1) {
                left.set(next);
                connection.exchange().await?;
            }
            io::Result::Ok(connection)
        });
    }
    tasks.join_all().await.into_iter().collect()
}

async fn measure(arguments: Vec<String>) -> io::Result<()> {
    let [address, requests, warm_up, count, path, tls @ ..] = arguments.as_slice() else {
        panic!("five arguments are needed, and optionally tls")
    };
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let all = Rc::new(Requests::new(address, path));
    let mut connections = Vec::new();
    for _ in 0..number(count) {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> =
            if tls.is_empty() { Box::new(stream) } else { Box::new(tls::connect(stream).await?) };
        let requests = all.clone();
        connections.push(Connection { stream, requests, request: Vec::new(), buffer: vec![0; 4096] });
    }
    let connections = run(connections, number(warm_up)).await?;
    println!("warm");
    wait_for_line()?;
    let start = Instant::now();
    let _connections = run(connections, number(requests)).await?;
    println!("done {:.6}", start.elapsed().as_secs_f64());
    wait_for_line()
}

fn wait_for_line() -> io::Result<()> {
    io::stdin().lock().read_line(&mut String::new()).map(|_| ())
}

fn main() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, measure(std::env::args().skip(1).collect()))
}
