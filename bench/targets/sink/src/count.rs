//! Counts the spans of a protobuf ExportTraceServiceRequest without decoding them.

/// `None`: not a well-formed message.
pub fn spans(request: &[u8]) -> Option<u64> {
    // ExportTraceServiceRequest.resource_spans = 1, ResourceSpans.scope_spans = 2, ScopeSpans.spans = 2
    sum(request, 1, &|resource_spans| {
        sum(resource_spans, 2, &|scope_spans| sum(scope_spans, 2, &|_| Some(1)))
    })
}

/// Sum of `value` over every length-delimited field with this number.
fn sum(mut message: &[u8], wanted: u64, value: &dyn Fn(&[u8]) -> Option<u64>) -> Option<u64> {
    let mut total = 0;
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => {
                varint(&mut message)?;
            }
            1 => message = message.get(8..)?,
            2 => {
                let size = usize::try_from(varint(&mut message)?).ok()?;
                let field = message.get(..size)?;
                if tag >> 3 == wanted {
                    total += value(field)?;
                }
                message = &message[size..];
            }
            5 => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(total)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut result = 0;
    for index in 0..10 {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        result |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(result);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_spans_of_all_groups() {
        let scope = [0x12, 0, 0x12, 2, 0x0a, 0]; // two spans
        let resource = [&[0x0a, 0, 0x12, 6][..], &scope, &[0x12, 6], &scope].concat();
        let request = [&[0x0a, resource.len() as u8][..], &resource].concat();
        assert_eq!(super::spans(&request), Some(4));
        assert_eq!(super::spans(&request[..request.len() - 1]), None);
        assert_eq!(super::spans(&[]), Some(0));
    }
}
