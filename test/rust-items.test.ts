import assert from 'node:assert/strict';
import { test } from 'node:test';

interface SourceSpan {
  readonly name: string;
  readonly first: number;
  readonly last: number;
}

const SCRIPT = new URL('../../scripts/spans/rust-items.mjs', import.meta.url);
const { functionsOf } = (await import(SCRIPT.href)) as {
  functionsOf: (source: string) => readonly SourceSpan[];
};

const SOURCE = `
/// fn not_this() {}
pub(crate) fn plain<T: Into<[u8; 4]>>(x: T) -> [u8; 4] { x.into() }

struct Holder<T> { marker: PhantomData<fn(T)> }

impl<'a, B> Reader<'a, B>
where
    B: AsRef<[u8]>,
{
    const BRACE: char = '{';
    fn read(&mut self) -> Option<fn(u8) -> u8> {
        let text = "} fn no() {"; /* { /* nested */ */
        let raw = r#"" } "#;
        fn inner() {
            let _ = '}';
        }
        inner();
        None
    }
}

impl<T> crate::Transaction for super::Server<T> {
    type Out = ();
    fn parse(&self) -> impl Fn(u8) -> u8 {
        |x| { x }
    }
}

trait Body { fn required(&self); fn given(&self) {
    } }

mod tests {
    fn test_only() {}
}
`;

test('functions, their lines and whose they are', () => {
  const found = functionsOf(SOURCE).map(({ name, first, last }) => `${name} ${first} ${last}`);
  assert.deepEqual(found, [
    'plain 3 3',
    'Reader::read 12 20',
    'Reader::read::inner 15 17',
    '<Server as Transaction>::parse 25 27',
    'Body::given 30 31',
  ]);
});
