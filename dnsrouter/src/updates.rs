//! Who may change which zone: keys (RFC 8945), and what each zone permits them.
//!
//! | type | is |
//! |---|---|
//! | [`Updates`] | all of it, published with the plan |
//! | [`Key`] | a secret that this server and its clients share |
//! | [`Permission`] | a zone's keys, and what they may touch from where |

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use dns::name::{LowerName, Name, NameRef};
use dns::rr::Rtype;
use ipnet::IpNet;

/// The longest name of a key in wire form. A signed reply over UDP has at least 512 octets, into
/// which must fit: header (12), any question (259), an OPT record (11), and our record (with the
/// longest code, its algorithm and a clock the name and 109).
pub const MAX_KEY_NAME: usize = 120;

/// Every key, and every zone that they may change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Updates {
    /// By name, as it is in lower case on the wire.
    keys: HashMap<Box<[u8]>, Key>,
    zones: HashMap<Name, Permission>,
}

impl Updates {
    /// Of these keys, and permissions by the zones' names.
    pub fn new(
        keys: impl IntoIterator<Item = Key>,
        zones: impl IntoIterator<Item = (Name, Permission)>,
    ) -> Self {
        Self {
            keys: keys.into_iter().map(|key| (key.name.lower().into(), key)).collect(),
            zones: zones.into_iter().collect(),
        }
    }

    /// The key of this name.
    pub fn key(&self, name: &Name) -> Option<&Key> {
        self.keys.get(name.lower())
    }

    /// Whether there is a key of this name, and for this algorithm. Allocates nothing.
    pub fn has(&self, name: &LowerName, algorithm: NameRef<'_>) -> bool {
        self.keys.get(name.wire()).is_some_and(|key| key.algorithm.is(algorithm))
    }

    /// What the zone permits; none for a zone that no update changes.
    pub fn permission(&self, zone: &Name) -> Option<&Permission> {
        self.zones.get(zone)
    }

    /// The zones that updates may change.
    pub fn zones(&self) -> impl Iterator<Item = &Name> {
        self.zones.keys()
    }
}

/// A secret that this server and its clients share.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name; both sides write it the same.
    pub name: Name,
    /// The one algorithm it is good for.
    pub algorithm: Algorithm,
    /// The octets themselves.
    pub secret: Box<[u8]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {})", self.name, self.algorithm)
    }
}

/// How codes are made (RFC 8945 §6). MD5 and GSS-TSIG are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// For old clients only.
    HmacSha1,
    /// Rare.
    HmacSha224,
    /// What everybody has.
    HmacSha256,
    /// Longer.
    HmacSha384,
    /// Longest.
    HmacSha512,
}

impl Algorithm {
    const ALL: [Self; 5] =
        [Self::HmacSha1, Self::HmacSha224, Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// As it is written, in configurations and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::HmacSha1 => "hmac-sha1",
            Self::HmacSha224 => "hmac-sha224",
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    /// Whether a TSIG record names this one.
    pub fn is(self, name: NameRef<'_>) -> bool {
        let mut labels = name.labels();
        let (first, second) = (labels.next(), labels.next());
        second.is_none()
            && first.is_some_and(|label| label.eq_ignore_ascii_case(self.word().as_bytes()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// No algorithm of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the algorithms are hmac-sha256, hmac-sha384, hmac-sha512, hmac-sha224, hmac-sha1")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(text: &str) -> Result<Self, UnknownAlgorithm> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let same = |algorithm: &Self| algorithm.word().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(same).ok_or(UnknownAlgorithm)
    }
}

/// Not the base64 of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no base64 of a secret")]
pub struct NoSecret;

/// Reads the base64 of a secret (RFC 4648 §4); white space in it counts for nothing.
///
/// # Errors
///
/// Also for a secret of no octets.
pub fn secret(base64: &str) -> Result<Box<[u8]>, NoSecret> {
    let text: String = base64.split_ascii_whitespace().collect();
    match data_encoding::BASE64.decode(text.as_bytes()) {
        Ok(secret) if !secret.is_empty() => Ok(secret.into()),
        _ => Err(NoSecret),
    }
}

/// What a zone permits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permission {
    /// Keys that may change it.
    pub keys: Vec<Name>,
    /// Where their holders may be; empty: anywhere.
    pub networks: Vec<IpNet>,
    /// What they may change: these names and all below; empty: everything.
    pub names: Vec<Name>,
    /// Of these types; empty: all.
    pub types: Vec<Rtype>,
}

/// Why a valid signature is not enough.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The zone does not name the key.
    #[error("the zone's update.keys do not name this key")]
    Key,
    /// The peer is elsewhere.
    #[error("{0} is in none of the zone's update.networks")]
    Network(IpAddr),
    /// The name is not to be changed.
    #[error("{0} is not at or below any of the zone's update.names")]
    Name(Name),
    /// The type is not to be changed.
    #[error("{0} is none of the zone's update.types")]
    Type(Rtype),
}

impl Permission {
    /// Whether the holder of a key may change anything at all from there.
    ///
    /// # Errors
    ///
    /// [`Denied::Key`], [`Denied::Network`].
    pub fn admits(&self, key: &Name, peer: IpAddr) -> Result<(), Denied> {
        let peer = peer.to_canonical();
        if !self.keys.contains(key) {
            return Err(Denied::Key);
        }
        if !self.networks.is_empty() && !self.networks.iter().any(|net| net.contains(&peer)) {
            return Err(Denied::Network(peer));
        }
        Ok(())
    }

    /// Whether everything at this name may be changed, where records of these types stand.
    ///
    /// # Errors
    ///
    /// [`Denied::Name`], [`Denied::Type`].
    pub fn touches_all(
        &self,
        name: &Name,
        types: impl IntoIterator<Item = Rtype>,
    ) -> Result<(), Denied> {
        if !self.names.is_empty() && !self.names.iter().any(|top| name.is_subdomain_of(top)) {
            return Err(Denied::Name(name.clone()));
        }
        types.into_iter().try_for_each(|rtype| self.touches(name, rtype))
    }

    /// Whether records of this type may be changed at this name.
    ///
    /// # Errors
    ///
    /// [`Denied::Name`], [`Denied::Type`].
    pub fn touches(&self, name: &Name, rtype: Rtype) -> Result<(), Denied> {
        if !self.names.is_empty() && !self.names.iter().any(|top| name.is_subdomain_of(top)) {
            return Err(Denied::Name(name.clone()));
        }
        if !self.types.is_empty() && !self.types.contains(&rtype) {
            return Err(Denied::Type(rtype));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn algorithms_are_names_too() {
        for algorithm in Algorithm::ALL {
            assert!(algorithm.is(name(algorithm.word()).as_name()));
            assert_eq!(algorithm.word().to_ascii_uppercase().parse(), Ok(algorithm));
        }
        assert!(Algorithm::HmacSha256.is(name("HMAC-sha256.").as_name()));
        assert!(!Algorithm::HmacSha256.is(name("hmac-sha256.example").as_name()));
        assert!(!Algorithm::HmacSha256.is(NameRef::ROOT));
        assert_eq!("hmac-md5.sig-alg.reg.int".parse::<Algorithm>(), Err(UnknownAlgorithm));
    }

    #[test]
    fn secrets() {
        assert_eq!(secret("c2Vj\n cmV0").as_deref(), Ok(&b"secret"[..]));
        for wrong in ["", " ", "c2VjcmV", "c2Vj*", "c2VjcmV0=="] {
            assert_eq!(secret(wrong), Err(NoSecret), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_not_restricted_is_permitted() {
        let permission = Permission { keys: vec![name("k")], ..Permission::default() };
        let peer = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(permission.admits(&name("K."), peer), Ok(()));
        assert_eq!(permission.admits(&name("other"), peer), Err(Denied::Key));
        assert_eq!(permission.touches(&name("anything"), Rtype::NS), Ok(()));
    }

    #[test]
    fn restrictions_hold_one_by_one() {
        let permission = Permission {
            keys: vec![name("k")],
            networks: vec!["192.0.2.0/24".parse().unwrap()],
            names: vec![name("_acme-challenge.www.example")],
            types: vec![Rtype::TXT],
        };
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
        assert_eq!(permission.admits(&name("k"), mapped), Ok(()));
        let elsewhere = IpAddr::from([198, 51, 100, 1]);
        assert_eq!(permission.admits(&name("k"), elsewhere), Err(Denied::Network(elsewhere)));
        let (at, below) =
            (name("_ACME-challenge.www.example"), name("a._acme-challenge.www.example"));
        assert_eq!(permission.touches(&at, Rtype::TXT), Ok(()));
        assert_eq!(permission.touches(&below, Rtype::TXT), Ok(()));
        assert_eq!(permission.touches(&at, Rtype::A), Err(Denied::Type(Rtype::A)));
        let other = name("www.example");
        assert_eq!(permission.touches(&other, Rtype::TXT), Err(Denied::Name(other)));
    }
}
