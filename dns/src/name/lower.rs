//! The query name on the stack.

use super::{MAX_LABEL, MAX_LABELS, MAX_NAME, Name, NameRef};
use std::fmt;

/// A name in lower case with the start of each label, without allocation. Make one per worker and
/// [`read`](LowerName::read) each query name into it.
#[derive(Clone)]
pub struct LowerName {
    octets: [u8; ROOM],
    /// Where each label's length octet stands, from the left; then the root's.
    starts: [u8; MAX_LABELS + 1],
    length: u8,
    labels: u8,
}

/// Octets that are made lower case at once.
const STEP: usize = 16;
/// For the longest name, in whole steps.
const ROOM: usize = MAX_NAME.next_multiple_of(STEP);

impl LowerName {
    /// The root.
    pub const fn new() -> Self {
        LowerName { octets: [0; ROOM], starts: [0; MAX_LABELS + 1], length: 1, labels: 0 }
    }

    /// Takes over `name` in lower case.
    #[inline]
    pub fn read(&mut self, name: NameRef<'_>) {
        let wire = name.wire();
        let octets = &mut self.octets[..wire.len()];
        octets.copy_from_slice(wire);
        octets.make_ascii_lowercase();
        let (mut at, mut labels) = (0, 0);
        while at < octets.len() {
            self.starts[labels] = at as u8;
            labels += 1;
            at += 1 + usize::from(octets[at]);
        }
        self.length = wire.len() as u8;
        self.labels = (labels - 1) as u8;
    }

    /// Takes over, in lower case, the name that `bytes` begin with, and returns its length. None: they
    /// begin with no name, or a compressed one; what is held then means nothing.
    #[inline]
    pub fn read_wire(&mut self, bytes: &[u8]) -> Option<usize> {
        let (mut at, mut labels) = (0, 0);
        loop {
            let length = usize::from(*bytes.get(at)?);
            *self.starts.get_mut(labels)? = at as u8;
            if length == 0 {
                break;
            }
            at += 1 + length;
            if length > MAX_LABEL || at >= MAX_NAME {
                return None;
            }
            labels += 1;
        }
        let end = at + 1;
        // In whole steps where there is as much, whatever follows the name.
        match bytes.get(..end.next_multiple_of(STEP)) {
            Some(steps) => {
                for (to, step) in self.octets.as_chunks_mut().0.iter_mut().zip(steps.as_chunks().0)
                {
                    *to = lower(*step);
                }
            }
            None => {
                self.octets[..end].copy_from_slice(&bytes[..end]);
                self.octets[..end].make_ascii_lowercase();
            }
        }
        self.length = end as u8;
        self.labels = labels as u8;
        Some(end)
    }

    /// The whole name in wire form.
    #[inline]
    pub fn wire(&self) -> &[u8] {
        &self.octets[..usize::from(self.length)]
    }

    /// The name as a [`NameRef`].
    pub fn as_name(&self) -> NameRef<'_> {
        NameRef::from_checked(self.wire())
    }

    /// How many labels, the root's not counted.
    #[inline]
    pub fn label_count(&self) -> usize {
        usize::from(self.labels)
    }

    /// The ancestor (or the name itself) that has `depth` labels; `suffix(0)` is the root.
    ///
    /// # Panics
    /// When `depth` is more than [`label_count`](Self::label_count).
    #[inline]
    pub fn suffix(&self, depth: usize) -> &[u8] {
        let start = self.starts[self.label_count() - depth];
        &self.octets[usize::from(start)..usize::from(self.length)]
    }

    /// The ancestors from the nearest to the root, the name itself not among them.
    pub fn parents(&self) -> Parents<'_> {
        Parents { name: self, depth: self.label_count() }
    }
}

/// In lower case; without a branch, so that it is a few instructions for all.
#[inline]
fn lower(octets: [u8; STEP]) -> [u8; STEP] {
    octets.map(|octet| octet | u8::from(octet.wrapping_sub(b'A') < 26) << 5)
}

impl Default for LowerName {
    fn default() -> Self {
        LowerName::new()
    }
}

impl From<NameRef<'_>> for LowerName {
    fn from(name: NameRef<'_>) -> Self {
        let mut lower = LowerName::new();
        lower.read(name);
        lower
    }
}

impl From<&Name> for LowerName {
    fn from(name: &Name) -> Self {
        name.as_name().into()
    }
}

impl fmt::Debug for LowerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LowerName({})", self.as_name())
    }
}

/// See [`LowerName::parents`].
#[derive(Clone, Debug)]
pub struct Parents<'a> {
    name: &'a LowerName,
    depth: usize,
}

impl<'a> Iterator for Parents<'a> {
    type Item = NameRef<'a>;

    fn next(&mut self) -> Option<NameRef<'a>> {
        self.depth = self.depth.checked_sub(1)?;
        Some(NameRef::from_checked(self.name.suffix(self.depth)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_by_depth() {
        let name: Name = "A.bC.d".parse().unwrap();
        let lower = LowerName::from(&name);
        assert_eq!(lower.label_count(), 3);
        assert_eq!(lower.wire(), b"\x01a\x02bc\x01d\x00");
        assert_eq!(lower.suffix(3), lower.wire());
        assert_eq!(lower.suffix(1), b"\x01d\x00");
        assert_eq!(lower.suffix(0), b"\x00");
        let parents: Vec<String> = lower.parents().map(|n| n.to_string()).collect();
        assert_eq!(parents, ["bc.d.", "d.", "."]);
    }

    #[test]
    fn a_reused_buffer_forgets_the_longer_name() {
        let mut lower = LowerName::from(&"one.two.three".parse::<Name>().unwrap());
        lower.read("x".parse::<Name>().unwrap().as_name());
        assert_eq!(lower.wire(), b"\x01x\x00");
        assert_eq!(lower.label_count(), 1);
        lower.read(NameRef::ROOT);
        assert_eq!((lower.wire(), lower.label_count()), (&b"\x00"[..], 0));
        assert_eq!(lower.parents().count(), 0);
    }
}
