//! All services together: each counts the same, since nobody tells how many clients each has.

use std::collections::BTreeMap;

use geo::Country;

use super::{Change, Flow, InCountry, Outcome, Whither};

type Flows = BTreeMap<(Whither, Whither), f64>;

/// The sum of outcomes.
#[derive(Debug, Default)]
pub struct Totals {
    services: u32,
    shares: BTreeMap<Whither, Change>,
    flows: Flows,
    countries: BTreeMap<Option<Country>, (f64, f64, Flows)>,
    moved: f64,
    readdressed: f64,
    kilometres: [(f64, u32); 2],
    fail_open: Change,
    drawn: bool,
    sampled: bool,
}

impl Totals {
    /// One more service, by its first types.
    pub fn add(&mut self, outcome: &Outcome) {
        self.services += 1;
        for (whither, share) in &outcome.shares {
            let sum = self.shares.entry(whither.clone()).or_default();
            *sum = [sum[0] + share[0], sum[1] + share[1]];
        }
        add_all(&mut self.flows, &outcome.flows);
        for one in &outcome.countries {
            let (clients, moved, flows) = self.countries.entry(one.country).or_default();
            *clients += one.clients;
            *moved += one.moved;
            add_all(flows, &one.flows);
        }
        self.moved += outcome.moved;
        self.readdressed += outcome.readdressed;
        for ((sum, count), mean) in self.kilometres.iter_mut().zip(outcome.kilometres) {
            *sum += mean.unwrap_or(0.0);
            *count += u32::from(mean.is_some());
        }
        let [before, after] = outcome.fail_open;
        self.fail_open = [self.fail_open[0] + before, self.fail_open[1] + after];
        self.drawn |= outcome.drawn;
        self.sampled |= outcome.sampled;
    }

    /// How many there were.
    pub fn services(&self) -> u32 {
        self.services
    }

    /// The mean of all; of no types. None: there were none.
    pub fn outcome(self) -> Option<Outcome> {
        let part = 1.0 / f64::from(Some(self.services).filter(|services| *services > 0)?);
        let flows = |flows: Flows| {
            let flow = |((from, to), sum)| Flow { from, to, share: sum * part };
            let mut flows: Vec<Flow> = flows.into_iter().map(flow).collect();
            flows.sort_by(|a, b| b.share.total_cmp(&a.share));
            flows
        };
        let countries = self.countries.into_iter().map(|(country, (clients, moved, of))| {
            InCountry { country, clients: clients * part, moved: moved * part, flows: flows(of) }
        });
        let mut countries: Vec<InCountry> = countries.collect();
        countries
            .sort_by(|a, b| b.moved.total_cmp(&a.moved).then_with(|| a.country.cmp(&b.country)));
        let mean = |(sum, count): (f64, u32)| (count > 0).then(|| sum / f64::from(count));
        Some(Outcome {
            forms: Vec::new(),
            shares: self
                .shares
                .into_iter()
                .map(|(whither, [before, after])| (whither, [before * part, after * part]))
                .collect(),
            flows: flows(self.flows),
            moved: self.moved * part,
            readdressed: self.readdressed * part,
            kilometres: self.kilometres.map(mean),
            fail_open: self.fail_open.map(|sum| sum * part),
            countries,
            drawn: self.drawn,
            sampled: self.sampled,
        })
    }
}

fn add_all(flows: &mut Flows, more: &[Flow]) {
    for flow in more {
        *flows.entry((flow.from.clone(), flow.to.clone())).or_default() += flow.share;
    }
}
