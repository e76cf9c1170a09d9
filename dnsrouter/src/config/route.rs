//! `[[service]] route`: the steps and their parameters.

use std::collections::HashSet;
use std::num::NonZeroU32;

use daemon::config::Spanned;
use dns::name::Name;

use super::Checker;
use super::raw::route as raw;
use crate::policy::MAX_LOCATIONS;
use crate::service::{MAX_STEPS, Step, Tiers};

/// Tiers of one `failover`: a client that finds none of so many up finds no other.
const MAX_TIERS: usize = 16;

const STEPS: &str = "the steps are \"healthy\", \"failover\", \"nearest\", \"weighted\", \
                     \"round-robin\", \"sticky\", { take = 2 }; with parameters \
                     { healthy = { min_healthy = 2 } }, { failover = [[\"us-central1\"], \"europe-west3\"] }";

impl Checker<'_> {
    pub(super) fn route(&mut self, raw: &Spanned<Vec<Spanned<raw::Step>>>) -> Vec<Step> {
        if raw.get_ref().len() > MAX_STEPS {
            self.error(raw.span(), format!("a route has at most {MAX_STEPS} steps"), None);
        }
        raw.get_ref().iter().filter_map(|step| self.step(step)).collect()
    }

    /// What is allowed, but hardly meant.
    pub(super) fn consider(&mut self, service: &Name, route: &[Step]) {
        let is_healthy = |step: &Step| matches!(step, Step::Healthy { .. });
        let cut = route.iter().position(|step| matches!(step, Step::Take(_)));
        if cut.is_some_and(|cut| route[cut..].iter().any(is_healthy)) {
            self.warnings.push(format!(
                "service {service}: \"healthy\" after a cut sees only what the cut left; a client \
                 whose share of it is down is answered with it all the same (fail open)"
            ));
        }
        let goes_by_tiers = |step: &Step| matches!(step, Step::Failover(_));
        if route.iter().any(goes_by_tiers) && !route.iter().any(is_healthy) {
            self.warnings.push(format!(
                "service {service}: \"failover\" without \"healthy\" never leaves the first tier"
            ));
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
            raw::Step::Failover(tiers) => Some(Step::Failover(self.tiers(tiers))),
            raw::Step::Later(name) => {
                let message = format!("the step {name:?} is not in this version");
                self.error(raw.span(), message, Some(STEPS));
                None
            }
            raw::Step::Unknown(name) => {
                let message = format!("{name:?} is no step with parameters");
                self.error(raw.span(), message, Some(STEPS));
                None
            }
        }
    }

    fn word(&mut self, raw: &Spanned<raw::Step>, word: &str) -> Option<Step> {
        let message = match word {
            "healthy" => return Some(Step::Healthy { min_healthy: NonZeroU32::MIN }),
            "failover" => return Some(Step::Failover(Tiers::OfEndpoints)),
            "nearest" => return Some(Step::Nearest),
            "weighted" => return Some(Step::Weighted),
            "round-robin" => return Some(Step::RoundRobin),
            "sticky" => return Some(Step::Sticky),
            "take" => "take needs a number".to_owned(),
            later if raw::is_later(later) => format!("the step {later:?} is not in this version"),
            other => format!("{other:?} is no step"),
        };
        self.error(raw.span(), message, Some(STEPS));
        None
    }

    fn positive(&mut self, n: &Spanned<i64>, what: &str) -> NonZeroU32 {
        let count = u32::try_from(*n.get_ref()).ok().and_then(NonZeroU32::new);
        count.unwrap_or_else(|| {
            self.error(n.span(), format!("{what} is a number from 1 on"), None);
            NonZeroU32::MIN
        })
    }

    fn tiers(&mut self, raw: &Spanned<Vec<Spanned<raw::Tier>>>) -> Tiers {
        if raw.get_ref().is_empty() {
            let help = Some("\"failover\" alone goes by each endpoint's tier");
            self.error(raw.span(), "failover without a tier ranks nothing", help);
        }
        if raw.get_ref().len() > MAX_TIERS {
            self.error(raw.span(), format!("at most {MAX_TIERS} tiers"), None);
        }
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

    fn known_regions(
        &mut self,
        raw: &[Spanned<String>],
        seen: &mut HashSet<String>,
    ) -> Vec<String> {
        if let Some(first) = raw.get(MAX_LOCATIONS) {
            self.error(first.span(), format!("at most {MAX_LOCATIONS} regions"), None);
        }
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
