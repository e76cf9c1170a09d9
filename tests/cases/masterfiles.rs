//! Gives the cases of master files (`dns/tests/masterfiles.txt`) to other servers' readers: they read
//! or refuse what we do, and what they print of a zone are our records, or the file says why not.

#[path = "../../dns/tests/rules/masterfile_cases.rs"]
mod masterfile_cases;

use std::collections::BTreeSet;
use std::path::PathBuf;

use dns::name::Name;
use dns::rdata::Rdata;
use dns::zonefile::{self, Included, Source};
use masterfile_cases::{Case, HEAD, HEAD_LINES, MAIN, Verdict};
use tests::checkers::Checker;
use tests::figures;
use tests::scratch::Scratch;

const CASES: &str = include_str!("../../dns/tests/masterfiles.txt");

/// As few as would still prove something.
const LEAST: usize = 120;

#[test]
fn bind_decides_the_same() {
    put_to(Checker::Bind);
}

#[test]
fn knot_decides_the_same() {
    put_to(Checker::Knot);
}

#[test]
fn nsd_decides_the_same() {
    put_to(Checker::Nsd);
}

fn put_to(checker: Checker) {
    assert_eq!(HEAD.lines().count() as i64, HEAD_LINES);
    let scratch = Scratch::new("masterfiles");
    let cases = masterfile_cases::read(CASES);
    assert!(cases.len() >= LEAST, "{}", cases.len());
    let (mut same, mut explained, mut wrong) = (0, 0, Vec::new());
    for case in &cases {
        let difference = difference(checker, case, &scratch);
        match (difference, case.but.contains(&checker.name())) {
            (None, false) => same += 1,
            (Some(_), true) => explained += 1,
            (None, true) => wrong.push((case, "it decides the same after all".to_owned())),
            (Some(difference), false) => wrong.push((case, difference)),
        }
    }
    figures::show(&format!(
        "{checker}: {same} files the same, {explained} otherwise, and we say why"
    ));
    let wrong: Vec<String> = wrong
        .iter()
        .map(|(case, why)| format!("line {}: {}: {why}", case.line, case.title))
        .collect();
    assert!(wrong.is_empty(), "{checker}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// What the program makes of a case otherwise than we do.
fn difference(checker: Checker, case: &Case<'_>, scratch: &Scratch) -> Option<String> {
    let file = write(case, scratch);
    let refused = matches!(case.verdict, Verdict::Bad(_));
    match checker.read(case.apex, &file) {
        Ok(_) if refused => Some("it reads the file".to_owned()),
        Ok(_) if checker == Checker::Knot => None,
        Ok(printed) => {
            let ours = records(case, &case.files[MAIN]);
            let theirs = records(case, printed.as_bytes());
            (ours != theirs).then(|| {
                let (only_ours, only_theirs) = (ours.difference(&theirs), theirs.difference(&ours));
                format!(
                    "it reads {:#?} where we read {:#?}",
                    only_theirs.collect::<Vec<_>>(),
                    only_ours.collect::<Vec<_>>()
                )
            })
        }
        Err(_) if refused => None,
        Err(why) => Some(format!("it refuses: {why}")),
    }
}

/// Writes all files of a case and returns the zone's own.
fn write(case: &Case<'_>, scratch: &Scratch) -> PathBuf {
    for (name, text) in &case.files {
        scratch.write(&format!("{}/{name}", case.line), text);
    }
    scratch.join(format!("{}/{MAIN}", case.line))
}

/// The records of a zone, which we read.
fn records(case: &Case<'_>, text: &[u8]) -> BTreeSet<String> {
    let apex: Name = case.apex.parse().expect("a name");
    let source = Source { name: MAIN, text };
    let loaded = zonefile::parse(&apex, source, &mut |path, _| match case.files.get(path) {
        Some(text) => Ok(Included { name: path.to_owned(), text: text.clone() }),
        None => Err("no such file".to_owned()),
    });
    let loaded = loaded.unwrap_or_else(|errors| panic!("{}: {errors:#?}", case.title));
    let show = |record: &dns::zone::Record| {
        let data = Rdata { rtype: record.rtype, octets: &record.rdata };
        format!("{} {} {} {data}", record.owner, record.ttl, record.rtype).to_lowercase()
    };
    loaded.zone.records().iter().map(show).collect()
}
