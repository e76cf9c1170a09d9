//! A record of any schema, and the place in it.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{FieldPath, Mapping};
use crate::{Country, Place, Point};

/// The fields that the built-in schemas have, in the order in which they are tried.
const COUNTRY: &[&[&str]] = &[
    &["country", "iso_code"],
    &["registered_country", "iso_code"],
    &["country_code"],
    &["country"],
];
const LATITUDE: &[&[&str]] = &[&["location", "latitude"], &["latitude"]];
const ASN: &[&[&str]] =
    &[&["autonomous_system_number"], &["traits", "autonomous_system_number"], &["asn"]];
const LONGITUDE: &[&[&str]] = &[&["location", "longitude"], &["longitude"]];

/// Coordinates are rounded to a hundredth of a degree, at most 0.8 km off: no database knows
/// addresses better, and half of a city file's points are then one with a neighbour.
const STEPS_PER_DEGREE: f64 = 100.0;

const UK: [u8; 2] = *b"UK";
const GB: [u8; 2] = *b"GB";

/// The fields that an error lists at most: enough to recognise a schema by.
const MAX_LISTED: usize = 32;

/// A decoded value. The reader bounds its size and depth.
#[derive(Debug, Default)]
pub(super) enum Record<'a> {
    Map(Vec<(&'a str, Record<'a>)>),
    Text(&'a str),
    Number(f64),
    /// An unsigned integer: no coordinate.
    Whole(u64),
    /// Of no use here.
    #[default]
    Other,
}

/// As ISO 3166-1 has it. It reserves `UK` for the United Kingdom, beside `GB`, so no other country will
/// ever have it; some databases write it.
fn standard(country: Country) -> Country {
    match country.bytes() {
        UK => Country::new(GB).unwrap_or(country),
        _ => country,
    }
}

impl<'a> Record<'a> {
    /// The place that the record says, as far as it says one.
    ///
    /// Coordinates count in pairs, and if they are on earth. 0, 0 is open sea, and what a
    /// database says when it does not know.
    pub(super) fn place(&self, mapping: &Mapping) -> Place {
        let country = |field: &Self| Some(standard(field.text()?.parse().ok()?));
        let country = self.first(&mapping.country, COUNTRY, country);
        let latitude = self.first(&mapping.latitude, LATITUDE, Record::number);
        let longitude = self.first(&mapping.longitude, LONGITUDE, Record::number);
        let round = |degrees: f64| (degrees * STEPS_PER_DEGREE).round() / STEPS_PER_DEGREE;
        let point = latitude
            .zip(longitude)
            .filter(|&degrees| degrees != (0.0, 0.0))
            .and_then(|(lat, lon)| Point::new(round(lat), round(lon)).ok());
        Place { country, point }
    }

    /// The number of the autonomous system that the record names.
    pub(super) fn asn(&self) -> Option<u32> {
        self.first(&None, ASN, |field| match *field {
            Record::Whole(number) => number.try_into().ok(),
            Record::Text(text) => {
                let digits = text.strip_prefix("AS").unwrap_or(text);
                digits.parse().ok()
            }
            _ => None,
        })
    }

    /// Adds the dotted paths of the record's fields, as long as there are few.
    pub(super) fn list_fields(&self, into: &mut BTreeSet<String>) {
        self.list_below("", into);
    }

    fn list_below(&self, path: &str, into: &mut BTreeSet<String>) {
        let Record::Map(fields) = self else { return };
        for (name, value) in fields {
            if into.len() == MAX_LISTED {
                return;
            }
            let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}.{name}") };
            match value {
                Record::Map(_) => value.list_below(&path, into),
                _ => _ = into.insert(path),
            }
        }
    }

    /// What the mapped field holds; without a mapping, the first of the schemas' fields that
    /// holds something.
    fn first<T>(
        &self,
        mapped: &Option<FieldPath>,
        schemas: &[&[&str]],
        read: impl Fn(&Record<'a>) -> Option<T>,
    ) -> Option<T> {
        match mapped {
            Some(path) => read(self.at(path.names())?),
            None => schemas.iter().find_map(|path| read(self.at(path.iter().copied())?)),
        }
    }

    fn at<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<&Record<'a>> {
        path.into_iter().try_fold(self, |value, name| match value {
            Record::Map(fields) => {
                fields.iter().find(|field| field.0 == name).map(|field| &field.1)
            }
            _ => None,
        })
    }

    fn text(&self) -> Option<&'a str> {
        match *self {
            Record::Text(text) => Some(text),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match *self {
            Record::Number(number) => Some(number),
            Record::Text(text) => text.parse().ok(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Record<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Record<'de>, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Record<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Record::Map(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Record<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Record::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Record<'de>, E> {
        Ok(Record::Text(text))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Record<'de>, E> {
        Ok(Record::Number(number))
    }

    fn visit_f32<E>(self, number: f32) -> Result<Record<'de>, E> {
        Ok(Record::Number(number.into()))
    }

    fn visit_i32<E>(self, number: i32) -> Result<Record<'de>, E> {
        Ok(Record::Number(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Record<'de>, E> {
        Ok(Record::Whole(number))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Record<'de>, E> {
        Ok(Record::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Record<'de>, E> {
        Ok(Record::Other)
    }

    fn visit_borrowed_bytes<E>(self, _: &'de [u8]) -> Result<Record<'de>, E> {
        Ok(Record::Other)
    }
}
