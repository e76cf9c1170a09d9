//! Locations (RFC 1876).
//!
//! ```text
//!  42 21 54 N 71 06 18 W -24m 30m 10000m 10m
//!  latitude   longitude  │    │   └ precision, horizontal and vertical
//!                        │    └ diameter of the sphere
//!                        └ altitude over the WGS 84 ellipsoid
//!  wire: version 0, three sizes of one octet (mantissa, power of ten, in centimetres), latitude,
//!  longitude (thousandths of a second from 2³¹) and altitude (centimetres from −100 km)
//! ```

use super::cursor::Cursor;
use super::number;
use crate::zonefile::{Fault, Token};
use std::fmt;

/// Octets of version 0.
const LENGTH: usize = 16;
/// The equator, and the prime meridian.
const ZERO: u32 = 1 << 31;
/// Thousandths of a second in a degree.
const DEGREE: u32 = 3_600_000;
/// What altitudes are counted from: 100 000 m below the ellipsoid, in centimetres.
const GROUND: i64 = 10_000_000;
/// The largest size that a master file can give, in centimetres (RFC 1876 §3).
const MAX_SIZE: u64 = 9_000_000_000;
/// Size, horizontal and vertical precision when they are left out, in centimetres.
const DEFAULTS: [u64; 3] = [100, 1_000_000, 1_000];

pub(super) fn read(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let latitude = read_angle(cursor, 90, ["N", "S"])?;
    let longitude = read_angle(cursor, 180, ["E", "W"])?;
    let altitude = read_altitude(cursor)?;
    let mut sizes = [0; 3];
    for (size, default) in sizes.iter_mut().zip(DEFAULTS) {
        *size = if cursor.is_empty() { default } else { read_size(cursor)? };
    }
    out.push(0);
    out.extend(sizes.map(pack));
    for number in [latitude, longitude, altitude] {
        out.extend_from_slice(&number.to_be_bytes());
    }
    Ok(())
}

/// Reads degrees, perhaps minutes and seconds, and on which side of zero.
fn read_angle(cursor: &mut Cursor<'_>, most: u32, sides: [&str; 2]) -> Result<u32, Fault> {
    let [positive, negative] = sides;
    let what = format!("degrees [minutes [seconds]] {positive} or {negative}");
    let wrong = |token: &Token<'_>| {
        Fault::new(token, format!("{} is not in {what}", token.show()), "as in 42 21 54.25 N")
    };
    let token = cursor.word(&what)?;
    let degrees = number::decimal(token.word()).and_then(|number| u32::try_from(number).ok());
    let degrees = degrees.filter(|&degrees| degrees <= most).ok_or_else(|| wrong(token))?;
    let mut angle = degrees * DEGREE;
    // What comes next: thousandths of a second in it, its decimals, and what it stays below.
    for (unit, decimals, limit) in [(60_000, 0, 60), (1, 3, 60_000)] {
        let next = cursor.peek().map_or("", Token::word);
        if sides.iter().any(|side| side.eq_ignore_ascii_case(next)) {
            break;
        }
        let token = cursor.word(&what)?;
        let value = fixed(token.word(), decimals).and_then(|value| u32::try_from(value).ok());
        let value = value.filter(|&value| value < limit);
        angle += value.ok_or_else(|| wrong(token))? * unit;
    }
    let side = cursor.word(&what)?;
    if angle > most * DEGREE {
        return Err(Fault::new(token, format!("more than {most} degrees"), "as in 42 21 54.25 N"));
    }
    match side.word() {
        text if text.eq_ignore_ascii_case(positive) => Ok(ZERO + angle),
        text if text.eq_ignore_ascii_case(negative) => Ok(ZERO - angle),
        _ => Err(wrong(side)),
    }
}

fn read_altitude(cursor: &mut Cursor<'_>) -> Result<u32, Fault> {
    let token = cursor.word("an altitude in metres")?;
    let text = metres(token);
    let (negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let centimetres = fixed(text, 2).and_then(|value| i64::try_from(value).ok());
    let centimetres = centimetres.map(|value| if negative { -value } else { value });
    centimetres.and_then(|value| u32::try_from(value.checked_add(GROUND)?).ok()).ok_or_else(|| {
        let message = format!("{} is not an altitude", token.show());
        Fault::new(token, message, "write metres from -100000.00m to 42849672.95m")
    })
}

fn read_size(cursor: &mut Cursor<'_>) -> Result<u64, Fault> {
    let token = cursor.word("a size in metres")?;
    fixed(metres(token), 2).filter(|&size| size <= MAX_SIZE).ok_or_else(|| {
        let message = format!("{} is not a size", token.show());
        Fault::new(token, message, "write metres from 0m to 90000000.00m")
    })
}

fn metres<'a>(token: &Token<'a>) -> &'a str {
    token.word().strip_suffix(['m', 'M']).unwrap_or(token.word())
}

/// A number with at most so many decimals, in units of the last of them.
fn fixed(text: &str, decimals: u32) -> Option<u64> {
    let unit = 10u64.pow(decimals);
    let Some((whole, fraction)) = text.split_once('.') else {
        return number::decimal(text)?.checked_mul(unit);
    };
    let missing = decimals.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let fraction = number::decimal(fraction)? * 10u64.pow(missing);
    number::decimal(whole)?.checked_mul(unit)?.checked_add(fraction)
}

/// Centimetres as mantissa and power of ten; digits after the first are lost.
fn pack(mut centimetres: u64) -> u8 {
    let mut power = 0;
    while centimetres > 9 {
        centimetres /= 10;
        power += 1;
    }
    (centimetres as u8) << 4 | power
}

/// Version 0, with sizes that have one digit, or none and no power, and angles on the globe.
pub(super) fn len(octets: &[u8]) -> Option<usize> {
    let (&[version, a, b, c, ref numbers @ ..], _) = octets.split_first_chunk::<LENGTH>()?;
    let sizes =
        [a, b, c].iter().all(|size| matches!((size >> 4, size & 0xf), (0, 0) | (1..=9, 0..=9)));
    let [latitude, longitude, _] = words(numbers);
    let on_globe = |number: u32, most: u32| number.abs_diff(ZERO) <= most * DEGREE;
    let well_formed = version == 0 && sizes && on_globe(latitude, 90) && on_globe(longitude, 180);
    well_formed.then_some(LENGTH)
}

fn words(octets: &[u8; 12]) -> [u32; 3] {
    let word = |at: usize| [octets[at], octets[at + 1], octets[at + 2], octets[at + 3]];
    [0, 4, 8].map(|at| u32::from_be_bytes(word(at)))
}

pub(super) fn show(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Some(&[_, a, b, c, ref numbers @ ..]) = octets.first_chunk::<LENGTH>() else {
        return Ok(());
    };
    let [latitude, longitude, altitude] = words(numbers);
    show_angle(latitude, ["N", "S"], f)?;
    show_angle(longitude, ["E", "W"], f)?;
    let centimetres = i64::from(altitude) - GROUND;
    let sign = if centimetres < 0 { "-" } else { "" };
    let centimetres = centimetres.unsigned_abs();
    write!(f, "{sign}{}.{:02}m", centimetres / 100, centimetres % 100)?;
    for size in [a, b, c] {
        let centimetres = u64::from(size >> 4) * 10u64.pow(u32::from(size & 0xf));
        match centimetres % 100 {
            0 => write!(f, " {}m", centimetres / 100)?,
            rest => write!(f, " {}.{rest:02}m", centimetres / 100)?,
        }
    }
    Ok(())
}

fn show_angle(number: u32, sides: [&str; 2], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let side = sides[usize::from(number < ZERO)];
    let angle = number.abs_diff(ZERO);
    let (degrees, minutes) = (angle / DEGREE, angle / 60_000 % 60);
    let (seconds, thousandths) = (angle / 1_000 % 60, angle % 1_000);
    write!(f, "{degrees} {minutes} {seconds}.{thousandths:03} {side} ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        assert_eq!(fixed("1", 2), Some(100));
        assert_eq!(fixed("1.5", 2), Some(150));
        assert_eq!(fixed("1.05", 2), Some(105));
        assert_eq!(fixed("7", 0), Some(7));
        assert_eq!(fixed("7.0", 0), None);
        for bad in ["1.005", ".5", "1.", "", "-1", "1e3", "1.2.3", "99999999999999999999"] {
            assert_eq!(fixed(bad, 2), None, "{bad}");
        }
    }

    #[test]
    fn rfc1876_2_sizes_have_one_digit() {
        for (centimetres, octet) in
            [(0, 0), (9, 0x90), (10, 0x11), (100, 0x12), (3_000, 0x33), (MAX_SIZE, 0x99)]
        {
            assert_eq!(pack(centimetres), octet);
        }
        assert_eq!(pack(12_345), 0x14);
    }
}
