//! Counts the spans of a protobuf ExportTraceServiceRequest without decoding them.
use crate::fields::{each_at, Malformed};

/// ExportTraceServiceRequest.resource_spans = 1, ResourceSpans.scope_spans = 2, ScopeSpans.spans = 2
pub const SPANS: [u64; 3] = [1, 2, 2];

pub fn spans(request: &[u8]) -> Result<u64, Malformed> {
    let mut total = 0;
    each_at(request, &SPANS, &mut |_| {
        total += 1;
        Ok(())
    })?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_spans_of_all_groups() {
        let scope = [0x12, 0, 0x12, 2, 0x0a, 0]; // two spans
        let resource = [&[0x0a, 0, 0x12, 6][..], &scope, &[0x12, 6], &scope].concat();
        let request = [&[0x0a, resource.len() as u8][..], &resource].concat();
        assert_eq!(super::spans(&request).ok(), Some(4));
        assert_eq!(super::spans(&request[..request.len() - 1]).ok(), None);
        assert_eq!(super::spans(&[]).ok(), Some(0));
    }
}
