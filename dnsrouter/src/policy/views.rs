//! How routes look at places: the lenses and fences of a plan, each once, and the classes of
//! services that see alike.
//!
//! A table of places for each service would cost more memory than there is; but few services have
//! a bias, a preference or a fence of their own.
//!
//! ```text
//!   routes ──▶ Views: rules of lenses and fences ──build──▶ geo::Lens, geo::Fence   one byte or four per place
//!   forms  ──▶ Class { lenses, fence, locations } ──the most frequent──▶ geo::Scopes
//! ```

use std::collections::BTreeMap;

use geo::{Fence, Lens, LensRule, Lists, Mask, Point, Scopes, Selector, Table, Who};

use crate::service::{FenceRule, Nearest, Prefer};

/// Classes with scopes of their own, at three to eight megabytes each over a city database; others
/// have the scopes of the table, which are narrower and right as well.
pub const MAX_CLASSES: usize = 16;

/// What the answers of one form of a service can tell apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    /// Of the plan's lenses, in ascending order, each once.
    pub(super) lenses: Vec<u8>,
    /// Of the plan's fences.
    pub(super) fence: Option<u8>,
    /// Where the endpoints are.
    pub(super) mask: Mask,
}

/// Rules of lenses and fences, each once; the first lens is that of plain distance.
#[derive(Debug)]
pub struct Views<'l> {
    lists: &'l Lists,
    lenses: Vec<LensRule>,
    fences: Vec<geo::FenceRule>,
}

/// Lenses and fences, built for one table, with the scopes of frequent classes.
#[derive(Debug, Default)]
pub struct Built {
    /// By number.
    pub lenses: Box<[Lens]>,
    /// By number.
    pub fences: Box<[Fence]>,
    /// At most [`MAX_CLASSES`].
    pub scopes: Box<[(Class, Scopes)]>,
    /// What lenses and fences were built from, by their numbers.
    rules: (Box<[LensRule]>, Box<[geo::FenceRule]>),
}

impl<'l> Views<'l> {
    /// None but plain distance. `lists` are those of the table, and of all rules to come.
    pub fn new(lists: &'l Lists) -> Self {
        Self { lists, lenses: vec![LensRule::default()], fences: Vec::new() }
    }

    /// Those that are built already, to compile one more service with.
    pub(crate) fn again(lists: &'l Lists, built: &Built) -> Self {
        let (lenses, fences) = &built.rules;
        Self { lists, lenses: lenses.to_vec(), fences: fences.to_vec() }
    }

    /// Whether there are none but those that are built.
    pub(crate) fn are_built(&self, built: &Built) -> bool {
        (self.lenses.len(), self.fences.len()) == (built.lenses.len(), built.fences.len())
    }

    /// The number of the lens that this looks through. Bands are not the lens's: they are measured
    /// from the nearest that is left, which only the query knows.
    pub(super) fn lens(
        &mut self,
        nearest: &Nearest,
        location: &mut impl FnMut(&str) -> Option<u8>,
    ) -> u8 {
        let Nearest { within: _, bias, prefer } = nearest;
        let mut rule = LensRule::default();
        for (region, bias) in bias {
            let Some(at) = location(region).map(usize::from) else { continue };
            let known = rule.bias.len().max(at + 1);
            rule.bias.resize(known, geo::Bias::NONE);
            rule.bias[at] = *bias;
        }
        let mut locations =
            |regions: &[String]| regions.iter().filter_map(|r| location(r)).collect();
        let prefer = prefer
            .iter()
            .map(|Prefer { clients, regions }| (self.who(clients), locations(regions)));
        rule.prefer = prefer.collect();
        number(&mut self.lenses, rule)
    }

    /// The number of the fence of these rules.
    pub(super) fn fence(
        &mut self,
        rules: &[FenceRule],
        location: &mut impl FnMut(&str) -> Option<u8>,
    ) -> u8 {
        let mut mask = |regions: &[String]| {
            let known = regions.iter().filter_map(|region| location(region));
            known.fold(0, |mask: Mask, location| mask | 1 << location)
        };
        let rules = rules
            .iter()
            .map(|FenceRule { clients, regions, .. }| (self.who(clients), mask(regions)));
        let rule = geo::FenceRule { rules: rules.collect() };
        number(&mut self.fences, rule)
    }

    /// A rule that lost its clients would fence nobody: better no plan.
    fn who(&self, clients: &[Selector]) -> Vec<Who> {
        self.lists.who(clients).expect("a table is made with the lists of all rules")
    }

    /// The rules of one of the fences.
    pub(super) fn fence_rule(&self, fence: u8) -> &geo::FenceRule {
        &self.fences[usize::from(fence)]
    }

    /// Builds them for a table, with the scopes of those classes that most services have.
    pub fn build<'c>(
        &self,
        table: &Table,
        locations: &[Point],
        classes: impl IntoIterator<Item = &'c Class>,
    ) -> Built {
        let lenses: Box<[Lens]> =
            self.lenses.iter().map(|rule| Lens::build(table, locations, rule)).collect();
        let fences: Box<[Fence]> =
            self.fences.iter().map(|rule| Fence::build(table, rule)).collect();
        let mut counted: BTreeMap<&Class, usize> = BTreeMap::new();
        for class in classes {
            *counted.entry(class).or_default() += 1;
        }
        let mut frequent: Vec<_> = counted.into_iter().collect();
        // Stable: equally frequent ones in their own order, on every node.
        frequent.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let scopes = frequent.into_iter().take(MAX_CLASSES).map(|(class, _)| {
            let through: Vec<&Lens> =
                class.lenses.iter().map(|lens| &lenses[usize::from(*lens)]).collect();
            let fence = class.fence.map(|fence| &fences[usize::from(fence)]);
            (class.clone(), Scopes::build(table, &through, fence, class.mask))
        });
        let scopes = scopes.collect();
        let rules = (self.lenses.clone().into(), self.fences.clone().into());
        Built { lenses, fences, scopes, rules }
    }
}

/// The position of `rule`, which is added if it is new.
fn number<T: PartialEq>(rules: &mut Vec<T>, rule: T) -> u8 {
    let at = rules.iter().position(|known| *known == rule).unwrap_or_else(|| {
        rules.push(rule);
        rules.len() - 1
    });
    u8::try_from(at).expect("configuration limits the ways to look")
}
