//! The wire format of Protocol Buffers, field by field: <https://protobuf.dev/programming-guides/encoding/>.

pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// Fields of a message with their numbers; ends with `Err` where it is not well-formed.
pub struct Fields<'a>(&'a [u8]);

pub struct Malformed;

pub fn fields(message: &[u8]) -> Fields<'_> {
    Fields(message)
}

impl<'a> Fields<'a> {
    fn take(&mut self, size: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(size).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut result = 0;
        for index in 0..10 {
            let byte = self.take(1)?[0];
            result |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Some(result);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let size = self.varint()?;
                Value::Bytes(self.take(size)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

/// Calls `each` with the messages in the fields at the end of `path`, a field number for each level.
pub fn each_at<'a>(
    message: &'a [u8],
    path: &[u64],
    each: &mut dyn FnMut(&'a [u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let [wanted, rest @ ..] = path else { return each(message) };
    for field in fields(message) {
        match field? {
            (number, Value::Bytes(bytes)) if number == *wanted => each_at(bytes, rest, each)?,
            _ => {}
        }
    }
    Ok(())
}
