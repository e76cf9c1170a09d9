//! The public regions of the large cloud providers, and where they are.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::{Country, Point};

/// A cloud region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// As its provider spells it: `us-central1`, `eu-west-1`, `westeurope`.
    pub name: &'static str,
    /// Whose region it is.
    pub provider: Provider,
    /// The city or the county that the provider names, or the one nearest to its coordinates.
    pub city: &'static str,
    /// The country.
    pub country: Country,
    /// That city's coordinates: good to some tens of kilometres, since no provider says more.
    pub point: Point,
    /// Where the place was taken from; `regions.csv` spells the documents out.
    pub source: &'static str,
}

/// A cloud provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
}

/// The region of this name. Names are unique among the providers.
pub fn find(name: &str) -> Option<&'static Region> {
    let row = REGIONS.binary_search_by(|region| region.name.cmp(name)).ok()?;
    Some(&REGIONS[row])
}

/// All regions, sorted by name.
pub fn all() -> &'static [Region] {
    &REGIONS
}

/// Up to three region names that a mistyped one may have meant, the likeliest first.
pub fn nearest_names(name: &str) -> Vec<&'static str> {
    const SUGGESTIONS: usize = 3;
    let typed: Vec<char> = name.chars().take(MAX_TYPED).flat_map(char::to_lowercase).collect();
    // More than a third wrong is not a typo but another name.
    let tolerance = typed.len().div_ceil(3);
    let mut close: Vec<(usize, &str)> = REGIONS
        .iter()
        .map(|region| (edits(&typed, region.name), region.name))
        .filter(|&(edits, _)| edits <= tolerance)
        .collect();
    close.sort_unstable();
    close.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect()
}

/// No region's name is nearly as long; it bounds the work on garbage.
const MAX_TYPED: usize = 64;

/// Levenshtein's distance: insertions, deletions and replacements.
fn edits(typed: &[char], name: &str) -> usize {
    let mut row: Vec<usize> = (0..=typed.len()).collect();
    for (i, wanted) in name.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &got) in typed.iter().enumerate() {
            let replaced = diagonal + usize::from(got != wanted);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[typed.len()]
}

static REGIONS: LazyLock<Vec<Region>> = LazyLock::new(|| {
    let lines = include_str!("regions.csv").lines().filter(|line| !line.starts_with('#')).skip(1);
    let row = |line| row(line).expect("regions.csv is part of the crate and tested");
    let mut regions: Vec<Region> = lines.map(row).collect();
    regions.sort_unstable_by_key(|region| region.name);
    regions
});

fn row(line: &'static str) -> Option<Region> {
    let fields: Vec<&str> = line.split(',').collect();
    let [name, provider, city, country, lat, lon, source] = fields[..] else { return None };
    Some(Region {
        name,
        provider: provider.parse().ok()?,
        city,
        country: country.parse().ok()?,
        point: Point::new(lat.parse().ok()?, lon.parse().ok()?).ok()?,
        source,
    })
}

impl FromStr for Provider {
    type Err = ProviderError;

    fn from_str(name: &str) -> Result<Provider, ProviderError> {
        match name {
            "aws" => Ok(Provider::Aws),
            "azure" => Ok(Provider::Azure),
            "gcp" => Ok(Provider::Gcp),
            _ => Err(ProviderError),
        }
    }
}

/// `aws`, `azure`, `gcp`
impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Provider::Aws => "aws",
            Provider::Azure => "azure",
            Provider::Gcp => "gcp",
        })
    }
}

/// The caller's text names no provider whose regions are built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such cloud provider: aws, azure or gcp")]
pub struct ProviderError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name), "a name twice");
        assert!(all().iter().all(|region| find(region.name) == Some(region)));
        for provider in [Provider::Aws, Provider::Azure, Provider::Gcp] {
            assert!(all().iter().filter(|region| region.provider == provider).count() >= 36);
        }
        assert_eq!(find("us-central1").unwrap().city, "Council Bluffs");
        assert_eq!(find("eu-west-1").unwrap().provider, Provider::Aws);
        assert_eq!(find("westeurope").unwrap().country.to_string(), "NL");
        assert_eq!(find("US-CENTRAL1"), None);
    }

    #[test]
    fn regions_are_in_their_countries() {
        // A mistyped sign or digit moves a region out of any country.
        for region in all() {
            let width = match region.country.to_string().as_str() {
                "US" | "CA" => 3_600.0,
                "AU" | "CN" => 3_200.0,
                "BR" | "IN" | "IL" | "ZA" => 1_500.0,
                _ => 900.0,
            };
            let away = region.point.distance(&region.country.center().unwrap());
            assert!(away.0 < width, "{} is {away} from its country's centre", region.name);
            assert!(
                !region.city.is_empty() && region.source.starts_with(&region.provider.to_string())
            );
        }
    }

    #[test]
    fn one_city_has_one_point() {
        for a in all() {
            for b in all().iter().filter(|b| (a.city, a.country) == (b.city, b.country)) {
                assert!(a.point.distance(&b.point).0 < 15.0, "{} and {}", a.name, b.name);
            }
        }
    }

    #[test]
    fn typos_are_recognised() {
        assert_eq!(nearest_names("us-central-1")[0], "us-central1");
        assert_eq!(nearest_names("europe-west33").first(), Some(&"europe-west3"));
        assert!(nearest_names("frankfurt-office").is_empty());
        assert!(nearest_names(&"x".repeat(100_000)).is_empty());
    }
}
