//! What depends on each target, so that a flip touches what it concerns and nothing else.
//!
//! Follows one plan after another by what is another in it. Nearly every target has one service, which
//! stands where a list would: 120,000 targets of 10,000 services cost 3 MB.

use std::collections::HashMap;
use std::time::Duration;

use dns::zone::ServiceId;

use crate::plan::{Difference, Services};
use crate::verdicts::TargetId;

/// Who looks at which target of one plan.
#[derive(Debug, Default)]
pub struct Dependants {
    /// By target.
    services: Vec<Few>,
    /// Of targets that are half of one.
    pairs: HashMap<TargetId, Few>,
    /// Of targets that have any.
    slow_starts: HashMap<TargetId, Duration>,
}

impl Dependants {
    /// Goes on from one plan to the next; returns the targets of services that are others now, in order.
    pub fn follow(
        &mut self,
        before: &Services,
        after: &Services,
        difference: &Difference,
    ) -> Vec<TargetId> {
        let looked_at = |services: &Services, ServiceId(id): ServiceId| -> Vec<TargetId> {
            let policy = services.services.get(id as usize).map(|(_, policy)| policy);
            let verdicts = policy.into_iter().flat_map(|policy| policy.targets());
            verdicts.flat_map(|verdict| services.behind(verdict)).collect()
        };
        let mut touched = Vec::new();
        for service in &difference.services {
            for target in looked_at(before, *service) {
                if let Some(services) = self.services.get_mut(target.0 as usize) {
                    services.remove(service.0);
                }
                touched.push(target);
            }
        }
        for id in &difference.targets {
            let Some((first, second)) = before.targets.pair(*id) else { continue };
            for half in [first, second] {
                let Some(pairs) = self.pairs.get_mut(&half) else { continue };
                pairs.remove(id.0);
                if pairs.as_slice().is_empty() {
                    self.pairs.remove(&half);
                }
            }
        }
        self.services.resize(after.targets.numbers(), Few::default());
        for service in &difference.services {
            for target in looked_at(after, *service) {
                if let Some(services) = self.services.get_mut(target.0 as usize) {
                    services.insert(service.0);
                }
                touched.push(target);
            }
        }
        for id in &difference.targets {
            let Some((first, second)) = after.targets.pair(*id) else { continue };
            for half in [first, second] {
                self.pairs.entry(half).or_default().insert(id.0);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for target in &touched {
            let policies =
                self.services(*target).filter_map(|id| after.services.get(id.0 as usize));
            let longest = policies.map(|(_, policy)| policy.slow_start()).max();
            match longest.filter(|longest| !longest.is_zero()) {
                Some(longest) => _ = self.slow_starts.insert(*target, longest),
                None => _ = self.slow_starts.remove(target),
            }
        }
        touched
    }

    /// The services that have an address of which `target` decides, each once.
    pub fn services(&self, target: TargetId) -> impl Iterator<Item = ServiceId> + '_ {
        let services = self.services.get(target.0 as usize);
        services.into_iter().flat_map(Few::as_slice).copied().map(ServiceId)
    }

    /// The plan's pairs that `target` is one half of.
    pub fn pairs(&self, target: TargetId) -> impl Iterator<Item = TargetId> + '_ {
        self.pairs.get(&target).into_iter().flat_map(Few::as_slice).copied().map(TargetId)
    }

    /// How long it takes until a recovered target has its whole weight: the longest that a
    /// service of its asks for. Others ignore it.
    pub fn slow_start(&self, target: TargetId) -> Duration {
        self.slow_starts.get(&target).copied().unwrap_or_default()
    }
}

/// Numbers in order, each once; seldom more than one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Few {
    #[default]
    None,
    One(u32),
    More(Vec<u32>),
}

impl Few {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }

    fn insert(&mut self, item: u32) {
        match self {
            Self::None => *self = Self::One(item),
            Self::One(one) if *one == item => {}
            Self::One(one) => *self = Self::More(vec![item.min(*one), item.max(*one)]),
            Self::More(more) => {
                if let Err(at) = more.binary_search(&item) {
                    more.insert(at, item);
                }
            }
        }
    }

    fn remove(&mut self, item: u32) {
        match self {
            Self::None => {}
            Self::One(one) if *one != item => {}
            Self::One(_) => *self = Self::None,
            Self::More(more) => {
                if let Ok(at) = more.binary_search(&item) {
                    more.remove(at);
                }
                if let [one] = more[..] {
                    *self = Self::One(one);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_in_order_and_each_once() {
        let mut few = Few::default();
        for (add, item, expected) in [
            (true, 5, &[5][..]),
            (true, 5, &[5]),
            (false, 4, &[5]),
            (true, 3, &[3, 5]),
            (true, 9, &[3, 5, 9]),
            (true, 5, &[3, 5, 9]),
            (false, 4, &[3, 5, 9]),
            (false, 3, &[5, 9]),
            (false, 5, &[9]),
            (false, 9, &[]),
            (false, 9, &[]),
        ] {
            if add {
                few.insert(item);
            } else {
                few.remove(item);
            }
            assert_eq!(few.as_slice(), expected);
        }
        assert_eq!(few, Few::None);
    }
}
