//! Counts of prefixes in bounded memory, of which the past fades.
//!
//! # The idea
//!
//! More prefixes than there is room for cannot all be counted exactly, and nobody knows beforehand
//! which will matter. So count those one has, and when they become one too many, take the same number
//! from every count, just so much that some vanish: as much as the one has that is too many, when they
//! are put in order. Who came once vanishes, who comes again and again hardly notices.
//!
//! ```text
//!   room for 4:   A ▇▇▇▇▇▇▇▇   B ▇▇▇▇▇   C ▇▇   D ▇   E ▇   F ▇
//!                 ───────────────────────────────────────────── cut: 1
//!                 A ▇▇▇▇▇▇▇    B ▇▇▇▇    C ▇
//! ```
//!
//! That is the summary of Misra and Gries (1982) in the form in which many records are added at once
//! (Agarwal et al. 2013, "Mergeable summaries"). Space-Saving (Metwally et al. 2005) is the same to
//! within a constant, but errs upwards: there whoever is made up inherits the count of somebody whom
//! it crowded out.
//!
//! # What is promised
//!
//! With room for *m* prefixes of a family and *N* answers: no count is too large, and each is too small
//! by at most [`Figures::short`], the sum of all cuts, which is never more than *N* / (*m* + 1): each
//! cut took as much from *m* + 1 prefixes. A prefix that was answered more often than that is there. No
//! summary of this size does better on every input.
//!
//! # Forgetting
//!
//! Counts, *N* and cuts all lose half in each half-life, so the promise holds for what is left of each
//! answer. What faded is not thrown away before the room is needed, and then it is what a cut is made
//! of: it costs the others next to nothing.

use std::time::Duration;

use ipnet::IpNet;

use super::Prefix;

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Prefixes that there is room for; half of them for each family of addresses. Some 40 octets
    /// each, while they are sorted.
    pub most: usize,
    /// In which an answer loses half of its weight.
    pub half_life: Duration,
}

/// Counts of both families.
#[derive(Debug, Clone)]
pub struct Tally {
    half_life: Duration,
    v4: Family,
    v6: Family,
}

/// How one family is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Prefixes of which half an answer or more is left.
    pub prefixes: usize,
    /// Prefixes that there is room for.
    pub most: usize,
    /// Answers, as far as they are not forgotten; also those whose prefix is not kept.
    pub answers: f64,
    /// By how much a count may be too small, and what a prefix that is not kept has at most.
    pub short: f64,
    /// Prefixes that were given up for others, since this process began.
    pub evicted: u64,
}

#[derive(Debug, Clone)]
struct Family {
    /// In order, each prefix once.
    kept: Vec<Entry>,
    most: usize,
    answers: f64,
    short: f64,
    evicted: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    prefix: Prefix,
    count: f64,
}

/// What is told of a count: less than half an answer is none.
const LEAST: f64 = 0.5;

impl Tally {
    /// Nobody was counted yet.
    pub fn new(settings: Settings) -> Self {
        let family = Family::new(settings.most.div_ceil(2));
        Self { half_life: settings.half_life, v4: family.clone(), v6: family }
    }

    /// Adds what was kept of another run. Finer prefixes than ours add up; of a larger one it is its
    /// first of ours that counts.
    pub fn restore(&mut self, counts: impl IntoIterator<Item = (IpNet, u64)>) {
        #[expect(clippy::cast_precision_loss, reason = "a count; its share matters")]
        let entry = |(net, count): (IpNet, u64)| Entry {
            prefix: Prefix::of(net.network()),
            count: count as f64,
        };
        let mut entries: Vec<Entry> = counts.into_iter().map(entry).collect();
        entries.sort_by_key(|entry| entry.prefix);
        entries.dedup_by(|next, first| {
            let same = next.prefix == first.prefix;
            if same {
                first.count += next.count;
            }
            same
        });
        let v6 = entries.split_off(entries.partition_point(|e| e.prefix < Prefix::FIRST_V6));
        self.v4.add(entries.into_iter());
        self.v6.add(v6.into_iter());
    }

    /// Lets `passed` fade from everything, then counts one answer for each record; `records` is empty
    /// after that. The work is that of sorting them, and a pass over what is kept.
    pub fn add(&mut self, records: &mut Vec<Prefix>, passed: Duration) {
        self.forget(passed);
        records.sort_unstable();
        let (v4, v6) = records.split_at(records.partition_point(|p| *p < Prefix::FIRST_V6));
        for (family, records) in [(&mut self.v4, v4), (&mut self.v6, v6)] {
            #[expect(clippy::cast_precision_loss, reason = "records of one batch")]
            let entry = |run: &[Prefix]| Entry { prefix: run[0], count: run.len() as f64 };
            family.add(records.chunk_by(|a, b| a == b).map(entry));
        }
        records.clear();
    }

    /// Lets `passed` fade from everything.
    pub fn forget(&mut self, passed: Duration) {
        let left = (-passed.as_secs_f64() / self.half_life.as_secs_f64()).exp2();
        self.v4.fade(left);
        self.v6.fade(left);
    }

    /// How IPv4 and IPv6 are counted.
    pub fn figures(&self) -> [Figures; 2] {
        [&self.v4, &self.v6].map(Family::figures)
    }

    /// Every prefix of which half an answer or more is left, with its count, in order.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count")]
    pub fn counts(&self) -> impl Iterator<Item = (IpNet, u64)> + '_ {
        self.entries().map(|entry| (entry.prefix.net(), entry.count.round() as u64))
    }

    /// The same of those who have most, at most so many; the largest first.
    pub fn largest(&self, most: usize) -> Vec<(IpNet, u64)> {
        let mut entries: Vec<&Entry> = self.entries().collect();
        let order = |a: &&Entry, b: &&Entry| {
            b.count.total_cmp(&a.count).then_with(|| a.prefix.cmp(&b.prefix))
        };
        if most < entries.len() {
            entries.select_nth_unstable_by(most, order);
            entries.truncate(most);
        }
        entries.sort_unstable_by(order);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive count"
        )]
        let told = |entry: &Entry| (entry.prefix.net(), entry.count.round() as u64);
        entries.into_iter().map(told).collect()
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.v4.told().chain(self.v6.told())
    }
}

impl Family {
    fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, answers: 0.0, short: 0.0, evicted: 0 }
    }

    fn told(&self) -> impl Iterator<Item = &Entry> {
        self.kept.iter().filter(|entry| entry.count >= LEAST)
    }

    fn figures(&self) -> Figures {
        let Self { most, answers, short, evicted, .. } = *self;
        Figures { prefixes: self.told().count(), most, answers, short, evicted }
    }

    fn fade(&mut self, left: f64) {
        self.kept.iter_mut().for_each(|entry| entry.count *= left);
        self.answers *= left;
        self.short *= left;
    }

    /// Adds counts that are in order, each prefix once.
    fn add(&mut self, more: impl Iterator<Item = Entry>) {
        let mut answers = 0.0;
        let mut more = more.inspect(|entry| answers += entry.count).peekable();
        let mut fresh = Vec::new();
        for known in &mut self.kept {
            while let Some(new) = more.next_if(|new| new.prefix < known.prefix) {
                fresh.push(new);
            }
            if let Some(again) = more.next_if(|again| again.prefix == known.prefix) {
                known.count += again.count;
            }
        }
        fresh.extend(more);
        self.answers += answers;
        if !fresh.is_empty() {
            self.kept.append(&mut fresh);
            // Two runs in order, which this sort finds and merges.
            self.kept.sort_by_key(|entry| entry.prefix);
            self.cut();
        }
    }

    /// Gives up as many as are too many; see the module.
    fn cut(&mut self) {
        if self.kept.len() <= self.most {
            return;
        }
        let mut counts: Vec<f64> = self.kept.iter().map(|entry| entry.count).collect();
        let (_, cut, _) = counts.select_nth_unstable_by(self.most, |a, b| b.total_cmp(a));
        let (cut, before) = (*cut, self.kept.len());
        self.kept.retain_mut(|entry| {
            entry.count -= cut;
            entry.count > 0.0
        });
        self.short += cut;
        self.evicted += (before - self.kept.len()) as u64;
        // A flood's room is not kept for the next.
        self.kept.shrink_to(self.most);
    }
}

#[cfg(test)]
mod tests;
