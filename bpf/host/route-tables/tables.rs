use std::collections::hash_map::RandomState;
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::sync::Arc;
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct RouteId(u32);
#[derive(Default)]
struct Identity(u64);
impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e3779b97f4a7c15)
    }
    fn write(&mut self, b: &[u8]) {
        for x in b {
            self.0 = self.0 << 8 | *x as u64;
        }
    }
}
unsafe fn words(p: *const u8, n: usize) -> Vec<u64> {
    (0..n)
        .map(|i| unsafe { *(p as *const u64).add(i) })
        .collect()
}
fn hex(b: &[u8]) -> String {
    b.iter().map(|x| format!("{x:02x}")).collect()
}
fn template(id: u32) -> String {
    format!("/r{id}/{{id}}")
}
fn dump<S: BuildHasher>(name: &str, map: &HashMap<RouteId, Arc<str>, S>, last: bool) {
    let at = map as *const _ as *const u8;
    let size = std::mem::size_of_val(map);
    let w = unsafe { words(at, 2) };
    let (control, mask) = (w[0], w[1]);
    let buckets = (mask as usize) + 1;
    let data = control as usize - buckets * 24;
    let table =
        unsafe { std::slice::from_raw_parts(data as *const u8, buckets * 24 + buckets + 16) };
    let head = unsafe { std::slice::from_raw_parts(at, size) };
    println!("  {{\n    \"name\": \"{name}\",\n    \"map\": {{ \"address\": \"{}\", \"bytes\": \"{}\" }},", at as usize, hex(head));
    println!(
        "    \"table\": {{ \"address\": \"{data}\", \"bytes\": \"{}\" }},\n    \"templates\": [",
        hex(table)
    );
    let n = map.len();
    for (i, (id, t)) in map.iter().enumerate() {
        let arc = t.as_ptr() as usize - 16;
        let bytes = unsafe { std::slice::from_raw_parts(arc as *const u8, 16 + t.len()) };
        println!("      {{ \"id\": {}, \"text\": \"{t}\", \"address\": \"{arc}\", \"bytes\": \"{}\" }}{}", id.0, hex(bytes), if i + 1 < n { "," } else { "" });
    }
    println!("    ]\n  }}{}", if last { "" } else { "," });
}
fn main() {
    println!("[");
    for n in [1u32, 3, 7, 8, 28, 60, 200] {
        let mut map: HashMap<RouteId, Arc<str>, RandomState> = HashMap::default();
        for id in 0..n {
            map.insert(RouteId(id), template(id).into());
        }
        dump(&format!("{n} routes"), &map, false);
    }
    let mut map: HashMap<RouteId, Arc<str>, RandomState> = HashMap::default();
    for id in 0..60 {
        map.insert(RouteId(id), template(id).into());
    }
    for id in (0..60).step_by(2) {
        map.remove(&RouteId(id));
    }
    dump("every second route removed", &map, false);
    let mut other: HashMap<RouteId, Arc<str>, BuildHasherDefault<Identity>> = HashMap::default();
    for id in 0..40 {
        other.insert(RouteId(id), template(id).into());
    }
    dump("another hasher", &other, true);
    println!("]");
}
