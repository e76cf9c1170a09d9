//! A point on the earth, and how far two of them are apart.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::Deserialize;

/// The earth's mean radius as the IUGG defines it, (2a + b) / 3 of the WGS 84 ellipsoid.
const EARTH_RADIUS: Kilometres = Kilometres(6371.0088);

/// A place on the sphere: latitude and longitude in degrees, north and east positive.
///
/// Always finite and in range, so that points can be compared, ordered and hashed.
/// Deserialises from `[latitude, longitude]`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "[f64; 2]")]
pub struct Point {
    latitude: f64,
    longitude: f64,
}

impl Point {
    /// A point from degrees: latitude −90 to 90, longitude −180 to 180.
    pub fn new(latitude: f64, longitude: f64) -> Result<Point, PointError> {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(PointError::Latitude(latitude));
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(PointError::Longitude(longitude));
        }
        // Adding zero turns −0 into 0: equal points are equal bit by bit.
        Ok(Point { latitude: latitude + 0.0, longitude: longitude + 0.0 })
    }

    /// Degrees north of the equator, −90 to 90.
    pub fn lat(&self) -> f64 {
        self.latitude
    }

    /// Degrees east of Greenwich, −180 to 180.
    pub fn lon(&self) -> f64 {
        self.longitude
    }

    /// The great-circle distance on a sphere of mean radius 6371.0088 km, by the haversine
    /// formula: at most 0.6 % off the ellipsoid, right across the date line and at the poles.
    /// Symmetric to the last bit.
    pub fn distance(&self, other: &Point) -> Kilometres {
        let half = |a: f64, b: f64| ((a - b).to_radians() / 2.0).sin().powi(2);
        let parallels = self.latitude.to_radians().cos() * other.latitude.to_radians().cos();
        let haversine =
            half(self.latitude, other.latitude) + parallels * half(self.longitude, other.longitude);
        // Rounding can lift antipodes a hair above one, where the arcsine ends.
        Kilometres(2.0 * EARTH_RADIUS.0 * haversine.sqrt().min(1.0).asin())
    }

    /// The unit vector from the earth's centre. The chord between two of them grows with the
    /// distance and needs no trigonometry per pair, which is all that sorting asks for.
    pub(crate) fn unit(&self) -> [f64; 3] {
        let (sin_lat, cos_lat) = self.latitude.to_radians().sin_cos();
        let (sin_lon, cos_lon) = self.longitude.to_radians().sin_cos();
        [cos_lat * cos_lon, cos_lat * sin_lon, sin_lat]
    }
}

/// The square of the straight line between two unit vectors: grows with the distance.
pub(crate) fn chord_squared(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    x * x + y * y + z * z
}

/// The great-circle distance between two unit vectors.
pub(crate) fn arc(a: [f64; 3], b: [f64; 3]) -> Kilometres {
    // Rounding can lift antipodes a hair above two, where the arcsine ends.
    let half_chord = (chord_squared(a, b).sqrt() / 2.0).min(1.0);
    Kilometres(2.0 * EARTH_RADIUS.0 * half_chord.asin())
}

impl TryFrom<[f64; 2]> for Point {
    type Error = PointError;

    fn try_from([latitude, longitude]: [f64; 2]) -> Result<Point, PointError> {
        Point::new(latitude, longitude)
    }
}

impl Ord for Point {
    fn cmp(&self, other: &Point) -> Ordering {
        self.latitude
            .total_cmp(&other.latitude)
            .then_with(|| self.longitude.total_cmp(&other.longitude))
    }
}

impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Point) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Point {
    fn eq(&self, other: &Point) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Point {}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.latitude.to_bits().hash(state);
        self.longitude.to_bits().hash(state);
    }
}

/// `41.26, -95.86`
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.latitude, self.longitude)
    }
}

/// A distance in kilometres.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Kilometres(pub f64);

/// `7317 km`
impl fmt::Display for Kilometres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} km", self.0)
    }
}

/// The caller's coordinates are no point on the earth.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PointError {
    /// Not a number, or beyond a pole.
    #[error("latitude {0} is not between -90 and 90 degrees")]
    Latitude(f64),
    /// Not a number, or more than half way around.
    #[error("longitude {0} is not between -180 and 180 degrees")]
    Longitude(f64),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_distances() {
        // Expected: the same formula worked by hand for the poles and the equator, and the
        // ellipsoidal distances of these airports, which a sphere meets within 0.6 %.
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS.0;
        close(at(90.0, 0.0), at(0.0, 77.0), quarter, 1e-6);
        close(at(90.0, 12.0), at(-90.0, -31.0), 2.0 * quarter, 1e-6);
        close(at(90.0, -180.0), at(90.0, 45.0), 0.0, 1e-6);
        close(at(0.0, 179.5), at(0.0, -179.5), quarter / 90.0, 1e-6);
        close(at(40.6413, -73.7781), at(51.4700, -0.4543), 5555.0, 33.0); // JFK, LHR
        close(at(35.7720, 140.3929), at(37.6213, -122.3790), 8246.0, 50.0); // NRT, SFO
        close(at(-36.9985, 174.7850), at(-33.3930, -70.7858), 9671.0, 58.0); // AKL, SCL
    }

    #[test]
    fn refuses_what_is_not_on_earth() {
        assert_eq!(Point::new(90.1, 0.0), Err(PointError::Latitude(90.1)));
        assert_eq!(Point::new(0.0, -180.5), Err(PointError::Longitude(-180.5)));
        assert!(Point::new(f64::NAN, 0.0).is_err());
        assert!(Point::new(0.0, f64::INFINITY).is_err());
        assert_eq!(at(-0.0, 0.0).lat().to_bits(), 0.0f64.to_bits());
    }

    proptest! {
        #[test]
        fn distance_is_a_metric(a in point(), b in point(), c in point()) {
            let d = |a: Point, b: Point| a.distance(&b).0;
            prop_assert_eq!(d(a, b), d(b, a));
            prop_assert_eq!(d(a, a), 0.0);
            prop_assert!(d(a, b) <= std::f64::consts::PI * EARTH_RADIUS.0 + 1e-6);
            // Near the antipodes the arcsine loses half the digits: 20 cm of grace.
            prop_assert!(d(a, c) <= d(a, b) + d(b, c) + 2e-4);
        }

        #[test]
        fn the_date_line_is_no_border(lat in -89.0..89.0f64, west in 0.01..5.0f64, east in 0.01..5.0f64) {
            let across = at(lat, 180.0 - west).distance(&at(lat, -180.0 + east)).0;
            let inland = at(lat, -west).distance(&at(lat, east)).0;
            prop_assert!((across - inland).abs() < 1e-6, "{} {}", across, inland);
        }

        #[test]
        fn the_chord_orders_like_the_distance(a in point(), b in point(), c in point()) {
            let chord = |p: Point, q: Point| chord_squared(p.unit(), q.unit());
            let (near, far) = (a.distance(&b).0, a.distance(&c).0);
            prop_assume!((near - far).abs() > 1e-3);
            prop_assert_eq!(near < far, chord(a, b) < chord(a, c));
        }

        #[test]
        fn the_arc_is_the_distance(a in point(), b in point()) {
            // Both lose half the digits near the antipodes: 20 cm of grace.
            prop_assert!((arc(a.unit(), b.unit()).0 - a.distance(&b).0).abs() < 2e-4);
        }
    }

    fn point() -> impl Strategy<Value = Point> {
        (-90.0..=90.0f64, -180.0..=180.0f64).prop_map(|(lat, lon)| at(lat, lon))
    }

    fn at(lat: f64, lon: f64) -> Point {
        Point::new(lat, lon).unwrap()
    }

    fn close(a: Point, b: Point, expected: f64, tolerance: f64) {
        let found = a.distance(&b).0;
        assert!((found - expected).abs() <= tolerance, "{a} to {b}: {found}, not {expected}");
    }
}
