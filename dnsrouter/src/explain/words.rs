//! What a step did to a candidate, in words, with the figure that decided.

use std::time::Duration;

use geo::{Bias, Kilometres};

use crate::policy::{Candidate, Client, Open, Policy};
use crate::service::{Figure, Form, Nearest, Step};
use crate::verdicts::{Health, WHOLE};

/// What is known of a candidate when a step has looked at it.
pub(super) struct Facts<'a> {
    pub(super) policy: &'a Policy,
    pub(super) verdicts: &'a Health,
    pub(super) form: Form,
    pub(super) client: &'a Client<'a>,
    pub(super) open: Option<Open>,
    pub(super) candidate: Candidate,
    pub(super) kept: bool,
    /// No other was as good before the step, so that a pick had no choice.
    pub(super) alone: bool,
    /// From 1 on.
    pub(super) rank: usize,
    pub(super) region: &'a str,
    pub(super) distance: Option<Kilometres>,
    /// In words.
    pub(super) health: &'a str,
}

impl Facts<'_> {
    pub(super) fn reason(&self, step: &Step) -> String {
        let Self { policy, health, rank, .. } = *self;
        let endpoint = self.candidate.endpoint;
        let weight = policy.weight(endpoint);
        // Those of a group are equally good.
        let group = self.candidate.group + 1;
        match step {
            Step::Fence(rules) => match policy.fence_rule(self.client) {
                None => "not fenced: the client matches no rule".to_owned(),
                Some(rule) => {
                    let clients = rules[usize::from(rule)].clients.iter();
                    let clients: Vec<_> = clients.map(ToString::to_string).collect();
                    let side = if self.kept { "inside" } else { "outside of" };
                    format!("{side} rule {} for {}", rule + 1, shortened(&clients))
                }
            },
            Step::Healthy { .. } if self.open == Some(Open::All) => {
                format!("{health}, but too few are up: fail open")
            }
            Step::Healthy { .. } if self.open.is_some() && self.kept => {
                format!("{health}; too few are left, so drains do not count")
            }
            Step::Healthy { .. } => health.to_owned(),
            Step::Failover(_) => match policy.tier(step, endpoint) {
                Some(tier) => format!("{group}. in tier {tier}"),
                None => format!("{group}. in no tier"),
            },
            Step::Nearest(nearest) => self.nearest(step, nearest, group),
            Step::Least { figure, .. } => {
                match policy.figure(*figure, self.form, endpoint, self.verdicts) {
                    Some(value) => format!("{group}. {}", told(*figure, value)),
                    None => format!("{group}. without a figure: its pings bring none"),
                }
            }
            Step::Load => {
                let verdicts = (self.open != Some(Open::All)).then_some(self.verdicts);
                let price = verdicts.map_or(0.0, |verdicts| policy.price(endpoint, verdicts));
                let cost = policy.cost(endpoint, self.client, verdicts);
                let seen = format!("seen by this client as {cost:.0} km");
                match self.distance {
                    Some(Kilometres(km)) => {
                        format!("{group}. at {km:.0} km, {price:.0} km for its load; {seen}")
                    }
                    None => format!("{group}. {price:.0} km for its load; {seen}"),
                }
            }
            Step::Weighted | Step::Fair { .. } | Step::RoundRobin | Step::Sticky if self.alone => {
                format!("{rank}. as before: no other is as good, so there is nothing to draw")
            }
            Step::Weighted => {
                let own = self.counting(weight);
                format!("{rank}. in a draw by weight, its own {own}")
            }
            Step::Fair { .. } => {
                let fair = policy.fair_weight(endpoint, self.verdicts).unwrap_or(weight);
                let own = self.counting(fair);
                format!("{rank}. in a draw by fair shares, its own {own}")
            }
            Step::RoundRobin => format!("{rank}. of the turn"),
            Step::Sticky => {
                let own = self.counting(weight);
                format!("{rank}. in the client's own draw by weight, its own {own}")
            }
            Step::Take(n) if self.kept => format!("{rank}. of {n}"),
            Step::Take(n) => format!("beyond the first {n}"),
        }
    }

    /// A weight, and as what it counts while the endpoint is degraded or starts slowly.
    fn counting(&self, weight: u32) -> String {
        let Self { policy, verdicts, form, .. } = *self;
        let health = (self.open != Some(Open::All)).then_some(verdicts);
        let now = policy.weight_now(weight, form, self.candidate.endpoint, health);
        if now == weight { weight.to_string() } else { format!("{weight}, as {now} for now") }
    }

    fn nearest(&self, step: &Step, nearest: &Nearest, group: u8) -> String {
        let lens = self.policy.lens(step).map(|lens| &self.client.geo.views.lenses[lens as usize]);
        let matched = lens.and_then(|lens| lens.row(self.client.place).matched);
        if let Some(rule) = matched {
            let preferred = &nearest.prefer[usize::from(rule)].regions;
            if let Some(at) = preferred.iter().position(|region| region == self.region) {
                return format!("{group}. preferred as number {} by rule {}", at + 1, rule + 1);
            }
        }
        let Some(Kilometres(km)) = self.distance else {
            return format!("{group}. as written: the client's place is unknown");
        };
        let bias = nearest.bias.iter().find(|(region, _)| region == self.region);
        match bias.map(|(_, bias)| *bias).filter(|bias| *bias != Bias::NONE) {
            None => format!("{group}. at {km:.0} km"),
            Some(bias) => {
                let seen = km * bias.factor();
                format!("{group}. at {km:.0} km, with a bias of {} as {seen:.0} km", bias.percent())
            }
        }
    }
}

fn told(figure: Figure, value: f64) -> String {
    match figure {
        Figure::Connections => format!("with {value:.0} requests in flight"),
        Figure::ResponseTime => {
            let rtt = Duration::from_secs_f64(value / 1e6);
            format!("after {:.1} ms", rtt.as_secs_f64() * 1000.0)
        }
        Figure::Resource => {
            format!("with {:.0} % of its processors in use", value * 100.0 / f64::from(WHOLE))
        }
    }
}

/// Clients named in one reason.
const MAX_NAMED: usize = 5;

fn shortened(clients: &[String]) -> String {
    match clients.get(..MAX_NAMED).filter(|_| clients.len() > MAX_NAMED) {
        Some(first) => format!("{} and {} more", first.join(", "), clients.len() - MAX_NAMED),
        None => clients.join(", "),
    }
}
