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

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use dns::name::Name;
use geo::{Fence, Lens, LensRule, Lists, Mask, Point, Scopes, Selector, Table, Who};

use crate::service::{FenceRule, Nearest, Prefer};

/// Classes with scopes of their own, at three to eight megabytes each over a city database; others
/// have the scopes of the table, which are narrower and right as well.
pub const MAX_CLASSES: usize = 16;

/// Different fences, and lenses other than plain distance, of a configuration: each is a table of all
/// places.
pub const MAX_VIEWS: usize = 64;

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
#[derive(Debug, Default, Clone)]
pub struct Built {
    /// By number.
    pub lenses: Box<[Arc<Lens>]>,
    /// By number.
    pub fences: Box<[Arc<Fence>]>,
    /// At most [`MAX_CLASSES`].
    pub scopes: Box<[(Class, Arc<Scopes>)]>,
    /// What lenses and fences were built from, by their numbers.
    rules: (Box<[LensRule]>, Box<[geo::FenceRule]>),
}

impl Built {
    /// Whether nothing of it was built anew.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let (scopes, others) = (&self.scopes, &other.scopes);
        (self.lenses.len(), self.fences.len()) == (other.lenses.len(), other.fences.len())
            && self.lenses.iter().zip(&other.lenses).all(|(a, b)| Arc::ptr_eq(a, b))
            && self.fences.iter().zip(&other.fences).all(|(a, b)| Arc::ptr_eq(a, b))
            && scopes.len() == others.len()
            && scopes.iter().zip(others).all(|((_, a), (_, b))| Arc::ptr_eq(a, b))
    }
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

    /// Whether there are more than a configuration may have: some of them nobody looks through any
    /// more.
    pub(crate) fn are_too_many(&self) -> bool {
        // Plain distance is no configured one.
        self.lenses.len() > MAX_VIEWS + 1 || self.fences.len() > MAX_VIEWS
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

    /// Builds them for a table, with the scopes of those classes that most forms of services have, of
    /// equally many those of the first name. `classes` names the services.
    pub fn build<'c>(
        &self,
        table: &Table,
        locations: &[Point],
        classes: impl IntoIterator<Item = (&'c Name, &'c Class)>,
    ) -> Built {
        self.build_on(&Built::default(), table, locations, classes)
    }

    /// The same, with what is built already for the same table and locations, by the same numbers: scopes
    /// that stay do so where they are.
    pub(crate) fn build_on<'c>(
        &self,
        built: &Built,
        table: &Table,
        locations: &[Point],
        classes: impl IntoIterator<Item = (&'c Name, &'c Class)>,
    ) -> Built {
        let lenses = self.lenses.iter().enumerate().map(|(at, rule)| match built.lenses.get(at) {
            Some(lens) => Arc::clone(lens),
            None => Arc::new(Lens::build(table, locations, rule)),
        });
        let lenses: Box<[Arc<Lens>]> = lenses.collect();
        let fences = self.fences.iter().enumerate().map(|(at, rule)| match built.fences.get(at) {
            Some(fence) => Arc::clone(fence),
            None => Arc::new(Fence::build(table, rule)),
        });
        let fences: Box<[Arc<Fence>]> = fences.collect();
        let frequent = frequent(classes);
        let build = |class: &Class| {
            let through: Vec<&Lens> =
                class.lenses.iter().map(|lens| &*lenses[usize::from(*lens)]).collect();
            let fence = class.fence.map(|fence| &*fences[usize::from(fence)]);
            Arc::new(Scopes::build(table, &through, fence, class.mask))
        };
        let mut new =
            frequent.iter().filter(|class| built.scopes.iter().all(|(known, _)| known != *class));
        let mut scopes: Vec<(Class, Arc<Scopes>)> = Vec::with_capacity(frequent.len());
        for known in &built.scopes {
            if frequent.contains(&known.0) {
                scopes.push(known.clone());
            } else if let Some(class) = new.next() {
                scopes.push((class.clone(), build(class)));
            }
        }
        scopes.extend(new.map(|class| (class.clone(), build(class))));
        let rules = (self.lenses.clone().into(), self.fences.clone().into());
        Built { lenses, fences, scopes: scopes.into(), rules }
    }
}

/// The classes that most have, at most [`MAX_CLASSES`]. Numbers of lenses, fences and services decide
/// nothing: they are other ones after other histories.
fn frequent<'c>(classes: impl IntoIterator<Item = (&'c Name, &'c Class)>) -> Vec<Class> {
    let mut counted: BTreeMap<&Class, (usize, (&Name, usize))> = BTreeMap::new();
    let mut before: Option<(&Name, usize)> = None;
    for (name, class) in classes {
        // Of one service's classes the first is that of its first form.
        let at = before.filter(|(known, _)| std::ptr::eq(*known, name)).map_or(0, |(_, at)| at + 1);
        before = Some((name, at));
        let (count, first) = counted.entry(class).or_insert((0, (name, at)));
        *count += 1;
        *first = (*first).min((name, at));
    }
    let mut frequent: Vec<_> = counted.into_iter().collect();
    frequent.sort_unstable_by_key(|(_, (count, first))| (Reverse(*count), *first));
    frequent.into_iter().take(MAX_CLASSES).map(|(class, _)| class.clone()).collect()
}

/// The position of `rule`, which is added if it is new.
fn number<T: PartialEq>(rules: &mut Vec<T>, rule: T) -> u8 {
    let at = rules.iter().position(|known| *known == rule).unwrap_or_else(|| {
        rules.push(rule);
        rules.len() - 1
    });
    u8::try_from(at).expect("configuration limits the ways to look")
}
