//! Record types, classes, codes and RRsets.
//!
//! Numbers are newtypes, so that a type is never taken for a class; unknown ones print as RFC 3597
//! has it (`TYPE65280`). An [`RRset`] is a view of frozen octets; [`RRsetBuf`] owns them.

use std::fmt;

/// A number of a DNS registry: the constants, and `Display` with the fallback of RFC 3597 §5.
macro_rules! codes {
    ($(#[$doc:meta])* $type:ident($int:ty), $prefix:literal, {
        $($(#[$item:meta])* $const:ident = $value:literal $text:literal,)*
    }) => {
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

codes! {
    /// A record type or query type.
    Rtype(u16), "TYPE", {
        /// IPv4 address, RFC 1035.
        A = 1 "A",
        /// Name server, RFC 1035.
        NS = 2 "NS",
        /// Obsolete mail destination, RFC 1035.
        MD = 3 "MD",
        /// Obsolete mail forwarder, RFC 1035.
        MF = 4 "MF",
        /// Canonical name, RFC 1035.
        CNAME = 5 "CNAME",
        /// Start of authority, RFC 1035.
        SOA = 6 "SOA",
        /// Mailbox, RFC 1035.
        MB = 7 "MB",
        /// Mail group member, RFC 1035.
        MG = 8 "MG",
        /// Mail rename, RFC 1035.
        MR = 9 "MR",
        /// Anything, RFC 1035.
        NULL = 10 "NULL",
        /// Pointer, RFC 1035.
        PTR = 12 "PTR",
        /// Host information, RFC 1035; what RFC 8482 may answer to ANY.
        HINFO = 13 "HINFO",
        /// Mailbox information, RFC 1035.
        MINFO = 14 "MINFO",
        /// Mail exchange, RFC 1035.
        MX = 15 "MX",
        /// Text, RFC 1035.
        TXT = 16 "TXT",
        /// Transaction signature with a public key, RFC 2931.
        SIG = 24 "SIG",
        /// IPv6 address, RFC 3596.
        AAAA = 28 "AAAA",
        /// Service location, RFC 2782.
        SRV = 33 "SRV",
        /// Naming authority pointer, RFC 3403.
        NAPTR = 35 "NAPTR",
        /// Redirection of a subtree, RFC 6672.
        DNAME = 39 "DNAME",
        /// EDNS, RFC 6891.
        OPT = 41 "OPT",
        /// Delegation signer, RFC 4034.
        DS = 43 "DS",
        /// SSH fingerprint, RFC 4255.
        SSHFP = 44 "SSHFP",
        /// Signature, RFC 4034.
        RRSIG = 46 "RRSIG",
        /// Denial of existence, RFC 4034.
        NSEC = 47 "NSEC",
        /// Zone key, RFC 4034.
        DNSKEY = 48 "DNSKEY",
        /// Hashed denial, RFC 5155.
        NSEC3 = 50 "NSEC3",
        /// Parameters of hashed denial, RFC 5155.
        NSEC3PARAM = 51 "NSEC3PARAM",
        /// TLS association, RFC 6698.
        TLSA = 52 "TLSA",
        /// Child's wish for DS, RFC 7344.
        CDS = 59 "CDS",
        /// Child's wish for DNSKEY, RFC 7344.
        CDNSKEY = 60 "CDNSKEY",
        /// Service binding, RFC 9460.
        SVCB = 64 "SVCB",
        /// Service binding for HTTP, RFC 9460.
        HTTPS = 65 "HTTPS",
        /// Marks a name that does not exist in compact denial; never to be asked, RFC 9824.
        NXNAME = 128 "NXNAME",
        /// Transaction key, RFC 2930.
        TKEY = 249 "TKEY",
        /// Transaction signature, RFC 8945.
        TSIG = 250 "TSIG",
        /// Incremental transfer, RFC 1995.
        IXFR = 251 "IXFR",
        /// Transfer of a whole zone, RFC 5936.
        AXFR = 252 "AXFR",
        /// Obsolete, RFC 1035.
        MAILB = 253 "MAILB",
        /// Obsolete, RFC 1035.
        MAILA = 254 "MAILA",
        /// All types, RFC 1035 §3.2.3; answered as RFC 8482 has it.
        ANY = 255 "ANY",
        /// Certification authority authorisation, RFC 8659.
        CAA = 257 "CAA",
    }
}

impl Rtype {
    /// Whether the type never names stored data: OPT and what lies in 128 to 255 (RFC 6895 §3.1).
    pub const fn is_meta(self) -> bool {
        matches!(self.0, 41 | 128..=255)
    }
}

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
