//! `[[service]] route`: the steps and their parameters.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Range;

use daemon::config::Spanned;
use geo::{Bias, Lists, MAX_LOCATIONS, Selector, Within};

use super::Checker;
use super::raw::route as raw;
use crate::policy::MAX_VIEWS;
use crate::service::{
    FenceRule, Figure, MAX_RECORDS, MAX_STEPS, Nearest, Percent, Prefer, Service, Step, Tiers,
};

/// Tiers of one `failover`: a client that finds none of so many up finds no other.
const MAX_TIERS: usize = 16;
/// Rules of one `fence` or `prefer`; a generated list belongs into networks of one rule.
const MAX_RULES: usize = 64;
/// Beyond ten times as much nothing is compared any more.
const MAX_PERCENT: u16 = 1000;

const STEPS: &str = "the steps are \"fence\", \"healthy\", \"failover\", \"nearest\", \"weighted\", \
                     \"round-robin\", \"sticky\", \"least-connections\", \"least-response-time\" (or \
                     \"latency\"), \"resource\", \"fair\", \"load\", \"take\"; docs/routing.md has an \
                     example of each";

impl Checker<'_> {
    pub(super) fn route(&mut self, raw: &Spanned<Vec<Spanned<raw::Step>>>) -> Vec<Step> {
        if raw.get_ref().len() > MAX_STEPS {
            self.error(raw.span(), format!("a route has at most {MAX_STEPS} steps"), None);
        }
        let is_fence = |step: &&Spanned<raw::Step>| matches!(step.get_ref(), raw::Step::Fence(_));
        if let Some(second) = raw.get_ref().iter().filter(is_fence).nth(1) {
            let help = Some("put all rules into one fence; the first that a client matches counts");
            self.error(second.span(), "a route has one fence", help);
        }
        let mut steps = Vec::with_capacity(raw.get_ref().len());
        for written in raw.get_ref() {
            steps.extend(self.step(written));
        }
        steps
    }

    /// The lists of clients that all routes name, and that there are not too many ways to look at
    /// places.
    pub(super) fn lists(&mut self, services: &[(Service, Range<usize>)]) -> Lists {
        let (mut lenses, mut fences) = (Vec::new(), Vec::new());
        for (service, span) in services {
            for step in &service.route {
                match step {
                    Step::Nearest(nearest) => {
                        let lens = (&nearest.bias, &nearest.prefer);
                        self.one_more_view(&mut lenses, lens, span, "\"nearest\"");
                    }
                    Step::Fence(rules) => {
                        let fence: Vec<_> =
                            rules.iter().map(|r| (&r.clients, &r.regions)).collect();
                        self.one_more_view(&mut fences, fence, span, "\"fence\"");
                    }
                    _ => {}
                }
            }
        }
        let preferred = lenses.iter().flat_map(|(_, prefer)| prefer.iter().map(|r| &r.clients));
        let fenced = fences.iter().flatten().map(|(clients, _)| *clients);
        Lists::new(preferred.chain(fenced).map(Vec::as_slice)).unwrap_or_else(|error| {
            self.error(0..0, error.to_string(), None);
            Lists::default()
        })
    }

    fn one_more_view<T: PartialEq>(
        &mut self,
        known: &mut Vec<T>,
        view: T,
        service: &Range<usize>,
        step: &str,
    ) {
        if known.contains(&view) {
            return;
        }
        known.push(view);
        if known.len() == MAX_VIEWS + 1 {
            let message = format!("more than {MAX_VIEWS} different {step} steps with parameters");
            let help = Some("each takes a table of all places: use the same where it serves");
            self.error(service.clone(), message, help);
        }
    }

    fn step(&mut self, raw: &Spanned<raw::Step>) -> Option<Step> {
        match raw.get_ref() {
            raw::Step::Word(word) => self.word(raw, word),
            raw::Step::Take(n) => Some(Step::Take(self.positive(n, "take"))),
            raw::Step::Healthy(raw::Healthy { min_healthy }) => {
                let least = min_healthy.as_ref();
                let least = least.map_or(NonZeroU32::MIN, |n| self.positive(n, "min_healthy"));
                Some(Step::Healthy { min_healthy: least })
            }
            raw::Step::Fence(rules) => Some(Step::Fence(self.fence(rules))),
            raw::Step::Failover(tiers) => Some(Step::Failover(self.tiers(tiers))),
            raw::Step::Nearest(nearest) => Some(Step::Nearest(Box::new(self.nearest(nearest)))),
            raw::Step::Least(name, raw::Least { within }) => {
                let figure = figure(name)?;
                Some(Step::Least { figure, within: self.percent(within.as_ref()) })
            }
            raw::Step::Fair(raw::Fair { demand }) => {
                let demand = demand.as_ref().map(|demand| self.positive(demand, "demand"));
                Some(Step::Fair { demand })
            }
            raw::Step::Unknown(name) => {
                let message = format!("{name:?} is no step with parameters");
                self.error(raw.span(), message, Some(STEPS));
                None
            }
        }
    }

    fn word(&mut self, raw: &Spanned<raw::Step>, word: &str) -> Option<Step> {
        let (message, help) = match word {
            "healthy" => return Some(Step::Healthy { min_healthy: NonZeroU32::MIN }),
            "failover" => return Some(Step::Failover(Tiers::OfEndpoints)),
            "nearest" => return Some(Step::Nearest(Box::default())),
            "weighted" => return Some(Step::Weighted),
            "round-robin" => return Some(Step::RoundRobin),
            "sticky" => return Some(Step::Sticky),
            "fair" => return Some(Step::Fair { demand: None }),
            "load" => return Some(Step::Load),
            "take" => ("take needs a number".to_owned(), "{ take = 2 }"),
            "fence" => (
                "a fence needs rules".to_owned(),
                "{ fence = [ { clients = [\"continent:EU\"], regions = [\"europe-west3\"] } ] }",
            ),
            other => {
                if let Some(figure) = figure(other) {
                    return Some(Step::Least { figure, within: None });
                }
                (format!("{other:?} is no step"), STEPS)
            }
        };
        self.error(raw.span(), message, Some(help));
        None
    }

    fn positive(&mut self, n: &Spanned<i64>, what: &str) -> NonZeroU32 {
        let count = u32::try_from(*n.get_ref()).ok().and_then(NonZeroU32::new);
        count.unwrap_or_else(|| {
            self.error(n.span(), format!("{what} is a number from 1 on"), None);
            NonZeroU32::MIN
        })
    }

    fn fence(&mut self, raw: &Spanned<Vec<Spanned<raw::FenceRule>>>) -> Box<[FenceRule]> {
        if raw.get_ref().is_empty() {
            self.error(raw.span(), "a fence without rules holds nobody", None);
        }
        self.at_most(MAX_RULES, raw.get_ref(), "rules");
        raw.get_ref().iter().map(|rule| self.fence_rule(rule.get_ref())).collect()
    }

    fn fence_rule(&mut self, raw: &raw::FenceRule) -> FenceRule {
        let refuse = raw.refuse.iter().filter_map(|text| self.refusal(text)).collect::<Vec<_>>();
        for v4 in [true, false] {
            let first_too_many = raw
                .refuse
                .iter()
                .zip(&refuse)
                .filter(|(_, ip)| ip.is_ipv4() == v4)
                .nth(MAX_RECORDS);
            if let Some((text, _)) = first_too_many {
                self.error(text.span(), format!("at most {MAX_RECORDS} of a family"), None);
            }
        }
        FenceRule {
            clients: self.clients(&raw.clients),
            regions: self.known_regions(&raw.regions, &mut HashSet::new()),
            refuse,
        }
    }

    fn refusal(&mut self, text: &Spanned<String>) -> Option<IpAddr> {
        let address = text.get_ref().parse().ok();
        if address.is_none() {
            let message = format!("{:?} is neither IPv4 nor IPv6", text.get_ref());
            let help = Some("leave refuse out to answer REFUSED");
            self.error(text.span(), message, help);
        }
        address
    }

    fn tiers(&mut self, raw: &Spanned<Vec<Spanned<raw::Tier>>>) -> Tiers {
        if raw.get_ref().is_empty() {
            let help = Some("\"failover\" alone goes by each endpoint's tier");
            self.error(raw.span(), "failover without a tier ranks nothing", help);
        }
        self.at_most(MAX_TIERS, raw.get_ref(), "tiers");
        let mut seen = HashSet::new();
        let mut tiers = Vec::with_capacity(raw.get_ref().len());
        for tier in raw.get_ref() {
            let regions = match tier.get_ref() {
                raw::Tier::One(region) => {
                    let region = Spanned::new(tier.span(), region.clone());
                    self.known_region(&region, &mut seen).into_iter().collect()
                }
                raw::Tier::Several(regions) => self.known_regions(regions, &mut seen),
            };
            tiers.push(regions);
        }
        Tiers::OfRegions(tiers)
    }

    fn nearest(&mut self, raw: &raw::Nearest) -> Nearest {
        let within = raw.within.as_ref().and_then(|text| {
            let within = text.get_ref().parse::<Within>();
            within.map_err(|error| self.error(text.span(), error.to_string(), None)).ok()
        });
        let mut seen = HashSet::new();
        let mut bias = Vec::with_capacity(raw.bias.len());
        for (region, percent) in &raw.bias {
            let region = self.known_region(region, &mut seen);
            match Bias::try_from(*percent.get_ref()) {
                Ok(percent) => bias.extend(region.map(|region| (region, percent))),
                Err(error) => self.error(percent.span(), error.to_string(), None),
            }
        }
        self.at_most(MAX_RULES, &raw.prefer, "rules");
        let mut prefer = Vec::with_capacity(raw.prefer.len());
        for rule in &raw.prefer {
            let raw::Prefer { clients, regions } = rule.get_ref();
            let clients = self.clients(clients);
            prefer.push(Prefer {
                clients,
                regions: self.known_regions(regions, &mut HashSet::new()),
            });
        }
        Nearest { within, bias, prefer }
    }

    /// "20 %".
    fn percent(&mut self, text: Option<&Spanned<String>>) -> Option<Percent> {
        let text = text?;
        let number = text.get_ref().strip_suffix('%').map(str::trim);
        let percent = number.and_then(|number| number.parse().ok());
        let percent = percent.filter(|percent| *percent <= MAX_PERCENT).map(Percent);
        if percent.is_none() {
            let message = format!("{:?} is no band", text.get_ref());
            let help = format!("\"20 %\", up to {MAX_PERCENT} %");
            self.error(text.span(), message, Some(&help));
        }
        percent
    }

    fn clients(&mut self, raw: &raw::Clients) -> Vec<Selector> {
        if raw.get_ref().is_empty() {
            self.error(raw.span(), "a rule for nobody", Some("\"all\" is for everybody"));
        }
        let mut clients = Vec::with_capacity(raw.get_ref().len());
        for text in raw.get_ref() {
            match text.get_ref().parse::<Selector>() {
                Ok(Selector::Asn(number)) if !self.has_asns => {
                    let message = format!("nothing says who is in AS{number}");
                    let help = "name a database of autonomous systems in [geo] asn";
                    self.error(text.span(), message, Some(help));
                }
                Ok(selector) => clients.push(selector),
                Err(error) => self.error(text.span(), error.to_string(), None),
            }
        }
        clients
    }

    fn at_most<T>(&mut self, most: usize, list: &[Spanned<T>], what: &str) {
        if let Some(first_too_many) = list.get(most) {
            self.error(first_too_many.span(), format!("at most {most} {what}"), None);
        }
    }

    fn known_regions(
        &mut self,
        raw: &[Spanned<String>],
        seen: &mut HashSet<String>,
    ) -> Vec<String> {
        self.at_most(MAX_LOCATIONS, raw, "regions");
        raw.iter().filter_map(|region| self.known_region(region, seen)).collect()
    }

    /// A region whose place is known, and that is listed once.
    fn known_region(
        &mut self,
        raw: &Spanned<String>,
        seen: &mut HashSet<String>,
    ) -> Option<String> {
        let otherwise = "add a [[region]] with its name and location";
        self.regions.find(raw, otherwise, self.source, &mut self.problems)?;
        if !seen.insert(raw.get_ref().clone()) {
            self.error(raw.span(), format!("{} is listed twice", raw.get_ref()), None);
        }
        Some(raw.get_ref().clone())
    }
}

/// The figure that a step of this name goes by.
fn figure(step: &str) -> Option<Figure> {
    match step {
        "least-connections" => Some(Figure::Connections),
        "least-response-time" | "latency" => Some(Figure::ResponseTime),
        "resource" => Some(Figure::Resource),
        _ => None,
    }
}
