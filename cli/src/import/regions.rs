//! Regions that services are in, and where those are.

use std::collections::BTreeMap;

use geo::Point;

use super::findings::Findings;

/// Regions that one node ranks; dnsrouter has the same limit.
pub(crate) const MAX_REGIONS: usize = 128;

/// Region of endpoints of which nobody says where they are.
pub(crate) const UNPLACED: &str = "unplaced";

/// Where a region is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Where {
    /// Where the built-in table of cloud regions says.
    BuiltIn,
    /// As the product's configuration says.
    At(Point),
    /// Nobody said.
    Unknown,
}

/// By name.
#[derive(Debug, Default)]
pub(crate) struct Regions(BTreeMap<String, Where>);

impl Regions {
    /// The region of a name of which nothing else is known: a cloud's if it is called so.
    pub(crate) fn named(&mut self, name: &str) -> String {
        let place = match geo::regions::find(name) {
            Some(_) => Where::BuiltIn,
            None => Where::Unknown,
        };
        self.0.entry(name.to_owned()).or_insert(place);
        name.to_owned()
    }

    /// A region at a point. Another one of this name elsewhere makes it `name-2` and so on.
    pub(crate) fn at(&mut self, name: &str, point: Point) -> String {
        let mut called = name.to_owned();
        for number in 2.. {
            match self.0.get(&called) {
                None | Some(Where::Unknown) => break,
                Some(Where::At(known)) if *known == point => break,
                Some(_) => called = format!("{name}-{number}"),
            }
        }
        self.0.insert(called.clone(), Where::At(point));
        called
    }

    /// In the order of their names.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&str, Where)> {
        self.0.iter().map(|(name, place)| (name.as_str(), *place))
    }

    /// Forgets those that nothing is in.
    pub(crate) fn keep(&mut self, mut used: impl FnMut(&str) -> bool) {
        self.0.retain(|name, _| used(name));
    }

    /// What there is to say about them.
    pub(crate) fn judge(&self, findings: &mut Findings) {
        let unknown: Vec<&str> = self
            .list()
            .filter(|(_, place)| *place == Where::Unknown)
            .map(|(name, _)| name)
            .collect();
        if !unknown.is_empty() {
            findings.note(
                "[[region]]",
                &format!("where these regions are: {}", unknown.join(", ")),
                "nothing that was imported says it, so they are written at latitude 0, longitude 0; \
                 the imported rules do not depend on it",
                "fill in the locations, and the real regions of their endpoints: drains, alarms and \
                 steps that use distances go by them",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_one_place() {
        let mut regions = Regions::default();
        let [here, there] = [Point::new(1.0, 2.0).unwrap(), Point::new(3.0, 4.0).unwrap()];
        assert_eq!(regions.named("dc"), "dc");
        assert_eq!(regions.at("dc", here), "dc");
        assert_eq!(regions.at("dc", here), "dc");
        assert_eq!(regions.at("dc", there), "dc-2");
        assert_eq!(regions.named("us-east-1"), "us-east-1");
        let list: Vec<_> = regions.list().collect();
        assert_eq!(list[2], ("us-east-1", Where::BuiltIn));
        assert_eq!(list.len(), 3);
    }
}
