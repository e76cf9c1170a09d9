//! Record types, classes, codes and RRsets.
//!
//! Numbers are newtypes, so that a type is never taken for a class; unknown ones print as RFC 3597
//! has it (`TYPE65280`). An [`RRset`] is a view of frozen octets; [`RRsetBuf`] owns them.

use std::fmt;
use std::str::FromStr;

/// A number of a DNS registry: the constants; `Display` and `FromStr` with the fallback of RFC 3597
/// §5 (`TYPE123`). What follows the constants is read, but never written.
macro_rules! codes {
    ($(#[$doc:meta])* $type:ident($int:ty), $prefix:literal, {
        $($(#[$item:meta])* $const:ident = $value:literal $text:literal,)*
    } $(, {
        $($alias:literal = $same:ident,)*
    })?) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(pub $int);

        impl $type {
            $($(#[$item])* pub const $const: $type = $type($value);)*

            /// The registry's mnemonic, where we know it.
            pub const fn mnemonic(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl std::str::FromStr for $type {
            type Err = $crate::rr::UnknownCode;

            /// Reads a mnemonic in any case, or the number with its prefix.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $(if text.eq_ignore_ascii_case($text) {
                    return Ok($type::$const);
                })*
                $($(if text.eq_ignore_ascii_case($alias) {
                    return Ok($type::$same);
                })*)?
                $crate::rr::number(text, $prefix).map($type).ok_or($crate::rr::UnknownCode)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.mnemonic() {
                    Some(text) => f.pad(text),
                    None => write!(f, concat!($prefix, "{}"), self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

/// The text is no mnemonic that we know, and no number with its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a known mnemonic nor a number with its prefix")]
pub struct UnknownCode;

/// Reads what RFC 3597 §5 has for numbers without a mnemonic: the prefix in any case and digits.
fn number<T: FromStr>(text: &str, prefix: &str) -> Option<T> {
    let (before, digits) = text.split_at_checked(prefix.len())?;
    let wanted = before.eq_ignore_ascii_case(prefix) && digits.bytes().all(|d| d.is_ascii_digit());
    if wanted { digits.parse().ok() } else { None }
}

mod rtype;

pub use rtype::Rtype;

codes! {
    /// A class, RFC 1035 §3.2.4.
    Class(u16), "CLASS", {
        /// The Internet.
        IN = 1 "IN",
        /// Chaos: `version.bind`, `id.server` (RFC 4892).
        CH = 3 "CH",
        /// Hesiod.
        HS = 4 "HS",
        /// In updates: delete, if the class is NONE (RFC 2136).
        NONE = 254 "NONE",
        /// Any class; only in questions and updates.
        ANY = 255 "ANY",
    }, {
        "CHAOS" = CH,
        "HESIOD" = HS,
        "*" = ANY,
    }
}

codes! {
    /// A response code; with EDNS it has 12 bits, of which the header holds the lower four.
    Rcode(u16), "RCODE", {
        /// No error.
        NOERROR = 0 "NOERROR",
        /// The server could not read the query.
        FORMERR = 1 "FORMERR",
        /// The server failed.
        SERVFAIL = 2 "SERVFAIL",
        /// The name does not exist.
        NXDOMAIN = 3 "NXDOMAIN",
        /// Not implemented.
        NOTIMP = 4 "NOTIMP",
        /// The server does not want to answer.
        REFUSED = 5 "REFUSED",
        /// A DNAME would have made a name too long (RFC 6672 §2.2), or a name that an update wants
        /// unused is in use (RFC 2136 §2.2).
        YXDOMAIN = 6 "YXDOMAIN",
        /// An RRset that an update wants absent exists (RFC 2136 §2.2).
        YXRRSET = 7 "YXRRSET",
        /// An RRset that an update wants does not exist (RFC 2136 §2.2).
        NXRRSET = 8 "NXRRSET",
        /// Not authoritative, or not authorised (RFC 2136, RFC 8945).
        NOTAUTH = 9 "NOTAUTH",
        /// A name in an update is outside of its zone (RFC 2136 §2.2).
        NOTZONE = 10 "NOTZONE",
        /// Unknown EDNS version (RFC 6891 §9). The same number is BADSIG inside a TSIG record.
        BADVERS = 16 "BADVERS",
        /// Bad or missing server cookie (RFC 7873 §8).
        BADCOOKIE = 23 "BADCOOKIE",
    }
}

impl Rcode {
    /// The four bits of the header.
    pub const fn low(self) -> u8 {
        (self.0 & 0x0f) as u8
    }

    /// The eight bits of the OPT record (RFC 6891 §6.1.3).
    pub const fn high(self) -> u8 {
        (self.0 >> 4) as u8
    }
}

codes! {
    /// What is asked of the server; four bits.
    Opcode(u8), "OPCODE", {
        /// A question.
        QUERY = 0 "QUERY",
        /// Inverse query, obsolete (RFC 3425).
        IQUERY = 1 "IQUERY",
        /// Status, never defined.
        STATUS = 2 "STATUS",
        /// A zone has changed (RFC 1996).
        NOTIFY = 4 "NOTIFY",
        /// Dynamic update (RFC 2136).
        UPDATE = 5 "UPDATE",
        /// Stateful operations (RFC 8490).
        DSO = 6 "DSO",
    }
}

/// Time to live in seconds, at most 2³¹ − 1 (RFC 2181 §8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(u32);

impl Ttl {
    /// The longest TTL, 2³¹ − 1 seconds.
    pub const MAX: Ttl = Ttl(0x7fff_ffff);
    /// Not to be cached.
    pub const ZERO: Ttl = Ttl(0);

    /// A TTL of so many seconds; with the top bit set it counts as zero (RFC 2181 §8).
    pub const fn from_secs(seconds: u32) -> Self {
        if seconds > Ttl::MAX.0 { Ttl::ZERO } else { Ttl(seconds) }
    }

    /// Seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// All records of one type at one name, class IN: a view that is cheap to copy.
///
/// The data is `count` times a length (two octets, big endian) and so many octets of RDATA, with
/// names uncompressed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RRset<'z> {
    /// The type of every record.
    pub rtype: Rtype,
    /// The one TTL of the set (RFC 2181 §5.2).
    pub ttl: Ttl,
    pub(crate) count: u16,
    pub(crate) data: &'z [u8],
}

impl<'z> RRset<'z> {
    /// The RDATA of each record, in stored order.
    #[inline]
    pub fn rdatas(&self) -> Rdatas<'z> {
        Rdatas { rest: self.data }
    }

    /// How many records.
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is none; a frozen zone never holds such a set.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Octets of all RDATA with their lengths: what orders RRsets by size.
    pub fn data_len(&self) -> usize {
        self.data.len()
    }

    /// The same set with another TTL.
    #[must_use]
    pub fn with_ttl(self, ttl: Ttl) -> Self {
        RRset { ttl, ..self }
    }
}

impl fmt::Debug for RRset<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.ttl, self.rtype)?;
        for rdata in self.rdatas() {
            write!(f, " {rdata:02x?}")?;
        }
        Ok(())
    }
}

/// See [`RRset::rdatas`].
#[derive(Clone, Debug)]
pub struct Rdatas<'z> {
    rest: &'z [u8],
}

impl<'z> Iterator for Rdatas<'z> {
    type Item = &'z [u8];

    #[inline]
    fn next(&mut self) -> Option<&'z [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<2>()?;
        let (rdata, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        self.rest = rest;
        Some(rdata)
    }
}

/// An RRset that owns its octets: for answers made by hand and for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RRsetBuf {
    rtype: Rtype,
    ttl: Ttl,
    count: u16,
    data: Vec<u8>,
}

impl RRsetBuf {
    /// An empty set.
    pub fn new(rtype: Rtype, ttl: Ttl) -> Self {
        RRsetBuf { rtype, ttl, count: 0, data: Vec::new() }
    }

    /// Adds a record. What does not fit the wire (RDATA or count over 65 535) is not added, and
    /// `false` is returned.
    pub fn push(&mut self, rdata: &[u8]) -> bool {
        let (Ok(length), Some(count)) = (u16::try_from(rdata.len()), self.count.checked_add(1))
        else {
            return false;
        };
        self.count = count;
        self.data.extend_from_slice(&length.to_be_bytes());
        self.data.extend_from_slice(rdata);
        true
    }

    /// The view that writers take.
    pub fn as_rrset(&self) -> RRset<'_> {
        RRset { rtype: self.rtype, ttl: self.ttl, count: self.count, data: &self.data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3597_5_unknown_numbers_have_names() {
        assert_eq!(Rtype::AAAA.to_string(), "AAAA");
        assert_eq!(Rtype(65280).to_string(), "TYPE65280");
        assert_eq!(Class(2).to_string(), "CLASS2");
        assert_eq!(Rcode::BADVERS.to_string(), "BADVERS");
        assert_eq!(Opcode(15).to_string(), "OPCODE15");
    }

    #[test]
    fn rfc3597_5_every_number_is_read_back() {
        for number in 0..=u16::MAX {
            let (rtype, class) = (Rtype(number), Class(number));
            assert_eq!(rtype.to_string().to_lowercase().parse(), Ok(rtype));
            assert_eq!(format!("TYPE{number}").parse(), Ok(rtype));
            assert_eq!(class.to_string().parse(), Ok(class));
            assert_eq!(format!("class{number}").parse(), Ok(class));
        }
        assert_eq!("*".parse(), Ok(Rtype::ANY));
        assert_eq!("nsap-ptr".parse(), Ok(Rtype::NSAP_PTR));
        assert_eq!("Chaos".parse(), Ok(Class::CH));
        for bad in ["", "TYPE", "TYPE65536", "TYPE+1", "TYPE-1", "TYPE 1", "TYPEA", "AA", "tÿpe1"]
        {
            assert_eq!(bad.parse::<Rtype>(), Err(UnknownCode), "{bad}");
        }
    }

    #[test]
    fn rfc6891_6_1_3_extended_rcodes_split() {
        assert_eq!((Rcode::BADVERS.low(), Rcode::BADVERS.high()), (0, 1));
        assert_eq!((Rcode::BADCOOKIE.low(), Rcode::BADCOOKIE.high()), (7, 1));
        assert_eq!((Rcode::REFUSED.low(), Rcode::REFUSED.high()), (5, 0));
    }

    #[test]
    fn rfc2181_8_a_ttl_with_the_top_bit_is_zero() {
        assert_eq!(Ttl::from_secs(0x8000_0000), Ttl::ZERO);
        assert_eq!(Ttl::from_secs(0x7fff_ffff), Ttl::MAX);
    }

    #[test]
    fn rrsets_hand_out_what_was_put_in() {
        let mut set = RRsetBuf::new(Rtype::TXT, Ttl::from_secs(5));
        assert!(set.push(b"\x01a"));
        assert!(set.push(b""));
        assert!(!set.push(&[0; 65_536]));
        let rdatas: Vec<_> = set.as_rrset().rdatas().collect();
        assert_eq!(rdatas, [&b"\x01a"[..], b""]);
        assert_eq!(set.as_rrset().len(), 2);
    }
}
