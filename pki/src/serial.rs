//! Serial numbers: 128 random bits, written as 32 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of a certificate, unique within its authority.
///
/// Random, so that nobody can tell from one how many there are or what the next will be
/// (CA/Browser Forum Baseline Requirements §7.1 ask for 64 bits at least). Its first byte is
/// never zero, so it has one spelling in DER and in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial([u8; 16]);

/// The text is no serial number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a serial number; expected 32 hexadecimal digits, with or without colons")]
pub struct SerialError(String);

impl Serial {
    /// A new one from the system's randomness.
    ///
    /// # Errors
    ///
    /// When the system has none to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        while bytes[0] == 0 {
            getrandom::fill(&mut bytes)?;
        }
        Ok(Self(bytes))
    }

    /// The number, most significant byte first.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The serial number in a certificate, if it has our form.
    pub(crate) fn of_der_integer(bytes: &[u8]) -> Option<Self> {
        // DER puts a zero before a number whose first bit is set.
        let bytes = bytes.strip_prefix(&[0]).unwrap_or(bytes);
        bytes.try_into().ok().filter(|bytes: &[u8; 16]| bytes[0] != 0).map(Self)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Serial {
    type Err = SerialError;

    fn from_str(text: &str) -> Result<Self, SerialError> {
        let digits: String = text.chars().filter(|&c| c != ':').collect();
        let well_formed = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let value = well_formed.then(|| u128::from_str_radix(&digits, 16).ok()).flatten();
        match value.map(u128::to_be_bytes) {
            Some(bytes) if bytes[0] != 0 => Ok(Self(bytes)),
            _ => Err(SerialError(text.chars().take(80).collect())),
        }
    }
}

impl Serialize for Serial {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Serial {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_serial_prints_and_parses_back() {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            let serial = Serial::random().unwrap();
            let text = serial.to_string();
            assert_eq!(text.len(), 32);
            assert_eq!(text.parse(), Ok(serial));
            assert!(seen.insert(serial), "{serial} came twice");
        }
    }

    #[test]
    fn other_spellings() {
        let serial: Serial = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let openssl = "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:AB:CD:EF";
        assert_eq!(openssl.parse(), Ok(serial));
        for bad in ["", "1", "0023456789abcdef0123456789abcdef", "x123456789abcdef0123456789abcdef"]
        {
            assert!(bad.parse::<Serial>().is_err(), "{bad}");
        }
    }

    #[test]
    fn der_integers_with_and_without_a_leading_zero() {
        let high = [0xff; 16];
        let with_zero: Vec<u8> = [0].into_iter().chain(high).collect();
        assert_eq!(Serial::of_der_integer(&with_zero), Some(Serial(high)));
        assert_eq!(Serial::of_der_integer(&[1; 16]), Some(Serial([1; 16])));
        assert_eq!(Serial::of_der_integer(&[1; 15]), None);
        assert_eq!(Serial::of_der_integer(&[1; 20]), None);
    }
}
