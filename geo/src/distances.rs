//! Kilometres from a place to the locations, when a query asks for them.

use crate::{Kilometres, Place, Point, country, point};

/// How far the locations are from any place.
///
/// From a point that costs two sines and cosines for the point, and one arcsine per location. From a
/// place that is only a country it is the mean over [`Country::spread`](crate::Country::spread), which
/// is computed beforehand: eight bytes for each country and location.
#[derive(Clone, Debug, Default)]
pub struct Distances {
    /// As unit vectors.
    locations: Box<[[f64; 3]]>,
    /// By row of `countries.csv`, to each location.
    countries: Box<[Kilometres]>,
}

/// Where distances are measured from.
#[derive(Clone, Copy)]
enum Origin {
    /// A unit vector.
    Point([f64; 3]),
    /// The row of a country.
    Country(usize),
}

impl Distances {
    /// To these locations.
    pub fn new(locations: &[Point]) -> Distances {
        let locations: Box<[_]> = locations.iter().map(Point::unit).collect();
        let mut countries = Vec::with_capacity(country::rows().len() * locations.len());
        for row in country::rows() {
            let pieces: Vec<_> = row.spread.iter().map(|(at, share)| (at.unit(), share)).collect();
            countries.extend(locations.iter().map(|&to| {
                let part = |&(from, share): &([f64; 3], &f64)| share * point::arc(from, to).0;
                Kilometres(pieces.iter().map(part).sum())
            }));
        }
        Distances { locations, countries: countries.into() }
    }

    /// From a place, in the order of the locations: great-circle distances, as [`Point::distance`]
    /// has them but for rounding. Of a place that is only a country, the mean from its networks. None
    /// where nothing is known.
    pub fn from(&self, place: &Place) -> Option<impl ExactSizeIterator<Item = Kilometres> + '_> {
        let origin = origin(place)?;
        Some((0..self.len()).map(move |location| self.leg(origin, location)))
    }

    /// From a place to one of the locations. None where nothing is known.
    ///
    /// # Panics
    ///
    /// If there is no such location.
    pub fn between(&self, place: &Place, location: usize) -> Option<Kilometres> {
        Some(self.leg(origin(place)?, location))
    }

    /// What sorts like the distances, and costs nearly nothing.
    pub(crate) fn proxies(&self, place: &Place) -> Option<impl Iterator<Item = f64> + '_> {
        let origin = origin(place)?;
        Some((0..self.len()).map(move |location| match origin {
            Origin::Point(from) => point::chord_squared(from, self.locations[location]),
            Origin::Country(_) => self.leg(origin, location).0,
        }))
    }

    /// How many locations there are.
    pub fn len(&self) -> usize {
        self.locations.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.locations.is_empty()
    }

    fn leg(&self, origin: Origin, location: usize) -> Kilometres {
        match origin {
            Origin::Point(from) => point::arc(from, self.locations[location]),
            Origin::Country(row) => self.countries[row * self.len() + location],
        }
    }
}

fn origin(place: &Place) -> Option<Origin> {
    match place.point {
        Some(point) => Some(Origin::Point(point.unit())),
        None => place.country?.row().map(Origin::Country),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Iowa, South Carolina, Singapore.
    const LOCATIONS: [(f64, f64); 3] = [(41.26, -95.86), (33.19, -80.01), (1.35, 103.82)];

    #[test]
    fn a_country_is_as_far_as_its_networks_are_on_average() {
        let locations = LOCATIONS.map(|(lat, lon)| Point::new(lat, lon).unwrap());
        let distances = Distances::new(&locations);
        for code in ["US", "RU", "FR", "SG", "AQ"] {
            let place = Place::from(code.parse::<crate::Country>().unwrap());
            let spread = place.country.unwrap().spread();
            let found: Vec<_> = distances.from(&place).unwrap().collect();
            assert_eq!(found.len(), 3);
            for (at, (found, to)) in found.iter().zip(&locations).enumerate() {
                let mean: f64 =
                    spread.iter().map(|(from, share)| share * from.distance(to).0).sum();
                assert!((found.0 - mean).abs() < 1e-6, "{code}: {found}, not {mean} km");
                assert_eq!(distances.between(&place, at), Some(*found));
            }
            let proxies: Vec<_> = distances.proxies(&place).unwrap().collect();
            assert_eq!(found.is_sorted_by(|a, b| a <= b), proxies.is_sorted());
        }
    }

    #[test]
    fn a_point_counts_before_its_country_and_nothing_is_nowhere() {
        let locations = LOCATIONS.map(|(lat, lon)| Point::new(lat, lon).unwrap());
        let distances = Distances::new(&locations);
        let place = Place { country: "US".parse().ok(), point: Some(locations[2]) };
        let found: Vec<_> = distances.from(&place).unwrap().collect();
        assert_eq!(found[2], Kilometres(0.0));
        assert!((found[0].0 - locations[2].distance(&locations[0]).0).abs() < 1e-6);
        for unknown in [Place::UNKNOWN, Place { country: "ZZ".parse().ok(), point: None }] {
            assert!(distances.from(&unknown).is_none());
            assert_eq!(distances.between(&unknown, 0), None);
        }
    }
}
