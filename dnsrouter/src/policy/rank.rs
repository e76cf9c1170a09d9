//! Ranks: which candidates are better than others, and which as good.

use geo::{Kilometres, MAX_LOCATIONS, Place};

use super::order::{Candidate, Candidates, rank_by};
use super::stage::Band;
use crate::plan::Geo;

/// A client's view of the locations.
pub(super) struct Seen<'a> {
    /// Best first.
    pub(super) order: &'a [u8],
    /// The rule of `prefer` that the client matched.
    pub(super) matched: Option<u8>,
    /// Where the client is.
    pub(super) from: &'a Place,
    pub(super) geo: &'a Geo,
}

/// Nearest first: by the position of each candidate's location in the client's order. With a band,
/// those as far as the nearest of a group that is left, or within the band behind it, stay together;
/// then the next of them begins another.
pub(super) fn nearest(
    candidates: &mut Candidates,
    seen: &Seen<'_>,
    band: Option<&Band>,
    location: impl Fn(&Candidate) -> u8,
) {
    let mut positions = [u8::MAX; MAX_LOCATIONS];
    for (position, location) in (0_u8..).zip(seen.order) {
        positions[usize::from(*location)] = position;
    }
    let position = |candidate: &Candidate| positions[usize::from(location(candidate))];
    // Of what is unknown, nothing is near.
    let (Some(band), Some(known)) = (band, seen.geo.distances.from(seen.from)) else {
        return rank_by(candidates, position);
    };
    let mut distances = [0.0; MAX_LOCATIONS];
    for (distance, Kilometres(km)) in distances.iter_mut().zip(known) {
        *distance = km;
    }
    for (location, bias) in &band.bias {
        distances[usize::from(*location)] *= bias.factor();
    }
    let preferred = seen.matched.and_then(|rule| band.preferred.get(usize::from(rule)));
    let preferred = preferred.copied().unwrap_or(0);
    let key = |candidate: &Candidate| {
        let position = position(candidate);
        if position < preferred {
            // Better than all that follows, however near that is.
            return Key { class: position, figure: 0.0, tie: 0 };
        }
        let figure = distances[usize::from(location(candidate))];
        Key { class: preferred, figure, tie: position }
    };
    in_bands(candidates, key, |km| band.within.limit(Kilometres(km)).0);
}

/// The least first; so much as `limit` allows beyond the least of a group is as good. Without a
/// figure they come last, all alike.
pub(super) fn least(
    candidates: &mut Candidates,
    figure: impl Fn(&Candidate) -> Option<f64>,
    limit: impl Fn(f64) -> f64,
) {
    let key = |candidate: &Candidate| match figure(candidate) {
        Some(figure) => Key { class: 0, figure, tie: 0 },
        None => Key { class: 1, figure: 0.0, tie: 0 },
    };
    in_bands(candidates, key, limit);
}

/// What a band goes by, in this order.
#[derive(Debug, Clone, Copy)]
struct Key {
    class: u8,
    figure: f64,
    tie: u8,
}

/// Splits each group by class and figure, lower ones first: the first of each new group keeps those
/// of its class up to the limit of its figure.
fn in_bands(
    candidates: &mut Candidates,
    key: impl Fn(&Candidate) -> Key,
    limit: impl Fn(f64) -> f64,
) {
    candidates.sort_unstable_by(|a, b| {
        let (before, behind) = (key(a), key(b));
        (a.group, before.class)
            .cmp(&(b.group, behind.class))
            .then(before.figure.total_cmp(&behind.figure))
            .then((before.tie, a.endpoint).cmp(&(behind.tie, b.endpoint)))
    });
    let mut group = 0;
    let mut band: Option<(u8, u8, f64)> = None;
    for candidate in candidates {
        let Key { class, figure, .. } = key(candidate);
        let goes_on = |(of, within, limit): (u8, u8, f64)| {
            (of, within) == (candidate.group, class) && figure <= limit
        };
        if !band.is_some_and(goes_on) {
            group += u8::from(band.is_some());
            band = Some((candidate.group, class, limit(figure).max(figure)));
        }
        candidate.group = group;
    }
}
