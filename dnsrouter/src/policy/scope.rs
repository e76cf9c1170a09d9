//! What of a client an answer can depend on, and so the scope that goes with it.

use geo::Mask;

use super::stage::{Act, Stage};
use super::views::{Class, Views};
use super::{Client, Compiled};
use crate::plan::Geo;
use crate::service::Form;

/// What of a client an answer can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depends {
    Nothing,
    Place,
    Address,
}

/// What the answers of one form can depend on: the finest of what the steps look at.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    depends: Depends,
    /// None: it tells all places apart, or none.
    class: Option<Box<Class>>,
    /// Position of the class's scopes in the plan; none: those of the table.
    scopes: Option<u8>,
}

impl Sight {
    pub(super) fn of(
        stages: &[Stage],
        endpoints: &[Compiled],
        form: Form,
        views: &Views<'_>,
    ) -> Self {
        let having: Vec<_> = endpoints.iter().filter(|e| !e.of(form).is_empty()).collect();
        let mask = having.iter().fold(0, |mask: Mask, endpoint| mask | 1 << endpoint.location);
        let location_twice = mask.count_ones() < u32::try_from(having.len()).unwrap_or(u32::MAX);
        let several_locations = mask.count_ones() > 1;
        let mut split_by_location = false;
        let mut depends = Depends::Nothing;
        let mut class = Class { lenses: Vec::new(), fence: None, mask };
        let mut is_class = true;
        for stage in stages {
            match &stage.act {
                Act::Fence { fence, .. } => {
                    let rules = &views.fence_rule(*fence).rules;
                    if rules.iter().any(|(_, allowed)| allowed & mask != mask) {
                        class.fence = Some(*fence);
                        depends = depends.max(Depends::Place);
                    }
                }
                Act::Nearest { lens, band } if several_locations => {
                    depends = depends.max(Depends::Place);
                    split_by_location |= band.is_none();
                    // A band is measured in kilometres, which differ from place to place.
                    is_class &= band.is_none();
                    class.lenses.push(*lens);
                }
                // Each client sees endpoints a little nearer or farther than they are.
                Act::Load if having.len() > 1 => depends = Depends::Address,
                // A draw decides something only where a group can hold two.
                Act::Weighted { .. } | Act::Fair { .. } | Act::RoundRobin | Act::Sticky
                    if having.len() > 1 && (!split_by_location || location_twice) =>
                {
                    depends = Depends::Address;
                }
                _ => {}
            }
        }
        class.lenses.sort_unstable();
        class.lenses.dedup();
        let class = (depends == Depends::Place && is_class).then(|| Box::new(class));
        Self { depends, class, scopes: None }
    }

    /// Whether a draw decides anything.
    pub(super) fn draws(&self) -> bool {
        self.depends == Depends::Address
    }

    pub(super) fn class(&self) -> Option<&Class> {
        self.class.as_deref()
    }

    /// Finds the scopes of its class among those of the plan.
    pub(super) fn settle(&mut self, geo: &Geo) {
        self.scopes = self.find(geo);
    }

    pub(super) fn is_settled(&self, geo: &Geo) -> bool {
        self.scopes == self.find(geo)
    }

    fn find(&self, geo: &Geo) -> Option<u8> {
        let class = self.class.as_deref()?;
        let at = geo.views.scopes.iter().position(|(known, _)| known == class);
        at.and_then(|at| u8::try_from(at).ok())
    }

    /// The scope prefix length for a client.
    pub(super) fn scope(&self, client: &Client<'_>) -> u8 {
        match (self.depends, self.scopes) {
            (Depends::Nothing, _) => 0,
            (Depends::Place, None) => client.leaf,
            (Depends::Place, Some(at)) => {
                let (_, scopes) = &client.geo.views.scopes[usize::from(at)];
                scopes.scope(&client.geo.table, client.address, client.slot)
            }
            (Depends::Address, _) => client.cap,
        }
    }
}
