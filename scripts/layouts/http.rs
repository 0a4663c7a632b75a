use std::hint::black_box;

fn main() {
    let uri = black_box("http://localhost/path").parse::<http::Uri>().unwrap();
    let mut request = http::Request::builder().method("GET").uri(uri).header("a", "b").body(Vec::<u8>::new()).unwrap();
    black_box(&mut request).headers_mut().insert("c", "d".parse().unwrap());
    let (parts, _) = request.into_parts();
    let small = http::Request::from_parts(parts, ());
    let (parts, _) = black_box(small).into_parts();
    let large = http::Request::from_parts(parts, [0u64; 64]);
    std::process::exit(black_box(large).uri().path().len() as i32);
}
