//! The parts that record data is made of.

use super::codes::Codes;
use super::cursor::Cursor;
use super::{address, encode, gateway, hip, loc, number, params, prefix, strings, types, wks};
use crate::name::NameRef;
use crate::rr::Rtype;
use crate::zonefile::Fault;
use std::fmt;

/// One part. Numbers are big endian. What may be absent takes no octets then, and no word.
#[derive(Clone, Copy)]
pub(super) enum Field {
    U8,
    U16,
    U32,
    U64,
    /// Four octets; in text with units at will.
    Seconds,
    /// Seconds since 1970; in text a date and time.
    Stamp,
    /// One octet that has words for some numbers.
    Code8(&'static Codes),
    /// Two octets likewise.
    Code16(&'static Codes),
    /// A record type.
    Type,
    Name,
    /// Names up to the end; may be absent.
    Names,
    String,
    /// May be absent.
    OptionalString,
    /// At least one, up to the end.
    Strings,
    /// A string of digits: an X.25 address.
    Digits,
    /// A string of letters and digits: a CAA tag.
    Tag,
    /// All the rest as one string, without its length; may be empty.
    Text,
    /// The same, of at least one octet.
    Target,
    /// All the rest in hexadecimal, at least one octet.
    Hex,
    /// All the rest in base64, at least one octet.
    Base64,
    /// The same, and may be absent.
    OptionalBase64,
    /// The same as [`Field::Base64`] or `-` for nothing.
    DashBase64,
    /// As [`Field::Hex`], and a single `0` is an octet of zero (RFC 8078 §4).
    ZeroHex,
    /// As [`Field::Base64`], likewise.
    ZeroBase64,
    /// Length and octets, in hexadecimal or `-` for none (RFC 5155 §3.3).
    Salt,
    /// Length and at least one octet, in base32hex.
    Base32,
    Ip4,
    Ip6,
    Eui48,
    Eui64,
    /// Eight octets as four groups.
    Groups,
    /// Record types in windows, up to the end.
    Types,
    /// The same, and may be absent.
    OptionalTypes,
    /// Record types in one bitmap, up to the end.
    NxtTypes,
    Nsap,
    Atma,
    Wks,
    A6,
    /// Prefixes up to the end; may be absent.
    Apl,
    Loc,
    /// An IPSECKEY up to its key.
    IpsecKey,
    AmtRelay,
    /// A HIP up to its rendezvous servers.
    Hip,
    /// Service parameters up to the end; may be absent.
    Params,
}

impl Field {
    /// Whether the part leaves no word when it has no octets.
    pub(super) fn vanishes(self) -> bool {
        matches!(
            self,
            Field::Names
                | Field::OptionalString
                | Field::OptionalBase64
                | Field::OptionalTypes
                | Field::Apl
                | Field::Params
        )
    }

    /// Reads the words of this part and appends its octets.
    pub(super) fn read(self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Field::U8 => out.push(number::read(cursor, u8::MAX.into())? as u8),
            Field::U16 => put(&(number::read(cursor, u16::MAX.into())? as u16).to_be_bytes(), out),
            Field::U32 => put(&(number::read(cursor, u32::MAX.into())? as u32).to_be_bytes(), out),
            Field::U64 => put(&number::read(cursor, u64::MAX)?.to_be_bytes(), out),
            Field::Seconds => put(&number::read_seconds(cursor)?.to_be_bytes(), out),
            Field::Stamp => put(&number::read_stamp(cursor)?.to_be_bytes(), out),
            Field::Code8(codes) => out.push(codes.read(cursor, u8::MAX.into())? as u8),
            Field::Code16(codes) => put(&codes.read(cursor, u16::MAX)?.to_be_bytes(), out),
            Field::Type => put(&types::read_one(cursor)?.0.to_be_bytes(), out),
            Field::Name => put(cursor.word("a name")?.name(cursor.origin())?.wire(), out),
            Field::Names => {
                while !cursor.is_empty() {
                    Field::Name.read(cursor, out)?;
                }
            }
            Field::OptionalString | Field::OptionalBase64 if cursor.is_empty() => {}
            Field::String | Field::OptionalString => strings::read(cursor, out)?,
            Field::Strings => strings::read_all(cursor, out)?,
            Field::Digits => strings::read_digits(cursor, out)?,
            Field::Tag => strings::read_tag(cursor, out)?,
            Field::Text | Field::Target => strings::read_text(cursor, out)?,
            Field::ZeroHex | Field::ZeroBase64 if is_single(cursor, b"0") => {
                cursor.word("0")?;
                out.push(0);
            }
            Field::Hex | Field::ZeroHex => encode::read_hex(cursor, out)?,
            Field::DashBase64 if is_single(cursor, b"-") => {
                cursor.word("-")?;
            }
            Field::Base64 | Field::OptionalBase64 | Field::DashBase64 | Field::ZeroBase64 => {
                encode::read_base64(cursor, out)?;
            }
            Field::Salt => encode::read_salt(cursor, out)?,
            Field::Base32 => encode::read_base32(cursor, out)?,
            Field::Ip4 => put(&address::read_ip4(cursor)?.octets(), out),
            Field::Ip6 => put(&address::read_ip6(cursor)?.octets(), out),
            Field::Eui48 => address::read_eui::<6>(cursor, out)?,
            Field::Eui64 => address::read_eui::<8>(cursor, out)?,
            Field::Groups => address::read_groups(cursor, out)?,
            Field::Types => types::read(cursor, false, out)?,
            Field::OptionalTypes => types::read(cursor, true, out)?,
            Field::NxtTypes => types::read_nxt(cursor, out)?,
            Field::Nsap => address::read_nsap(cursor, out)?,
            Field::Atma => address::read_atma(cursor, out)?,
            Field::Wks => wks::read(cursor, out)?,
            Field::A6 => prefix::read_a6(cursor, out)?,
            Field::Apl => prefix::read_apl(cursor, out)?,
            Field::Loc => loc::read(cursor, out)?,
            Field::IpsecKey => gateway::read_ipseckey(cursor, out)?,
            Field::AmtRelay => gateway::read_amtrelay(cursor, out)?,
            Field::Hip => hip::read(cursor, out)?,
            Field::Params => params::read(cursor, out)?,
        }
        Ok(())
    }

    /// How many of these octets are the part's; `None` if they cannot be.
    pub(super) fn len(self, octets: &[u8]) -> Option<usize> {
        let fixed = |length: usize| (octets.len() >= length).then_some(length);
        let rest = |least: usize| (octets.len() >= least).then_some(octets.len());
        match self {
            Field::U8 | Field::Code8(_) => fixed(1),
            Field::U16 | Field::Code16(_) | Field::Type => fixed(2),
            Field::U32 | Field::Seconds | Field::Stamp | Field::Ip4 => fixed(4),
            Field::U64 | Field::Eui64 | Field::Groups => fixed(8),
            Field::Ip6 => fixed(16),
            Field::Eui48 => fixed(6),
            Field::Name => NameRef::parse(octets).ok().map(NameRef::wire_len),
            Field::Names => {
                let mut at = 0;
                while at < octets.len() {
                    at += Field::Name.len(&octets[at..])?;
                }
                Some(at)
            }
            Field::OptionalString if octets.is_empty() => Some(0),
            Field::String | Field::OptionalString | Field::Salt => strings::len(octets),
            Field::Base32 => strings::len(octets).filter(|&length| length > 1),
            Field::Strings => strings::len_all(octets),
            Field::Digits => strings::len_digits(octets),
            Field::Tag => strings::len_tag(octets),
            Field::Text | Field::OptionalBase64 | Field::DashBase64 => rest(0),
            Field::Hex
            | Field::Base64
            | Field::ZeroHex
            | Field::ZeroBase64
            | Field::Target
            | Field::Nsap => rest(1),
            Field::Types => types::len(octets, false),
            Field::OptionalTypes => types::len(octets, true),
            Field::NxtTypes => types::len_nxt(octets),
            Field::Atma => address::len_atma(octets),
            Field::Wks => wks::len(octets),
            Field::A6 => prefix::len_a6(octets),
            Field::Apl => prefix::len_apl(octets),
            Field::Loc => loc::len(octets),
            Field::IpsecKey => gateway::len_ipseckey(octets),
            Field::AmtRelay => gateway::len_amtrelay(octets),
            Field::Hip => hip::len(octets),
            Field::Params => params::len(octets),
        }
    }

    /// Shows octets that [`Field::len`] found to be this part.
    pub(super) fn show(self, octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::U8 | Field::U16 | Field::U32 | Field::U64 | Field::Seconds => {
                write!(f, "{}", number(octets))
            }
            Field::Stamp => number::show_stamp(number(octets) as u32, f),
            Field::Code8(codes) | Field::Code16(codes) => codes.show(number(octets) as u16, f),
            Field::Type => write!(f, "{}", Rtype(number(octets) as u16)),
            Field::Name | Field::Names => {
                let mut rest = octets;
                while let Ok(name) = NameRef::parse(rest) {
                    let separator = if rest.len() < octets.len() { " " } else { "" };
                    write!(f, "{separator}{name}")?;
                    rest = &rest[name.wire_len()..];
                }
                Ok(())
            }
            Field::String | Field::OptionalString | Field::Strings | Field::Digits => {
                strings::show(octets, f)
            }
            Field::Tag => strings::show_tag(octets, f),
            Field::Text | Field::Target => strings::show_quoted(octets, f),
            Field::Hex | Field::ZeroHex => encode::show_hex(octets, f),
            Field::DashBase64 if octets.is_empty() => f.write_str("-"),
            Field::Base64 | Field::OptionalBase64 | Field::DashBase64 | Field::ZeroBase64 => {
                encode::show_base64(octets, f)
            }
            Field::Salt => encode::show_salt(octets, f),
            Field::Base32 => encode::show_base32(&octets[1..], f),
            Field::Ip4 => address::ip4(octets).map_or(Ok(()), |address| write!(f, "{address}")),
            Field::Ip6 => address::ip6(octets).map_or(Ok(()), |address| write!(f, "{address}")),
            Field::Eui48 | Field::Eui64 => address::show_eui(octets, f),
            Field::Groups => address::show_groups(octets, f),
            Field::Types | Field::OptionalTypes => types::show(octets, f),
            Field::NxtTypes => types::show_nxt(octets, f),
            Field::Nsap => address::show_nsap(octets, f),
            Field::Atma => address::show_atma(octets, f),
            Field::Wks => wks::show(octets, f),
            Field::A6 => prefix::show_a6(octets, f),
            Field::Apl => prefix::show_apl(octets, f),
            Field::Loc => loc::show(octets, f),
            Field::IpsecKey => gateway::show_ipseckey(octets, f),
            Field::AmtRelay => gateway::show_amtrelay(octets, f),
            Field::Hip => hip::show(octets, f),
            Field::Params => params::show(octets, f),
        }
    }
}

fn put(octets: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(octets);
}

/// Whether this is all that is left.
fn is_single(cursor: &Cursor<'_>, text: &[u8]) -> bool {
    cursor.left() == 1 && cursor.peek().is_some_and(|token| token.text == text)
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |number, &octet| number << 8 | u64::from(octet))
}
