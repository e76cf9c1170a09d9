//! Compiles every .proto file with protox, so that no `protoc` is needed on the machine.

#![expect(clippy::disallowed_methods, reason = "cargo tells a build script its folder by variable")]

use std::path::PathBuf;

const FILES: [&str; 2] = ["geoping/v1/geoping.proto", "dnsrouter/v1/dnsrouter.proto"];

// The generator writes `#[allow]`s without a reason, which our own code may not.
const GENERATED: &str =
    "#[allow(clippy::allow_attributes_without_reason, reason = \"generated code\")]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    tonic_prost_build::configure()
        .build_transport(false)
        .server_mod_attribute(".", GENERATED)
        .client_mod_attribute(".", GENERATED)
        .compile_fds(descriptors)?;
    Ok(())
}
