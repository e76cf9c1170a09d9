//! Numbers that may be written as words.

use super::cursor::Cursor;
use super::number;
use crate::zonefile::Fault;
use std::fmt;

/// Words for some numbers of a registry.
pub(super) struct Codes {
    /// What the number is, for messages.
    what: &'static str,
    words: &'static [(&'static str, u16)],
    /// Whether the word is what is shown, rather than the number.
    shown: bool,
}

/// DNSSEC algorithms (RFC 4034 appendix A.1 and the registry).
pub(super) const ALGORITHMS: &Codes = &Codes {
    what: "an algorithm",
    words: &[
        ("DELETE", 0),
        ("RSAMD5", 1),
        ("DH", 2),
        ("DSA", 3),
        ("RSASHA1", 5),
        ("DSA-NSEC3-SHA1", 6),
        ("NSEC3DSA", 6),
        ("RSASHA1-NSEC3-SHA1", 7),
        ("NSEC3RSASHA1", 7),
        ("RSASHA256", 8),
        ("RSASHA512", 10),
        ("ECC-GOST", 12),
        ("ECDSAP256SHA256", 13),
        ("ECDSAP384SHA384", 14),
        ("ED25519", 15),
        ("ED448", 16),
        ("SM2SM3", 17),
        ("ECC-GOST12", 23),
        ("INDIRECT", 252),
        ("PRIVATEDNS", 253),
        ("PRIVATEOID", 254),
    ],
    shown: false,
};

/// Digests of DS records.
pub(super) const DIGESTS: &Codes = &Codes {
    what: "a digest type",
    words: &[("SHA-1", 1), ("SHA-256", 2), ("GOST", 3), ("SHA-384", 4)],
    shown: false,
};

/// What a KEY record is for (RFC 2535 §7.1).
pub(super) const PROTOCOLS: &Codes = &Codes {
    what: "a protocol",
    words: &[("NONE", 0), ("TLS", 1), ("EMAIL", 2), ("DNSSEC", 3), ("IPSEC", 4), ("ALL", 255)],
    shown: false,
};

/// Kinds of certificates (RFC 4398 §2.1).
pub(super) const CERTIFICATES: &Codes = &Codes {
    what: "a certificate type",
    words: &[
        ("PKIX", 1),
        ("SPKI", 2),
        ("PGP", 3),
        ("IPKIX", 4),
        ("ISPKI", 5),
        ("IPGP", 6),
        ("ACPKIX", 7),
        ("IACPKIX", 8),
        ("URI", 253),
        ("OID", 254),
    ],
    shown: true,
};

/// Who a TLSA record is about (RFC 7218 §2.1).
pub(super) const USAGES: &Codes = &Codes {
    what: "a certificate usage",
    words: &[("PKIX-TA", 0), ("PKIX-EE", 1), ("DANE-TA", 2), ("DANE-EE", 3), ("PrivCert", 255)],
    shown: false,
};

/// Which part of the certificate (RFC 7218 §2.2).
pub(super) const SELECTORS: &Codes = &Codes {
    what: "a selector",
    words: &[("Cert", 0), ("SPKI", 1), ("PrivSel", 255)],
    shown: false,
};

/// How it is compared (RFC 7218 §2.3).
pub(super) const MATCHINGS: &Codes = &Codes {
    what: "a matching type",
    words: &[("Full", 0), ("SHA2-256", 1), ("SHA2-512", 2), ("PrivMatch", 255)],
    shown: false,
};

/// How a change is announced (RFC 9859 §2.2).
pub(super) const SCHEMES: &Codes =
    &Codes { what: "a scheme", words: &[("NOTIFY", 1)], shown: true };

impl Codes {
    /// Reads a word or a number up to `max`.
    pub(super) fn read(&self, cursor: &mut Cursor<'_>, max: u16) -> Result<u16, Fault> {
        let token = cursor.word(self.what)?;
        let text = token.word();
        let known = self.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        let number = || number::decimal(text).and_then(|number| u16::try_from(number).ok());
        known.map(|&(_, number)| number).or_else(number).filter(|&number| number <= max).ok_or_else(
            || {
                let words: Vec<_> = self.words.iter().map(|&(word, _)| word).collect();
                Fault::new(
                    token,
                    format!("{} is not {}", token.show(), self.what),
                    format!("write a number from 0 to {max}, or one of {}", words.join(", ")),
                )
            },
        )
    }

    pub(super) fn show(&self, number: u16, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words.iter().find(|known| known.1 == number).filter(|_| self.shown) {
            Some((word, _)) => f.write_str(word),
            None => write!(f, "{number}"),
        }
    }
}
