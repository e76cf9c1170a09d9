//! Record data of every type, from text to octets and back.

use crate::examples::{self, Example};
use dns::name::Name;
use dns::rdata::{self, Malformed, Rdata};
use dns::rr::Rtype;
use proptest::prelude::*;
use std::collections::BTreeMap;

const EXAMPLES: &str = include_str!("../records.txt");

fn origin() -> Name {
    "example.".parse().unwrap()
}

fn rtype(example: &Example<'_>) -> Rtype {
    example.rtype.parse().unwrap_or_else(|_| panic!("line {}", example.line))
}

/// Examples that are well-formed: type, text, octets.
fn good() -> Vec<(Rtype, &'static str, Vec<u8>)> {
    let (examples, _) = examples::read(EXAMPLES);
    let good = examples.into_iter().filter(|example| example.bad.is_none());
    good.map(|example| (rtype(&example), example.text.unwrap(), example.octets.unwrap())).collect()
}

#[test]
fn texts_are_read_and_shown() {
    for example in examples::read(EXAMPLES).0.iter().filter(|example| example.bad.is_none()) {
        let (line, rtype, text) = (example.line, rtype(example), example.text.unwrap());
        let octets = rdata::parse(rtype, text, &origin())
            .unwrap_or_else(|error| panic!("line {line}: {error} at {}", error.column));
        assert_eq!(octets, example.octets.clone().unwrap().into(), "line {line}");
        let shown = Rdata { rtype, octets: &octets }.to_string();
        assert_eq!(shown, example.show.unwrap_or(text), "line {line}");
    }
}

#[test]
fn text_to_wire_to_text_to_wire_is_the_identity() {
    for (rtype, _, octets) in good() {
        assert_eq!(rdata::check(rtype, &octets), Ok(()), "{rtype}");
        identity(rtype, &octets);
        let generic = format!("\\# {} {}", octets.len(), hex(&octets));
        assert_eq!(*rdata::parse(rtype, &generic, &origin()).unwrap(), octets, "{rtype}");
    }
}

/// What is shown reads back to the same octets, and is shown the same again.
#[track_caller]
fn identity(rtype: Rtype, octets: &[u8]) {
    let shown = Rdata { rtype, octets }.to_string();
    let back = rdata::parse(rtype, &shown, &origin())
        .unwrap_or_else(|error| panic!("{rtype} {shown}: {error}"));
    assert_eq!(*back, *octets, "{rtype} {shown}");
    assert_eq!(Rdata { rtype, octets: &back }.to_string(), shown);
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn every_type_of_the_registry_has_two_examples() {
    let mut counts: BTreeMap<Rtype, u32> = BTreeMap::new();
    for (rtype, ..) in good() {
        *counts.entry(rtype).or_default() += 1;
    }
    // Reserved, without any form; and types that are never stored.
    let formless = [Rtype::UINFO, Rtype::UID, Rtype::GID, Rtype::UNSPEC];
    for rtype in (0..=u16::MAX).map(Rtype).filter(|rtype| rtype.mnemonic().is_some()) {
        if !rtype.is_meta() && !formless.contains(&rtype) {
            assert!(counts.get(&rtype).is_some_and(|&count| count >= 2), "{rtype}");
        }
    }
}

#[test]
fn what_is_malformed_is_refused() {
    for example in &examples::read(EXAMPLES).0 {
        let Some(bad) = example.bad else { continue };
        let (line, rtype) = (example.line, rtype(example));
        if let Some(octets) = &example.octets {
            let found = match rdata::check(rtype, octets) {
                Err(Malformed::Rule(rule)) => rule,
                Err(Malformed::Shape) => "shape",
                Ok(()) => "well-formed",
            };
            assert_eq!(found, bad, "line {line}");
            let shown = Rdata { rtype, octets }.to_string();
            assert_eq!(
                shown.trim_end(),
                format!("\\# {} {}", octets.len(), hex(octets)).trim_end()
            );
            continue;
        }
        let error = rdata::parse(rtype, example.text.unwrap(), &origin()).unwrap_err();
        let told = format!("{} {}", error.column, error.message);
        assert!(told.starts_with(bad), "line {line}: {told}");
        assert!(!error.help.is_empty(), "line {line}");
    }
}

#[test]
fn one_record_stands_on_one_line() {
    assert!(rdata::parse(Rtype::A, "192.0.2.1 ; comment", &origin()).is_ok());
    assert!(rdata::parse(Rtype::TXT, "(\na\nb )", &origin()).is_ok());
    assert!(rdata::parse(Rtype::A, "192.0.2.1\n192.0.2.2", &origin()).is_err());
    assert!(rdata::parse(Rtype::TXT, "\"a", &origin()).is_err());
    let long = "x ".repeat(40_000);
    let error = rdata::parse(Rtype::TXT, &long, &origin()).unwrap_err();
    assert!(error.message.starts_with("more than 65535 octets"), "{error}");
    let long = format!("1 . key65280={}", "x".repeat(70_000));
    let error = rdata::parse(Rtype::SVCB, &long, &origin()).unwrap_err();
    assert!(error.message.contains("too long"), "{error}");
}

/// An example after a few octets were changed, cut off or put in.
fn damaged() -> impl Strategy<Value = (Rtype, Vec<u8>)> {
    let damage = (any::<prop::sample::Index>(), any::<u8>(), 0..3u8);
    let damages = prop::collection::vec(damage, 0..4);
    (prop::sample::select(good()), damages).prop_map(|((rtype, _, mut octets), damages)| {
        for (at, octet, how) in damages {
            let at = at.index(octets.len() + 1);
            match how {
                0 if at < octets.len() => octets[at] = octet,
                1 => octets.truncate(at),
                _ => octets.insert(at, octet),
            }
        }
        (rtype, octets)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    /// Whatever the octets, what is shown of them reads back to them if they are well-formed, and
    /// is the generic form, which hides nothing, if they are not.
    #[test]
    fn any_octets_are_shown((rtype, octets) in damaged()) {
        match rdata::check(rtype, &octets) {
            Ok(()) => identity(rtype, &octets),
            Err(_) => {
                let shown = Rdata { rtype, octets: &octets }.to_string();
                prop_assert!(shown.starts_with("\\# "), "{shown}");
                prop_assert!(rdata::parse(rtype, &shown, &origin()).is_err());
            }
        }
    }

    /// The same for octets of any type that are not near an example.
    #[test]
    fn any_octets_of_any_type((number, octets) in (0..300u16, any::<Vec<u8>>())) {
        let rtype = Rtype(number);
        if rdata::check(rtype, &octets).is_ok() {
            identity(rtype, &octets);
        }
    }

    /// Damaged texts are read or refused; what is read is well-formed.
    #[test]
    fn any_text_is_read_or_refused(
        (rtype, text, _) in prop::sample::select(good()),
        other in prop::sample::select(good()),
        at in any::<prop::sample::Index>(),
        put in "[ -~]{0,3}",
    ) {
        let at = at.index(text.len() + 1);
        for text in [format!("{}{put}{}", &text[..at], &text[at..]), other.1.to_owned()] {
            if let Ok(octets) = rdata::parse(rtype, &text, &origin()) {
                prop_assert_eq!(rdata::check(rtype, &octets), Ok(()));
                identity(rtype, &octets);
            }
        }
    }
}
