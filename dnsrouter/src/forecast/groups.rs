//! Clients whom routes cannot tell apart, put together, with how far they are from everything.

use std::collections::HashMap;

use geo::{Country, Kilometres, Place, PlaceId};

use super::crowd::{Cell, Crowd};
use super::{Change, STRIDE};
use crate::plan::Geo;
use crate::policy::Looks;

/// Clients of one country that both routes see alike.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// Of one of them, in both tables: it answers for all.
    pub(super) places: [PlaceId; 2],
    pub(super) country: Option<Country>,
    /// Of all clients.
    pub(super) weight: f64,
    pub(super) far: Far,
}

/// How far some clients are from the locations of both plans, all together: weight times kilometres.
#[derive(Debug, Clone, Default)]
pub(super) struct Far {
    /// The weight of those that have a distance.
    pub(super) placed: f64,
    /// By location, before and after; one serves for both where locations are the same.
    sums: Vec<Vec<f64>>,
}

impl Far {
    /// Of clients at one place.
    pub(super) fn from(place: &Place, geo: [&Geo; 2], weight: f64) -> Self {
        let mut far = Self::default();
        far.add(place, geo, weight);
        far
    }

    /// Of those of weight `placed` to a location of one of the plans.
    pub(super) fn to(&self, side: usize, location: u8) -> f64 {
        let sums = self.sums.get(side).or(self.sums.first());
        sums.and_then(|sums| sums.get(usize::from(location))).copied().unwrap_or(0.0)
    }

    fn add(&mut self, place: &Place, geo: [&Geo; 2], weight: f64) {
        if !place.is_somewhere() {
            return;
        }
        self.placed += weight;
        let sides = if std::ptr::eq(geo[0], geo[1]) { &geo[..1] } else { &geo[..] };
        self.sums.resize(sides.len(), Vec::new());
        for (sums, geo) in self.sums.iter_mut().zip(sides) {
            sums.resize(geo.distances.len(), 0.0);
            let distances = geo.distances.from(place).into_iter().flatten();
            for (sum, Kilometres(km)) in sums.iter_mut().zip(distances) {
                *sum += weight * km;
            }
        }
    }
}

/// All clients, by what two routes look at.
#[derive(Debug)]
pub(super) struct Groups(Vec<Group>);

impl Groups {
    /// In the order of their first places; none when it was not to go on.
    pub(super) fn of(
        crowd: &Crowd,
        geo: [&Geo; 2],
        looks: &[Looks; 2],
        go_on: &dyn Fn() -> bool,
    ) -> Option<Self> {
        let mut numbers: HashMap<Option<Country>, HashMap<Vec<u32>, usize>> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut key = Vec::new();
        for (number, Cell { places, weight }) in crowd.cells().iter().enumerate() {
            if number % STRIDE == 0 && !go_on() {
                return None;
            }
            let known = [0, 1].map(|side: usize| geo[side].table.place(places[side]));
            let country = known[0].country.or(known[1].country);
            let place = if known[0].is_somewhere() { known[0] } else { known[1] };
            key.clear();
            for side in [0, 1] {
                see(&looks[side], geo[side], places[side], &mut key);
            }
            let same = numbers.entry(country).or_default();
            let at = same.get(&key).copied().unwrap_or_else(|| {
                same.insert(key.clone(), groups.len());
                let far = Far::default();
                groups.push(Group { places: *places, country, weight: 0.0, far });
                groups.len() - 1
            });
            let group = &mut groups[at];
            group.weight += weight;
            group.far.add(place, geo, *weight);
        }
        Some(Self(groups))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.0.iter()
    }
}

/// What a route sees of a place.
fn see(looks: &Looks, geo: &Geo, place: PlaceId, key: &mut Vec<u32>) {
    if looks.kilometres {
        key.push(u32::try_from(place.index()).unwrap_or(u32::MAX));
    }
    let lens = |lens: &u8| geo.views.lenses[usize::from(*lens)].row_number(place);
    key.extend(looks.lenses.iter().map(lens));
    let fence = looks.fence.map(|fence| geo.views.fences[usize::from(fence)].allowed(place).1);
    key.extend(fence.map(|rule| rule.map_or(u32::MAX, u32::from)));
}

/// A mean of kilometres in the making.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean {
    sum: Change,
    weight: Change,
}

impl Mean {
    /// A share of some clients is answered with a location.
    pub(super) fn add(&mut self, side: usize, share: f64, far: &Far, location: u8) {
        self.sum[side] += share * far.to(side, location);
        self.weight[side] += share * far.placed;
    }

    /// None: nobody has a distance.
    pub(super) fn kilometres(&self) -> [Option<f64>; 2] {
        [0, 1].map(|side: usize| {
            (self.weight[side] > 0.0).then(|| self.sum[side] / self.weight[side])
        })
    }
}
