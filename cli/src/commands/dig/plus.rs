//! What dig's words after a `+` ask for. Pure; the random octets of a cookie are an argument.

use std::time::Duration;

use super::request::Request;
use crate::dns::exchange::{MAX_TRIES, Way};
use crate::dns::{Offer, parse_subnet, text};

/// Smallest UDP payload EDNS can offer (RFC 6891 §6.2.3).
pub(super) const MIN_PAYLOAD: u16 = 512;

/// Longest time-out of one try.
const MAX_PER_TRY: Duration = Duration::from_secs(60);

/// The most options of one query: enough for every registered one.
const MAX_OPTIONS: usize = 32;

/// The words that are understood, for the error message.
const WORDS: &str = "+subnet=, +[no]short, +why, +[no]tcp, +[no]ignore, +[no]recurse, +[no]ad, \
                     +[no]cd, +[no]dnssec, +nsid, +[no]cookie[=HEX], +keepalive, +[no]edns[=N], \
                     +ednsopt=CODE[:HEX], +bufsize=, +time=, +tries=";

/// Option codes (IANA "DNS EDNS0 Option Codes").
const NSID: u16 = 3;
pub(super) const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;

/// A request in the making: EDNS is put into the question at its end.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) request: Request,
    pub(super) offer: Offer,
    pub(super) edns: bool,
    /// Random: what a fresh cookie consists of (RFC 7873 §4.1).
    pub(super) cookie: [u8; 8],
}

impl Draft {
    /// Applies one word, without the plus.
    ///
    /// # Errors
    /// A sentence that says what is expected.
    pub(super) fn apply(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word, None),
        };
        match (key.strip_prefix("no"), value) {
            (Some(key), None) if self.switch(key, false) => Ok(()),
            _ if value.is_none() && self.switch(key, true) => Ok(()),
            _ => self
                .set(key, value)
                .unwrap_or_else(|| Err(format!("+{word} is not understood; there are {WORDS}"))),
        }
    }

    /// What can be both on and off; false if there is no such word.
    fn switch(&mut self, key: &str, on: bool) -> bool {
        let Request { question, short, way, .. } = &mut self.request;
        match key {
            "short" => *short = on,
            "tcp" | "vc" => *way = if on { Way::Tcp } else { Way::Either },
            "ignore" => *way = if on { Way::Udp } else { Way::Either },
            "recurse" | "rec" => question.recursion_desired = on,
            "ad" | "adflag" => question.authentic_data = on,
            "cd" | "cdflag" => question.checking_disabled = on,
            "dnssec" | "do" => self.offer.dnssec_ok = on,
            "edns" => self.edns = on,
            "why" => self.request.why = on,
            "nsid" => self.option(NSID, on.then(Vec::new)),
            "keepalive" => self.option(KEEPALIVE, on.then(Vec::new)),
            "cookie" => self.option(COOKIE, on.then(|| self.cookie.to_vec())),
            "subnet" if !on => self.offer.subnet = None,
            _ => return false,
        }
        true
    }

    /// What takes a value; None if there is no such word.
    fn set(&mut self, key: &str, value: Option<&str>) -> Option<Result<(), String>> {
        let value = value?;
        Some(match key {
            "subnet" => parse_subnet(value).map(|subnet| self.offer.subnet = Some(subnet)),
            "bufsize" => bounded(key, value, MIN_PAYLOAD, u16::MAX)
                .map(|payload| self.offer.payload = payload),
            "edns" => bounded(key, value, 0, u8::MAX).map(|version| {
                (self.edns, self.offer.version) = (true, version);
            }),
            "cookie" => cookie(value).map(|cookie| self.option(COOKIE, Some(cookie))),
            "ednsopt" => match ednsopt(value) {
                Ok(_) if self.offer.options.len() >= MAX_OPTIONS => {
                    Err(format!("more than {MAX_OPTIONS} EDNS options"))
                }
                Ok(option) => {
                    self.offer.options.push(option);
                    Ok(())
                }
                Err(error) => Err(error),
            },
            "tries" => {
                bounded(key, value, 1, MAX_TRIES).map(|tries| self.request.patience.tries = tries)
            }
            "time" | "timeout" => bounded(key, value, 1, MAX_PER_TRY.as_secs())
                .map(|seconds| self.request.patience.per_try = Duration::from_secs(seconds)),
            _ => return None,
        })
    }

    /// At most one of each: a later word takes the place of an earlier one.
    fn option(&mut self, code: u16, data: Option<Vec<u8>>) {
        self.offer.options.retain(|(known, _)| *known != code);
        self.offer.options.extend(data.map(|data| (code, data)));
    }
}

/// A client cookie, or one with the server's part (RFC 7873 §4).
///
/// # Errors
/// A sentence that says what is expected.
fn cookie(value: &str) -> Result<Vec<u8>, String> {
    match text::parse_hex(value) {
        Some(octets) if octets.len() == 8 || (16..=40).contains(&octets.len()) => Ok(octets),
        _ => Err(format!(
            "cookie {value}: expected 16 hexadecimal digits (the client's part), or 32 to 80"
        )),
    }
}

/// `CODE` or `CODE:HEX`.
fn ednsopt(value: &str) -> Result<(u16, Vec<u8>), String> {
    let (code, data) = value.split_once(':').unwrap_or((value, ""));
    match (code.parse(), text::parse_hex(data)) {
        (Ok(code), Some(data)) => Ok((code, data)),
        _ => Err(format!(
            "+ednsopt={value}: expected a number, and after a colon hexadecimal digits"
        )),
    }
}

fn bounded<T>(key: &str, value: &str, low: T, high: T) -> Result<T, String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    match value.parse::<T>() {
        Ok(number) if number >= low && number <= high => Ok(number),
        _ => Err(format!("+{key}={value}: expected a number from {low} to {high}")),
    }
}
