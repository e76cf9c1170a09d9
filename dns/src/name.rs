//! Domain names: wire form, text form, comparison (RFC 1035 §3.1, RFC 4343).
//!
//! ```text
//!   www.Example.  =  [3]www [7]Example [0]        13 octets, at most 255
//!                     │      │          └ the root's empty label
//!                     │      └ depth 1: "Example."
//!                     └ depth 2: "www.Example."
//! ```
//!
//! | type | holds | when |
//! |---|---|---|
//! | [`Name`] | its own octets, as written, and a lower-cased key | building zones, configuration |
//! | [`NameRef`] | borrowed, checked wire octets | what a query or a frozen zone hands out |
//! | [`LowerName`] | a lower-cased copy on the stack, with label starts | looking a query name up |
//!
//! Case never matters in comparisons and is never changed in what is stored or echoed. A length
//! octet is at most 63 and so never an ASCII letter: whole wire names can be lower-cased at once.

mod lower;
mod text;

pub use lower::{LowerName, Parents};
pub use text::NameError;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Longest wire form of a name, root label included (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;
/// Longest label (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;
/// Most labels a name can have, the root's not counted: 127 one-octet labels and the root.
pub const MAX_LABELS: usize = 127;

/// An owned, absolute domain name. Equality, order and hash ignore ASCII case; the order is the
/// canonical one of RFC 4034 §6.1 (by label from the right), so a name sorts before what is below.
#[derive(Clone)]
pub struct Name {
    /// The wire form as written, then the same length again in lower case.
    octets: Box<[u8]>,
}

impl Name {
    /// The root, `.`.
    pub fn root() -> Self {
        NameRef::ROOT.to_name()
    }

    /// Takes a complete, uncompressed wire form; octets after the root label are an error.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let name = NameRef::parse(wire)?;
        if name.wire_len() != wire.len() {
            return Err(NameError::TrailingOctets);
        }
        Ok(name.to_name())
    }

    /// Reads presentation form (RFC 1035 §5.1: `\X` and `\DDD` escapes). Without a final dot the
    /// name is relative to `origin`.
    pub fn from_text(text: &str, origin: &Name) -> Result<Self, NameError> {
        text::parse(text.as_bytes(), origin.as_name())
    }

    /// This name, borrowed.
    pub fn as_name(&self) -> NameRef<'_> {
        NameRef { wire: self.wire() }
    }

    /// Wire form with the case it was written in.
    pub fn wire(&self) -> &[u8] {
        &self.octets[..self.octets.len() / 2]
    }

    /// Wire form in lower case: the key for equality.
    pub fn lower(&self) -> &[u8] {
        &self.octets[self.octets.len() / 2..]
    }

    /// Labels from the left, without the root's.
    pub fn labels(&self) -> Labels<'_> {
        self.as_name().labels()
    }

    /// How many labels, the root's not counted.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.wire().len() == 1
    }

    /// Whether the leftmost label is `*` (RFC 4592 §2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.as_name().is_wildcard()
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Name> {
        self.as_name().parent().map(NameRef::to_name)
    }

    /// Whether this name is `other` or stands below it.
    pub fn is_subdomain_of(&self, other: &Name) -> bool {
        self.as_name().is_subdomain_of(other.as_name())
    }

    /// `*.` in front of this name; an error if that is too long.
    pub fn wildcard(&self) -> Result<Name, NameError> {
        self.child(b"*")
    }

    /// One more label in front; an error if the label or the result is too long.
    pub fn child(&self, label: &[u8]) -> Result<Name, NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        let length = u8::try_from(label.len()).map_err(|_| NameError::LabelTooLong)?;
        let mut wire = Vec::with_capacity(1 + label.len() + self.wire().len());
        wire.push(length);
        wire.extend_from_slice(label);
        wire.extend_from_slice(self.wire());
        Name::from_wire(&wire)
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads an absolute name; the final dot may be left out.
    fn from_str(text: &str) -> Result<Self, NameError> {
        text::parse(text.as_bytes(), NameRef::ROOT)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.lower() == other.lower()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lower().hash(state);
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_name().canonical_cmp(other.as_name())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_name().fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// A borrowed name in uncompressed wire form, known to be valid.
#[derive(Clone, Copy)]
pub struct NameRef<'a> {
    wire: &'a [u8],
}

impl<'a> NameRef<'a> {
    /// The root, `.`.
    pub const ROOT: NameRef<'static> = NameRef { wire: &[0] };

    /// Reads a name from the start of `wire`, which may go on after it. Compression pointers are
    /// an error here: nothing stands before the first name of a message but the header.
    pub fn parse(wire: &'a [u8]) -> Result<Self, NameError> {
        let mut at = 0;
        loop {
            let length = usize::from(*wire.get(at).ok_or(NameError::Truncated)?);
            at += 1;
            if length == 0 {
                break;
            }
            if length > MAX_LABEL {
                return Err(match length & 0xc0 {
                    0xc0 => NameError::Compressed,
                    _ => NameError::LabelTooLong,
                });
            }
            at += length;
            if at >= MAX_NAME {
                return Err(NameError::TooLong);
            }
        }
        Ok(NameRef { wire: &wire[..at] })
    }

    /// For octets that were checked when they were stored.
    pub(crate) fn from_checked(wire: &'a [u8]) -> Self {
        debug_assert!(NameRef::parse(wire).is_ok_and(|name| name.wire_len() == wire.len()));
        NameRef { wire }
    }

    /// The wire form.
    pub fn wire(self) -> &'a [u8] {
        self.wire
    }

    /// Octets of the wire form, 1 to 255.
    pub fn wire_len(self) -> usize {
        self.wire.len()
    }

    /// Whether this is the root.
    pub fn is_root(self) -> bool {
        self.wire.len() == 1
    }

    /// Labels from the left, without the root's.
    pub fn labels(self) -> Labels<'a> {
        Labels { rest: self.wire }
    }

    /// Whether the leftmost label is `*`.
    pub fn is_wildcard(self) -> bool {
        self.wire.starts_with(&[1, b'*'])
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(self) -> Option<NameRef<'a>> {
        let length = usize::from(self.wire[0]);
        (length > 0).then(|| NameRef { wire: &self.wire[1 + length..] })
    }

    /// Whether this name is `other` or stands below it, whatever the case.
    pub fn is_subdomain_of(self, other: NameRef<'_>) -> bool {
        let mut name = self;
        while name.wire_len() > other.wire_len() {
            match name.parent() {
                Some(parent) => name = parent,
                None => return false,
            }
        }
        name.eq_ignore_case(other)
    }

    /// Equality as the DNS has it (RFC 4343).
    pub fn eq_ignore_case(self, other: NameRef<'_>) -> bool {
        self.wire.eq_ignore_ascii_case(other.wire)
    }

    /// Canonical order (RFC 4034 §6.1).
    pub fn canonical_cmp(self, other: NameRef<'_>) -> Ordering {
        let (mut mine, mut theirs) = ([0; MAX_LABELS], [0; MAX_LABELS]);
        let mine = self.label_starts(&mut mine).iter().map(|&at| self.label(at));
        let theirs = other.label_starts(&mut theirs).iter().map(|&at| other.label(at));
        let lower = |label: &'a [u8]| label.iter().map(u8::to_ascii_lowercase);
        let mut theirs = theirs.rev();
        for label in mine.rev() {
            let Some(other) = theirs.next() else { return Ordering::Greater };
            let order = lower(label).cmp(other.iter().map(u8::to_ascii_lowercase));
            if order.is_ne() {
                return order;
            }
        }
        if theirs.next().is_some() { Ordering::Less } else { Ordering::Equal }
    }

    /// Octets whose plain order is the names' canonical order, and of which an ancestor's are a
    /// prefix: labels from the right in lower case, each with a zero after it. Zero itself becomes
    /// 1 1 and one 1 2, so that nothing inside a label sorts before its end.
    pub(crate) fn canonical_key(self) -> Vec<u8> {
        let mut starts = [0; MAX_LABELS];
        let mut key = Vec::with_capacity(self.wire.len());
        for &at in self.label_starts(&mut starts).iter().rev() {
            for octet in self.label(at).iter().map(u8::to_ascii_lowercase) {
                match octet {
                    0 | 1 => key.extend_from_slice(&[1, octet + 1]),
                    _ => key.push(octet),
                }
            }
            key.push(0);
        }
        key
    }

    fn label(self, start: u8) -> &'a [u8] {
        let start = usize::from(start);
        &self.wire[start + 1..=start + usize::from(self.wire[start])]
    }

    /// Where the length octet of each label stands, the root's left out.
    fn label_starts(self, starts: &mut [u8; MAX_LABELS]) -> &[u8] {
        let (mut at, mut labels) = (0, 0);
        while self.wire[at] != 0 {
            starts[labels] = at as u8;
            labels += 1;
            at += 1 + usize::from(self.wire[at]);
        }
        &starts[..labels]
    }

    /// An owned copy.
    pub fn to_name(self) -> Name {
        let mut octets = Vec::with_capacity(self.wire.len() * 2);
        octets.extend_from_slice(self.wire);
        octets.extend(self.wire.iter().map(u8::to_ascii_lowercase));
        Name { octets: octets.into_boxed_slice() }
    }
}

impl PartialEq for NameRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.eq_ignore_case(*other)
    }
}

impl Eq for NameRef<'_> {}

impl fmt::Display for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(*self, f)
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NameRef({self})")
    }
}

/// Labels of a name from the left, without length octets and without the root's.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (&length, rest) = self.rest.split_first()?;
        if length == 0 {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(length));
        self.rest = rest;
        Some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn rfc4343_case_is_kept_but_never_compared() {
        let mixed = name("WwW.Example.");
        assert_eq!(mixed, name("www.eXAMPLE"));
        assert_eq!(mixed.to_string(), "WwW.Example.");
        assert_eq!(mixed.lower(), b"\x03www\x07example\x00");
    }

    #[test]
    fn rfc1035_2_3_4_limits_are_exact() {
        let mut wire = Vec::new();
        for _ in 0..127 {
            wire.extend_from_slice(b"\x01a");
        }
        wire.push(0);
        assert_eq!(wire.len(), MAX_NAME);
        assert_eq!(Name::from_wire(&wire).unwrap().label_count(), MAX_LABELS);
        wire.insert(0, b'b');
        wire.insert(0, 1);
        assert_eq!(Name::from_wire(&wire), Err(NameError::TooLong));
        let mut odd = b"\x02aa".to_vec();
        for _ in 0..126 {
            odd.extend_from_slice(b"\x01a");
        }
        odd.push(0);
        assert_eq!(odd.len(), 256);
        assert_eq!(Name::from_wire(&odd), Err(NameError::TooLong));
        assert_eq!(NameRef::parse(&[64; 70]), Err(NameError::LabelTooLong));
        assert_eq!(NameRef::parse(&[0xc0, 0]), Err(NameError::Compressed));
        assert_eq!(NameRef::parse(b"\x03ab"), Err(NameError::Truncated));
        assert_eq!(NameRef::parse(b"\x02ab"), Err(NameError::Truncated));
        assert_eq!(Name::from_wire(b"\x01a\x00\x00"), Err(NameError::TrailingOctets));
    }

    #[test]
    fn rfc4034_6_1_canonical_order() {
        let mut names: Vec<Name> = [
            "example",
            "a.example",
            "yljkjljk.a.example",
            "Z.a.example",
            "zABC.a.EXAMPLE",
            "z.example",
            "\\001.z.example",
            "*.z.example",
            "\\200.z.example",
            "za.example",
            "za\\000.example",
            "za\\000\\000.example",
            "za\\000\\001.example",
            "za\\001.example",
            "za\\002.example",
        ]
        .map(name)
        .to_vec();
        let sorted = names.clone();
        names.reverse();
        names.sort();
        assert_eq!(names, sorted);
        names.reverse();
        names.sort_by_key(|name| name.as_name().canonical_key());
        assert_eq!(names, sorted);
    }

    #[test]
    fn subdomains_are_by_label() {
        assert!(name("a.b.C").is_subdomain_of(&name("B.c")));
        assert!(name("b.c").is_subdomain_of(&name("b.c")));
        assert!(name("b.c").is_subdomain_of(&Name::root()));
        assert!(!name("ab.c").is_subdomain_of(&name("b.c")));
        assert!(!name("c").is_subdomain_of(&name("b.c")));
        // "\001b" as an octet inside a label is no label boundary
        let sly = Name::from_wire(b"\x03a\x01b\x01c\x00").unwrap();
        assert!(!sly.is_subdomain_of(&name("b.c")));
    }

    #[test]
    fn parents_and_wildcards() {
        let wild = name("geo.example").wildcard().unwrap();
        assert_eq!(wild.to_string(), "*.geo.example.");
        assert!(wild.is_wildcard());
        assert!(!name("\\*x.example").is_wildcard());
        assert_eq!(wild.parent(), Some(name("geo.example")));
        assert_eq!(Name::root().parent(), None);
    }
}
