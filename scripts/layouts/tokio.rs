fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
}
