//! Durations in configurations: `"5s"`, `"1h 30m"`, `"250ms"`.
//!
//! `#[serde(with = "daemon::config::duration")]`; for an `Option`, [`option`].

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Reads a duration with a unit.
///
/// # Errors
///
/// When the text is no duration, or a bare number: its unit would be a guess.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Writes it the same way.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

fn parse(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|e| format!("'{text}' is not a duration ({e}); write \"5s\", \"250ms\" or \"1h\""))
}

/// The same for a duration that may be absent; add `#[serde(default)]`.
pub mod option {
    use super::{Deserialize, Deserializer, Duration, Error};

    /// Reads a duration with a unit, if there is one.
    ///
    /// # Errors
    ///
    /// As [`super::deserialize`].
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse(&text)).transpose().map_err(D::Error::custom)
    }
}
