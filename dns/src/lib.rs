//! DNS without sockets: bytes and text in, bytes and frozen data out.
//!
//! ```text
//!  master file ─ zonefile::parse ─▶ ZoneData ─┐
//!                                             ├─ Zones::freeze ─▶ Zones     (once per change)
//!  services ──────── ServiceNode ─────────────┘                     │
//!                                                                   ▼
//!  query ─ Request::parse ─▶ Request ─ LowerName ─▶ Zones::resolve ─▶ Resolution
//!              │                                                        │
//!              └─▶ Drop | Refusal ─▶ error reply      Resolution::write ─▶ Writer ─▶ reply
//! ```
//!
//! | to … | use | RFC |
//! |---|---|---|
//! | hold or compare a name | [`name::Name`], [`name::NameRef`], [`name::LowerName`] | 1035, 4343 |
//! | read a query | [`wire::Request`] | 1035, 9619 |
//! | read EDNS and client subnets | [`edns::Edns`], [`edns::ClientSubnet`] | 6891, 7871 |
//! | make and judge server cookies | [`edns::cookie::Secrets`] | 7873, 9018 |
//! | find what to answer | [`zone::Zones::resolve`] into a [`resolve::Resolution`] | 1034, 4592, 6672 |
//! | verify and sign messages | [`tsig::Request`], [`tsig::Variables`] | 8945 |
//! | write a reply | [`wire::Writer`], [`edns::Reply`] | 1035, 2181, 9471 |
//! | change a zone by message | [`update::Changes`] into [`zone::ZoneData::edit`] | 2136 |
//! | load zones | [`zonefile::parse`], [`zone::ZoneData`], [`zone::Zones::freeze`] | 1035, 2181, 3597 |
//! | read, check or print record data | [`rdata::parse`], [`rdata::check`], [`rdata::Rdata`] | 1035, 3597 |
//!
//! The path from query to reply allocates nothing, and its work is bounded by the message, the
//! length of the chain and the depth of the zones. Nothing here reads a clock, a file, a socket
//! or the system's randomness; the key of the hash table is an argument.
//!
//! ```
//! # use dns::{edns, name::LowerName, resolve::Resolution, rr::{Rtype, Ttl}, wire, zone::Zones};
//! fn answer(zones: &Zones, name: &mut LowerName, query: &[u8], out: &mut [u8]) -> usize {
//!     let request = match wire::Request::parse(query) {
//!         Ok(request) => request,
//!         Err(wire::Malformed::Drop(_)) => return 0,
//!         Err(wire::Malformed::Refuse(refusal)) => return refusal.write(out, 1232),
//!     };
//!     let Some(question) = request.question else { return 0 };
//!     name.read(question.name);
//!     let mut found = Resolution::new();
//!     zones.resolve(name, question.qtype, &mut found);
//!
//!     let opt = request.edns.as_ref().map(|edns| edns::Reply {
//!         payload: 1232,
//!         do_bit: edns.do_bit,
//!         subnet: edns.subnet,
//!         ..edns::Reply::default()
//!     });
//!     let limit = request.edns.as_ref().map_or(512, |edns| usize::from(edns.payload.min(1232)));
//!     let reserve = opt.as_ref().map_or(0, edns::Reply::encoded_len);
//!     let writer = wire::Writer::reply(out, limit, &request.header, Some(&question), reserve);
//!     let Ok(mut writer) = writer else { return 0 };
//!     found.write(&mut writer, |writer, section, owner, _service, rtype| {
//!         let addresses = [[192, 0, 2, 1], [192, 0, 2, 2]];
//!         let _ = writer.rrset_with(section, owner, rtype, Ttl::from_secs(60), addresses);
//!     });
//!     writer.finish(found.rcode(), opt.as_ref())
//! }
//! # let query = b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03geo\x07Example\0\0\x01\0\x01";
//! # assert_eq!(answer(&Zones::empty(), &mut LowerName::new(), query, &mut [0; 512]), query.len());
//! ```
#![forbid(unsafe_code)]

/// Whether the process is to suffer from a defect (`mutation`): never, without the feature
/// `mutations`.
#[cfg(feature = "mutations")]
#[macro_export]
macro_rules! mutated {
    ($defect:ident) => {
        $crate::mutation::is_on($crate::mutation::Defect::$defect)
    };
}

/// Whether the process is to suffer from a defect: never, without the feature `mutations`.
#[cfg(not(feature = "mutations"))]
#[macro_export]
macro_rules! mutated {
    ($defect:ident) => {
        false
    };
}

pub mod edns;
#[cfg(feature = "mutations")]
pub mod mutation;
pub mod name;
pub mod rdata;
pub mod resolve;
pub mod rr;
pub mod tsig;
pub mod update;
pub mod wire;
pub mod zone;
pub mod zonefile;
