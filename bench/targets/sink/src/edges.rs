//! Is each CLIENT span below the SERVER span of the request it was made for? The paths of both end in the
//! number of that request.
use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::count::SPANS;
use crate::fields::{each_at, fields, Malformed, Value};

// opentelemetry/proto/trace/v1/trace.proto and common.proto
const TRACE_ID: u64 = 1;
const SPAN_ID: u64 = 2;
const PARENT_ID: u64 = 4;
const KIND: u64 = 6;
const KIND_SERVER: u64 = 2;
const KIND_CLIENT: u64 = 3;
const ATTRIBUTES: u64 = 9;
const KEY: u64 = 1;
const VALUE: u64 = 2;
const STRING: u64 = 1;

#[derive(Default)]
struct Span {
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    kind: u64,
    /// None: its path ends in none.
    number: Option<u64>,
}

impl Span {
    fn is_call_of(&self, parent: &Span) -> bool {
        parent.trace == self.trace && parent.number.is_some() && parent.number == self.number
    }
}

#[derive(Default)]
pub struct Edges {
    /// By span id.
    servers: HashMap<Vec<u8>, Span>,
    clients: Vec<Span>,
}

#[derive(Default, Debug, PartialEq)]
pub struct Verdict {
    pub right: usize,
    /// Under the span of another request.
    pub wrong: usize,
    /// Under a span that never came.
    pub lost: usize,
    /// Without a parent.
    pub unknown: usize,
    /// Requests that no CLIENT span belongs to by its number.
    pub missing: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {} {}", self.right, self.wrong, self.lost, self.unknown, self.missing)
    }
}

impl Edges {
    pub fn add(&mut self, request: &[u8]) -> Result<(), Malformed> {
        each_at(request, &SPANS, &mut |bytes| {
            let span = read_span(bytes)?;
            match span.kind {
                KIND_SERVER => drop(self.servers.insert(span.id.clone(), span)),
                KIND_CLIENT => self.clients.push(span),
                _ => {}
            }
            Ok(())
        })
    }

    /// Of what has come since the last time.
    pub fn judge(&mut self) -> Verdict {
        let servers = std::mem::take(&mut self.servers);
        let clients = std::mem::take(&mut self.clients);
        let mut verdict = Verdict::default();
        for client in &clients {
            *match servers.get(&client.parent) {
                _ if client.parent.is_empty() => &mut verdict.unknown,
                None => &mut verdict.lost,
                Some(parent) if client.is_call_of(parent) => &mut verdict.right,
                Some(_) => &mut verdict.wrong,
            } += 1;
        }
        let called: HashSet<_> = clients.iter().map(|client| client.number).collect();
        verdict.missing = servers.values().filter(|server| !called.contains(&server.number)).count();
        verdict
    }
}

fn read_span(message: &[u8]) -> Result<Span, Malformed> {
    let mut span = Span::default();
    for field in fields(message) {
        match field? {
            (TRACE_ID, Value::Bytes(bytes)) => span.trace = bytes.to_vec(),
            (SPAN_ID, Value::Bytes(bytes)) => span.id = bytes.to_vec(),
            (PARENT_ID, Value::Bytes(bytes)) => span.parent = bytes.to_vec(),
            (KIND, Value::Number(kind)) => span.kind = kind,
            (ATTRIBUTES, Value::Bytes(bytes)) => span.number = path_number(bytes)?.or(span.number),
            _ => {}
        }
    }
    Ok(span)
}

/// Of a KeyValue that tells a path.
fn path_number(attribute: &[u8]) -> Result<Option<u64>, Malformed> {
    let mut is_path = false;
    let mut number = None;
    for field in fields(attribute) {
        match field? {
            (KEY, Value::Bytes(key)) => is_path = matches!(key, b"url.path" | b"url.full"),
            (VALUE, Value::Bytes(value)) if is_path => {
                each_at(value, &[STRING], &mut |text| {
                    number = last_number(text);
                    Ok(())
                })?;
            }
            _ => {}
        }
    }
    Ok(number)
}

fn last_number(path: &[u8]) -> Option<u64> {
    std::str::from_utf8(path).ok()?.rsplit('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    fn span(kind: u64, trace: u8, id: u8, parent: &[u8], path: &str) -> Vec<u8> {
        let key = if kind == KIND_SERVER { "url.path" } else { "url.full" };
        let value = field(2, &field(1, path.as_bytes()));
        let attribute = field(9, &[field(1, key.as_bytes()), value].concat());
        let ids = [field(1, &[trace; 16]), field(2, &[id; 8]), field(4, parent)].concat();
        field(2, &[ids, vec![6 << 3, kind as u8], attribute].concat())
    }

    fn verdict(spans: &[Vec<u8>]) -> Verdict {
        let mut edges = Edges::default();
        for span in spans {
            assert!(edges.add(&field(1, &field(2, span))).is_ok());
        }
        edges.judge()
    }

    #[test]
    fn judges_each_client_span_by_the_number_of_its_parent() {
        let judged = verdict(&[
            span(KIND_SERVER, 1, 1, &[], "/users/7"),
            span(KIND_SERVER, 2, 2, &[], "/users/8"),
            span(KIND_SERVER, 3, 3, &[], "/users/9"),
            span(KIND_CLIENT, 1, 11, &[1; 8], "http://127.0.0.1:1/items/7"),
            span(KIND_CLIENT, 1, 12, &[1; 8], "http://127.0.0.1:1/items/8"),
            span(KIND_CLIENT, 9, 13, &[1; 8], "http://127.0.0.1:1/items/7"),
            span(KIND_CLIENT, 1, 14, &[5; 8], "http://127.0.0.1:1/items/7"),
            span(KIND_CLIENT, 4, 15, &[], "http://127.0.0.1:1/items/7"),
        ]);
        assert_eq!(judged, Verdict { right: 1, wrong: 2, lost: 1, unknown: 1, missing: 1 });
    }

    #[test]
    fn forgets_what_it_has_judged() {
        let mut edges = Edges::default();
        let server = span(KIND_SERVER, 1, 1, &[], "/users/7");
        assert!(edges.add(&field(1, &field(2, &server))).is_ok());
        assert_eq!(edges.judge().missing, 1);
        assert_eq!(edges.judge(), Verdict::default());
    }
}
