//! What came of the queries.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::judge::Fault;

/// The longest latency told apart; what takes longer counts as this.
const LONGEST: Duration = Duration::from_secs(10);
/// Latencies are kept to so many decimal digits.
const DIGITS: u8 = 3;

/// Replies, by what they were worth, and their latencies.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Queries sent.
    pub sent: u64,
    /// Right replies.
    pub right: u64,
    /// Queries without a reply, those included that found the server too far behind to be sent.
    pub lost: u64,
    /// Replies that nobody waited for: late, or twice.
    pub stray: u64,
    /// Wrong replies, in the order of [`Fault::ALL`].
    pub wrong: [u64; Fault::ALL.len()],
    /// The first wrong reply.
    pub first: Option<Wrong>,
    latencies: Histogram<u64>,
}

/// A wrong reply.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// What is wrong.
    pub fault: Fault,
    /// The query, in wire form.
    pub query: Vec<u8>,
    /// The reply, in wire form.
    pub reply: Vec<u8>,
}

impl Default for Tally {
    fn default() -> Self {
        let latencies = Histogram::new_with_max(LONGEST.as_nanos() as u64, DIGITS);
        Self {
            sent: 0,
            right: 0,
            lost: 0,
            stray: 0,
            wrong: [0; Fault::ALL.len()],
            first: None,
            latencies: latencies.expect("a histogram takes these bounds"),
        }
    }
}

impl Tally {
    /// A right reply, so long after its query was to be sent.
    pub fn right(&mut self, latency: Duration) {
        self.right += 1;
        self.latencies.saturating_record(latency.as_nanos() as u64);
    }

    /// A wrong one.
    pub fn wrong(&mut self, fault: Fault, query: &[u8], reply: &[u8]) {
        self.wrong[fault as usize] += 1;
        self.first.get_or_insert_with(|| Wrong { fault, query: query.into(), reply: reply.into() });
    }

    /// Replies of all kinds that somebody waited for: each has cost the server something.
    pub fn answered(&self) -> u64 {
        self.right + self.all_wrong()
    }

    /// Wrong replies of all kinds.
    pub fn all_wrong(&self) -> u64 {
        self.wrong.iter().sum()
    }

    /// The latency that this share of the right replies, of 1, does not exceed.
    pub fn latency(&self, share: f64) -> Duration {
        Duration::from_nanos(self.latencies.value_at_quantile(share))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { sent, right, lost, stray, .. } = self;
        write!(f, "{sent} sent, {right} right, {lost} lost, {stray} stray")?;
        for (fault, count) in Fault::ALL.iter().zip(self.wrong).filter(|(_, count)| *count > 0) {
            write!(f, ", {count} wrong ({fault})")?;
        }
        if let Some(Wrong { fault, query, reply }) = &self.first {
            write!(f, "; the first: {fault}, to {query:02x?}: {reply:02x?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut tally = Tally::default();
        for micros in 1..=1000 {
            tally.right(Duration::from_micros(micros));
        }
        for (share, micros) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let told = tally.latency(share).as_nanos() as f64 / 1e3;
            assert!((told / micros - 1.0).abs() < 2e-3, "{share}: {told}");
        }
        tally.right(LONGEST * 2);
        assert!(tally.latency(1.0) >= LONGEST, "counted, not dropped");
    }

    #[test]
    fn wrong_replies_are_counted_and_the_first_is_shown() {
        let mut tally = Tally::default();
        tally.right(Duration::from_micros(1));
        tally.wrong(Fault::Address, &[1], &[2]);
        tally.wrong(Fault::Rcode, &[3], &[4]);
        tally.wrong(Fault::Rcode, &[5], &[6]);
        assert_eq!((tally.answered(), tally.all_wrong()), (4, 3));
        let shown = tally.to_string();
        for part in ["1 right", "1 wrong (another address)", "2 wrong (another response code)"] {
            assert!(shown.contains(part), "{shown}");
        }
        assert!(shown.ends_with("the first: another address, to [01]: [02]"), "{shown}");
    }
}
