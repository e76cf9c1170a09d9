//! Compiles every .proto file with protox, so that no `protoc` is needed on the machine.

use std::path::PathBuf;

const FILES: [&str; 2] = ["geoping/v1/geoping.proto", "dnsrouter/v1/dnsrouter.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure().build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
