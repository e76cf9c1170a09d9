//! The wire forms between the programs: every `.proto` file, compiled.
//!
//! | package | spoken by | for |
//! |---|---|---|
//! | [`geoping::v1`] | clients and dnsrouter → geoping | which region answered, and how it is |
//! | [`dnsrouter::v1`] | geoip → dnsrouter | why an answer is what it is; the state of a node |
//!
//! Generated types stop at the shells: a core never takes one as an argument.

/// The descriptors of every package here, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Which region answered, and how it is.
pub mod geoping {
    /// Version 1; its first four reply fields never change.
    #[allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::unwrap_used,
        reason = "generated; documented in geoping.proto"
    )]
    pub mod v1 {
        tonic::include_proto!("geoping.v1");
    }
}

/// What people and other nodes ask a name server, beside DNS itself.
pub mod dnsrouter {
    /// Version 1.
    #[allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::unwrap_used,
        reason = "generated; documented in dnsrouter.proto"
    )]
    pub mod v1 {
        tonic::include_proto!("dnsrouter.v1");
    }
}
