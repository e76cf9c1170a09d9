//! Clients counted by their prefixes, in the form in which they are kept: text that people and
//! `sort`, `grep` and `awk` can read.
//!
//! ```text
//!   # clients of ns1 in us-central1, 2026-12-01T14:00:00Z
//!   192.0.2.0/24 1234
//!   2001:db8::/48 7
//! ```

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::canonical;

/// Prefixes of one population: a million of them are 32 MB, and there are some fifteen million /24s
/// in all.
pub const MAX_PREFIXES: usize = 1 << 20;

/// The most that one prefix counts, so that a sum of all of them fits a word.
pub const MAX_COUNT: u64 = u64::MAX >> 20;

/// How often clients of each prefix were seen: in order, IPv4 first, each prefix once, no count 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Population(Vec<(IpNet, u64)>);

/// There are more than [`MAX_PREFIXES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_PREFIXES} prefixes")]
pub struct TooMany;

/// A line that is none of a population's; whoever wrote the file can mend it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct PopulationError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: PopulationFault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PopulationFault {
    /// Not two words.
    #[error("a line is a prefix and a count, e.g. 192.0.2.0/24 1234")]
    Form,
    /// The first word.
    #[error("{0:?} is no prefix, e.g. 192.0.2.0/24 or 2001:db8::/48")]
    Prefix(String),
    /// The second word.
    #[error("{0:?} is no count from 0 to {MAX_COUNT}")]
    Count(String),
    /// The file is too long.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

/// Of a word that is shown, so that a file that is no text at all fits a line.
const SHOWN: usize = 64;

impl Population {
    /// Counts of prefixes in any order: equal ones add up, host bits and IPv4-mapped forms are
    /// ignored.
    ///
    /// # Errors
    ///
    /// [`TooMany`].
    pub fn new(counts: impl IntoIterator<Item = (IpNet, u64)>) -> Result<Population, TooMany> {
        let mut all = Vec::new();
        for (prefix, count) in counts {
            add(&mut all, prefix, count)?;
        }
        Ok(Population(merged(all)))
    }

    /// Reads what [`Population::write`] wrote, or a person: lines `PREFIX COUNT` in any order;
    /// what follows a `#` and empty lines are skipped. An address alone is a prefix of its whole
    /// length.
    ///
    /// # Errors
    ///
    /// The first bad line.
    pub fn parse(text: &str) -> Result<Population, PopulationError> {
        let mut all = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let wrong = |fault| PopulationError { line, fault };
            let content = text.split_once('#').map_or(text, |(before, _)| before);
            let mut words = content.split_whitespace();
            let (prefix, count) = match (words.next(), words.next(), words.next()) {
                (None, ..) => continue,
                (Some(prefix), Some(count), None) => (prefix, count),
                _ => return Err(wrong(PopulationFault::Form)),
            };
            let net = prefix.parse().or_else(|_| prefix.parse::<IpAddr>().map(IpNet::from));
            let net = net.map_err(|_| wrong(PopulationFault::Prefix(shown(prefix))))?;
            let number = count.parse().ok().filter(|count| *count <= MAX_COUNT);
            let number = number.ok_or_else(|| wrong(PopulationFault::Count(shown(count))))?;
            add(&mut all, net, number).map_err(|many| wrong(many.into()))?;
        }
        Ok(Population(merged(all)))
    }

    /// Writes a header line and the counts in order. A line of `about` that is broken is put
    /// together.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write(&self, out: &mut impl fmt::Write, about: &str) -> fmt::Result {
        let about: Vec<&str> = about.split_whitespace().collect();
        writeln!(out, "# {}", about.join(" "))?;
        self.iter().try_for_each(|(prefix, count)| writeln!(out, "{prefix} {count}"))
    }

    /// Prefixes with their counts, in order, IPv4 first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (IpNet, u64)> + '_ {
        self.0.iter().copied()
    }

    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// How many prefixes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody was seen.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn add(all: &mut Vec<(IpNet, u64)>, prefix: IpNet, count: u64) -> Result<(), TooMany> {
    if count > 0 {
        if all.len() == MAX_PREFIXES {
            return Err(TooMany);
        }
        all.push((canonical(prefix.trunc()), count.min(MAX_COUNT)));
    }
    Ok(())
}

/// In order, with equal prefixes put together.
fn merged(mut all: Vec<(IpNet, u64)>) -> Vec<(IpNet, u64)> {
    all.sort_unstable();
    all.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.1 = first.1.saturating_add(next.1).min(MAX_COUNT);
        }
        same
    });
    all
}

fn shown(word: &str) -> String {
    word.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn lines_come_in_any_order_with_comments_and_add_up() {
        let text = "# clients of ns1\n\n2001:db8::/48\t7\r\n  192.0.2.0/24 1000 # office\n\
                    192.0.2.77/24 234\n::ffff:198.51.100.9/120 5\n203.0.113.9 1\n203.0.114.0/24 0";
        let read = Population::parse(text).unwrap();
        let all: Vec<_> = read.iter().collect();
        let expected = [
            (net("192.0.2.0/24"), 1234),
            (net("198.51.100.0/24"), 5),
            (net("203.0.113.9/32"), 1),
            (net("2001:db8::/48"), 7),
        ];
        assert_eq!(all, expected);
        assert_eq!((read.total(), read.len()), (1247, 4));
        let mut written = String::new();
        read.write(&mut written, "ns1,\n  today").unwrap();
        assert_eq!(
            written,
            "# ns1, today\n192.0.2.0/24 1234\n198.51.100.0/24 5\n203.0.113.9/32 1\n2001:db8::/48 7\n"
        );
    }

    #[test]
    fn a_bad_line_is_told_with_its_number() {
        for (text, line, words) in [
            ("192.0.2.0/24", 1, "a line is a prefix and a count"),
            ("# x\n192.0.2.0/24 1 2\n", 2, "a line is a prefix and a count"),
            ("\n\n192.0.2.0/33 1", 3, "\"192.0.2.0/33\" is no prefix"),
            ("localhost 1", 1, "\"localhost\" is no prefix"),
            ("192.0.2.0/24 -1", 1, "\"-1\" is no count from 0"),
            ("192.0.2.0/24 1.5", 1, "\"1.5\" is no count"),
            ("192.0.2.0/24 99999999999999999999", 1, "is no count"),
            ("192.0.2.0/24 1\n::/0 18446744073709551615", 2, "is no count"),
        ] {
            let error = Population::parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
        let long = format!("{} 1", "x".repeat(100_000));
        assert!(Population::parse(&long).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn there_is_a_limit_and_sums_do_not_overflow() {
        let many = (0..=MAX_PREFIXES as u32).map(|at| (IpAddr::V4(at.into()).into(), MAX_COUNT));
        assert_eq!(Population::new(many.clone()), Err(TooMany));
        let most = Population::new(many.skip(1)).unwrap();
        assert_eq!(most.total(), MAX_COUNT << 20);
        let twice = Population::new([(net("::/0"), MAX_COUNT), (net("::/0"), MAX_COUNT)]).unwrap();
        assert_eq!(twice.total(), MAX_COUNT);
    }

    fn count() -> impl Strategy<Value = (IpNet, u64)> {
        let v4 = (any::<u32>(), 0_u8..=32).prop_map(|(at, len)| (IpAddr::V4(at.into()), len));
        let v6 = (any::<u128>(), 0_u8..=128).prop_map(|(at, len)| (IpAddr::V6(at.into()), len));
        let net = prop_oneof![v4, v6].prop_map(|(at, len)| IpNet::new(at, len).unwrap());
        (net, 0..1_000_000_u64)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(counts in prop::collection::vec(count(), 0..50)) {
            let population = Population::new(counts).unwrap();
            let mut text = String::new();
            population.write(&mut text, "about").unwrap();
            prop_assert_eq!(Population::parse(&text).unwrap(), population);
        }

        #[test]
        fn nothing_makes_the_reader_fall(text in any::<String>()) {
            let _ = Population::parse(&text);
        }
    }
}
