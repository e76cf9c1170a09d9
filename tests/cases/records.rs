//! Gives the examples of record data (`dns/tests/records.txt`) to other servers' readers: what they
//! make of a text must be the very octets of the example, or the file says why not.
//!
//! Each example is one name of a zone that is written twice, with the text and with the octets in
//! the form of RFC 3597; a program must print the same for both. What it does otherwise it gets in
//! a zone by itself, and must not print the same.

#[path = "../../dns/tests/rules/examples.rs"]
mod examples;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use examples::Example;
use tests::checkers::Checker;
use tests::figures;
use tests::scratch::Scratch;

const EXAMPLES: &str = include_str!("../../dns/tests/records.txt");

/// As few as would still prove something.
const LEAST: usize = 100;

#[test]
fn bind_makes_the_same_of_the_texts() {
    put_to(Checker::Bind);
}

#[test]
fn nsd_makes_the_same_of_the_texts() {
    put_to(Checker::Nsd);
}

#[test]
fn ldns_makes_the_same_of_the_texts() {
    put_to(Checker::Ldns);
}

#[test]
fn every_type_but_the_newest_was_read_by_another_server() {
    let (examples, unknown) = examples::read(EXAMPLES);
    let read_by_all =
        |rtype: &str| unknown.iter().filter(|(_, types)| types.contains(&rtype)).count();
    let alone: Vec<&str> = examples.iter().map(|example| example.rtype).collect();
    let mut alone: Vec<&str> = alone.into_iter().filter(|rtype| read_by_all(rtype) == 3).collect();
    alone.dedup();
    assert_eq!(alone, ["CLA", "IPN"]);
}

fn put_to(checker: Checker) {
    let scratch = Scratch::new("records");
    let (examples, unknown) = examples::read(EXAMPLES);
    let unknown: BTreeMap<&str, Vec<&str>> = unknown.into_iter().collect();
    let differs = |example: &Example<'_>| {
        unknown[checker.name()].contains(&example.rtype) || example.but.contains(&checker.name())
    };
    let good = examples.iter().filter(|example| example.bad.is_none());
    let (otherwise, same): (Vec<_>, Vec<_>) = good.partition(|example| differs(example));
    assert!(same.len() >= LEAST, "{checker} is given only {} examples", same.len());

    // A zone has one SOA.
    let (soas, others): (Vec<_>, Vec<_>) = same.iter().partition(|example| example.rtype == "SOA");
    let others: Vec<&Example<'_>> = others.into_iter().copied().collect();
    let mut groups: Vec<Vec<&Example<'_>>> = soas.into_iter().map(|soa| vec![*soa]).collect();
    groups.push(others);
    for group in &groups {
        let [text, octets] = printed(&scratch, checker, group).map(|printed| {
            printed.unwrap_or_else(|why| panic!("{checker} refuses what it knows: {why}"))
        });
        assert_eq!(difference(checker, group, &text, &octets), None);
    }
    for example in &otherwise {
        if let [Ok(text), Ok(octets)] = printed(&scratch, checker, &[example]) {
            let differs = difference(checker, &[example], &text, &octets).is_some();
            assert!(differs, "line {}: {checker} makes the same of it after all", example.line);
        }
    }
    figures::show(&format!(
        "{checker}: {} texts give the same octets, {} differ and say why",
        same.len(),
        otherwise.len()
    ));
}

/// What the program prints for a zone of the texts, and for one of the octets.
fn printed(
    scratch: &Scratch,
    checker: Checker,
    examples: &[&Example<'_>],
) -> [Result<String, String>; 2] {
    [true, false].map(|text| {
        let file = scratch.write(&format!("{checker}.zone"), zone(examples, text));
        checker.read("example.", &file)
    })
}

fn zone(examples: &[&Example<'_>], text: bool) -> String {
    let mut zone = "$ORIGIN example.\n$TTL 300\n".to_owned();
    if examples.iter().all(|example| example.rtype != "SOA") {
        zone.push_str("@ SOA ns.else. h.else. 7 2 3 4 60\n");
    }
    zone.push_str("@ NS ns.else.\n");
    for example in examples {
        let Example { rtype, line, .. } = example;
        let owner = if *rtype == "SOA" { "@".to_owned() } else { format!("line{line}") };
        let data = match example.text {
            Some(data) if text => data.to_owned(),
            _ => generic(example.octets.as_deref().expect("a good example has octets")),
        };
        let _ = writeln!(zone, "{owner} {rtype} {data}");
    }
    zone
}

fn generic(octets: &[u8]) -> String {
    format!("\\# {} {}", octets.len(), hex(octets))
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}

/// Where what is printed of the texts is not what is printed of the octets or, by ldns, which prints
/// octets, not those of the example.
fn difference(
    checker: Checker,
    examples: &[&Example<'_>],
    text: &str,
    octets: &str,
) -> Option<String> {
    let mut pairs = text.lines().zip(octets.lines());
    if let Some((text, octets)) = pairs.find(|(text, octets)| text != octets) {
        return Some(format!("{checker} prints of the text\n{text}\nand of the octets\n{octets}"));
    }
    if text.len() != octets.len() {
        return Some(format!("{checker} prints more of the one than of the other"));
    }
    let mut shown =
        examples.iter().filter(|example| checker == Checker::Ldns && example.rtype != "SOA");
    shown.find_map(|example| {
        let owner = format!("line{}.example.", example.line);
        let octets = example.octets.as_deref().expect("a good example has octets");
        let line = text.lines().find(|line| line.starts_with(&owner)).unwrap_or_default();
        (!line.ends_with(generic(octets).trim_end())).then(|| format!("{checker} prints {line}"))
    })
}
