use std::hint::black_box;

fn main() {
    let request = reqwest::blocking::Client::new().get(black_box("http://localhost/")).build().unwrap();
    let other = reqwest::Client::new().get(black_box("http://localhost/")).build().unwrap();
    std::process::exit((black_box(request).url().as_str().len() + black_box(other).url().as_str().len()) as i32);
}
