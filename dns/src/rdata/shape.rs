//! Which parts the data of which type has.

use super::codes::{
    ALGORITHMS, CERTIFICATES, DIGESTS, MATCHINGS, PROTOCOLS, SCHEMES, SELECTORS, USAGES,
};
use super::field::Field::{self, *};
use crate::rr::Rtype;

/// The parts of a type's data in their order; `None` for types whose data is opaque.
pub(super) fn of(rtype: Rtype) -> Option<&'static [Field]> {
    Some(match rtype {
        Rtype::A => &[Ip4],
        Rtype::AAAA => &[Ip6],
        Rtype::NS
        | Rtype::MD
        | Rtype::MF
        | Rtype::CNAME
        | Rtype::MB
        | Rtype::MG
        | Rtype::MR
        | Rtype::PTR
        | Rtype::NSAP_PTR
        | Rtype::DNAME => &[Name],
        Rtype::SOA => &[Name, Name, U32, Seconds, Seconds, Seconds, Seconds],
        Rtype::WKS => &[Wks],
        Rtype::HINFO => &[String, String],
        Rtype::MINFO | Rtype::RP | Rtype::TALINK => &[Name, Name],
        Rtype::MX | Rtype::AFSDB | Rtype::RT | Rtype::KX | Rtype::LP => &[U16, Name],
        Rtype::TXT
        | Rtype::SPF
        | Rtype::NINFO
        | Rtype::AVC
        | Rtype::RESINFO
        | Rtype::WALLET
        | Rtype::CLA => &[Strings],
        Rtype::X25 => &[Digits],
        Rtype::ISDN => &[String, OptionalString],
        Rtype::NSAP => &[Nsap],
        Rtype::SIG | Rtype::RRSIG => {
            &[Type, Code8(ALGORITHMS), U8, U32, Stamp, Stamp, U16, Name, Base64]
        }
        Rtype::KEY => &[U16, Code8(PROTOCOLS), Code8(ALGORITHMS), OptionalBase64],
        Rtype::PX => &[U16, Name, Name],
        Rtype::GPOS => &[String, String, String],
        Rtype::LOC => &[Loc],
        Rtype::NXT => &[Name, NxtTypes],
        Rtype::EID | Rtype::NIMLOC => &[Hex],
        Rtype::SRV => &[U16, U16, U16, Name],
        Rtype::ATMA => &[Atma],
        Rtype::NAPTR => &[U16, U16, String, String, String, Name],
        Rtype::CERT => &[Code16(CERTIFICATES), U16, Code8(ALGORITHMS), Base64],
        Rtype::A6 => &[A6],
        Rtype::SINK => &[U8, U8, U8, OptionalBase64],
        Rtype::APL => &[Apl],
        Rtype::DS | Rtype::TA | Rtype::DLV => &[U16, Code8(ALGORITHMS), Code8(DIGESTS), Hex],
        Rtype::CDS => &[U16, Code8(ALGORITHMS), Code8(DIGESTS), ZeroHex],
        Rtype::SSHFP => &[U8, U8, Hex],
        Rtype::IPSECKEY => &[IpsecKey, OptionalBase64],
        Rtype::NSEC => &[Name, Types],
        Rtype::DNSKEY | Rtype::RKEY => &[U16, U8, Code8(ALGORITHMS), Base64],
        Rtype::CDNSKEY => &[U16, U8, Code8(ALGORITHMS), ZeroBase64],
        Rtype::DHCID | Rtype::OPENPGPKEY | Rtype::HHIT | Rtype::BRID => &[Base64],
        Rtype::NSEC3 => &[U8, U8, U16, Salt, Base32, OptionalTypes],
        Rtype::NSEC3PARAM => &[U8, U8, U16, Salt],
        Rtype::TLSA | Rtype::SMIMEA => &[Code8(USAGES), Code8(SELECTORS), Code8(MATCHINGS), Hex],
        Rtype::HIP => &[Hip, Names],
        Rtype::CSYNC => &[U32, U16, OptionalTypes],
        Rtype::ZONEMD => &[U32, U8, U8, Hex],
        Rtype::SVCB | Rtype::HTTPS => &[U16, Name, Params],
        Rtype::DSYNC => &[Type, Code8(SCHEMES), U16, Name],
        Rtype::NID | Rtype::L64 => &[U16, Groups],
        Rtype::L32 => &[U16, Ip4],
        Rtype::EUI48 => &[Eui48],
        Rtype::EUI64 => &[Eui64],
        Rtype::URI => &[U16, U16, Target],
        Rtype::CAA => &[U8, Tag, Text],
        Rtype::DOA => &[U32, U32, U8, String, DashBase64],
        Rtype::AMTRELAY => &[AmtRelay],
        Rtype::IPN => &[U64],
        _ => return None,
    })
}
