//! Replays `masterfiles.txt`.

use crate::masterfile_cases::{self, Case, HEAD, HEAD_LINES, MAIN, Verdict};
use dns::name::Name;
use dns::rdata::Rdata;
use dns::zonefile::{self, Error, Included, Loaded, Source};
use std::collections::BTreeSet;

const CASES: &str = include_str!("../masterfiles.txt");

/// As few as would still prove something.
const LEAST: usize = 120;

fn load(case: &Case<'_>) -> Result<Loaded, Vec<Error>> {
    let apex: Name = case.apex.parse().unwrap();
    let source = Source { name: MAIN, text: &case.files[MAIN] };
    zonefile::parse(&apex, source, &mut |path, _| match case.files.get(path) {
        Some(text) => Ok(Included { name: path.to_owned(), text: text.clone() }),
        None => Err("no such file".to_owned()),
    })
}

/// Records as the cases have them, but for those of the head.
fn records(case: &Case<'_>, loaded: &Loaded) -> BTreeSet<String> {
    let show = |loaded: &Loaded| -> BTreeSet<String> {
        let records = loaded.zone.records().iter();
        let show = |record: &dns::zone::Record| {
            let data = Rdata { rtype: record.rtype, octets: &record.rdata };
            format!("{} {} {} {data}", record.owner, record.ttl, record.rtype)
        };
        records.map(show).collect()
    };
    let mut all = show(loaded);
    if !case.plain {
        let mut head = masterfile_cases::read("case the head").remove(0);
        assert_eq!(head.files[MAIN], HEAD.as_bytes());
        head.apex = case.apex;
        for record in show(&load(&head).unwrap()) {
            all.remove(&record);
        }
    }
    all
}

/// `line:column message`, with the file before it if it is not the case's own.
fn told(case: &Case<'_>, error: &Error) -> String {
    let Error { position, message, .. } = error;
    let (line, column) = (i64::from(position.line), position.column);
    match &*position.file {
        MAIN if case.plain => format!("{line}:{column} {message}"),
        MAIN => format!("{}:{column} {message}", line - HEAD_LINES),
        file => format!("{file}:{line}:{column} {message}"),
    }
}

#[test]
fn master_files_are_read_or_refused_as_the_cases_say() {
    let cases = masterfile_cases::read(CASES);
    assert!(cases.len() >= LEAST, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(why) = replay(case) {
            wrong.push(format!("line {}: {}: {why}", case.line, case.title));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

fn replay(case: &Case<'_>) -> Result<(), String> {
    let (expected, found) = match (&case.verdict, load(case)) {
        (Verdict::Bad(_), Ok(_)) => return Err("it was read".to_owned()),
        (Verdict::Bad(expected), Err(errors)) => (expected.clone(), errors),
        (_, Err(errors)) => {
            return Err(errors.iter().map(|error| told(case, error) + "\n").collect());
        }
        (verdict, Ok(loaded)) => {
            let is: BTreeSet<String> = case.records.iter().map(|&text| text.to_owned()).collect();
            let found = records(case, &loaded);
            if !is.is_empty() && is != found {
                let missing: Vec<_> = is.difference(&found).collect();
                let extra: Vec<_> = found.difference(&is).collect();
                return Err(format!("missing {missing:#?}, not expected {extra:#?}"));
            }
            let expected =
                if let Verdict::Warn(told) = verdict { told.clone() } else { Vec::new() };
            (expected, loaded.warnings)
        }
    };
    for error in &found {
        if error.help.as_deref().is_none_or(str::is_empty) {
            return Err(format!("no help: {}", told(case, error)));
        }
    }
    let found: Vec<String> = found.iter().map(|error| told(case, error)).collect();
    let same = found.len() == expected.len()
        && found.iter().zip(&expected).all(|(found, expected)| found.starts_with(expected));
    if same { Ok(()) } else { Err(format!("{found:#?}")) }
}
