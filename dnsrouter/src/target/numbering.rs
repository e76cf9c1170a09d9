//! Gives numbers to what services look at.

use super::numbers::Targets;
use super::{Target, Watched};
use crate::verdicts::TargetId;

/// Gives numbers to what some services look at, in a plan where others go on looking at theirs.
#[derive(Debug)]
pub struct Numbering {
    targets: Targets,
}

impl Numbering {
    /// Numbers everything that is `wanted`: as in `targets` what is there, then the other targets, then the
    /// other pairs, in the order they come. It costs what is wanted, however much is there.
    pub fn new(targets: Targets, wanted: impl Iterator<Item = Watched> + Clone) -> Self {
        let mut numbering = Self { targets };
        for watched in wanted.clone() {
            numbering.number(watched.first);
            watched.second.into_iter().for_each(|second| _ = numbering.number(second));
        }
        for Watched { first, second } in wanted {
            let Some(second) = second else { continue };
            let pair = (numbering.number(first), numbering.number(second));
            if numbering.targets.find_pair(pair).is_none() {
                numbering.targets.add_pair(pair);
            }
        }
        numbering
    }

    /// The number for a record of what was wanted.
    pub fn take(&mut self, watched: &Watched) -> TargetId {
        let unknown = TargetId(u32::MAX);
        let known = |target| self.targets.find(target).unwrap_or(unknown);
        let first = known(&watched.first);
        let id = match &watched.second {
            None => first,
            Some(second) => self.targets.find_pair((first, known(second))).unwrap_or(unknown),
        };
        self.targets.uses(id, 1);
        id
    }

    /// The numbers, without those that only records looked at that went: one of `gone` for each.
    pub fn finish(mut self, gone: impl Iterator<Item = TargetId>) -> Targets {
        gone.for_each(|id| self.targets.uses(id, -1));
        self.targets
    }

    fn number(&mut self, target: Target) -> TargetId {
        match self.targets.find(&target) {
            Some(id) => id,
            None => self.targets.add(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Check, HostPort};

    fn target(port: u16) -> Target {
        let check = Check::Tcp(HostPort { host: "h".into(), port });
        Target { check, region: "r".into() }
    }

    fn watched(first: u16, second: Option<u16>) -> Watched {
        Watched { first: target(first), second: second.map(target) }
    }

    /// By number; a pair as the two.
    fn ports(targets: &Targets) -> Vec<Vec<u16>> {
        let port = |id| targets.get(id).unwrap().check.at().port;
        let of = |id: u32| match targets.pair(TargetId(id)) {
            Some((first, second)) => vec![port(first), port(second)],
            None => targets.get(TargetId(id)).iter().map(|t| t.check.at().port).collect(),
        };
        (0..targets.numbers() as u32).map(of).collect()
    }

    fn taken(before: Targets, wanted: &[Watched], gone: &[u32]) -> (Targets, Vec<u32>) {
        let mut numbering = Numbering::new(before, wanted.iter().cloned());
        let ids = wanted.iter().map(|watched| numbering.take(watched).0).collect();
        (numbering.finish(gone.iter().copied().map(TargetId)), ids)
    }

    #[test]
    fn pairs_are_numbered_behind_all_targets_and_each_once() {
        let all = [watched(1, Some(2)), watched(3, None), watched(1, Some(2)), watched(2, Some(4))];
        let (targets, ids) = taken(Targets::default(), &all, &[]);
        assert_eq!(ids, [4, 2, 4, 5]);
        assert_eq!(ports(&targets), [vec![1], vec![2], vec![3], vec![4], vec![1, 2], vec![2, 4]]);
        assert_eq!((targets.len(), targets.iter().count(), targets.pairs().count()), (4, 4, 2));
    }

    #[test]
    fn what_stays_keeps_its_number_and_what_nobody_looks_at_goes() {
        let first = [watched(1, None), watched(2, Some(3)), watched(1, None)];
        let (targets, ids) = taken(Targets::default(), &first, &[]);
        assert_eq!(ids, [0, 3, 0]);
        // One of the two that look at 1 goes, and the pair.
        let (targets, ids) = taken(targets, &[watched(4, None), watched(3, None)], &[0, 3]);
        assert_eq!(ids, [4, 2]);
        assert_eq!(ports(&targets), [vec![1], vec![], vec![3], vec![], vec![4]]);
        let (targets, ids) = taken(targets, &[watched(5, None), watched(3, Some(1))], &[0, 4]);
        assert_eq!(ids, [1, 3]);
        assert_eq!(ports(&targets), [vec![1], vec![5], vec![3], vec![3, 1], vec![]]);
        assert_eq!(targets.len(), 3);
    }
}
