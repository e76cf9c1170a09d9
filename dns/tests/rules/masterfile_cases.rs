//! Reads `masterfiles.txt`; the file says how it is written.

use std::collections::BTreeMap;

/// What stands before the text of a case that is not `plain`.
pub(crate) const HEAD: &str =
    "$TTL 300\n@ SOA ns hostmaster 7 2h 30m 2w 60\n@ NS ns\nns A 192.0.2.1\n";
/// Lines of [`HEAD`].
pub(crate) const HEAD_LINES: i64 = 4;

/// The name of a case's own file.
pub(crate) const MAIN: &str = "main.zone";

/// One block.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    pub(crate) title: &'a str,
    /// Line of the data file, from 1.
    pub(crate) line: usize,
    pub(crate) apex: &'a str,
    pub(crate) plain: bool,
    /// By name; [`MAIN`] is the zone's own.
    pub(crate) files: BTreeMap<&'a str, Vec<u8>>,
    /// Records beside those of the head.
    pub(crate) records: Vec<&'a str>,
    pub(crate) verdict: Verdict<'a>,
    /// Programs that decide otherwise.
    #[allow(dead_code, reason = "read by those who run the programs")]
    pub(crate) but: Vec<&'a str>,
}

/// What becomes of the text; places are as in the data file.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    Ok,
    Warn(Vec<&'a str>),
    Bad(Vec<&'a str>),
}

/// All blocks.
pub(crate) fn read(file: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut name = MAIN;
    for (line, text) in (1..).zip(file.lines()) {
        if let Some(title) = text.strip_prefix("case ") {
            cases.push(Case {
                title,
                line,
                apex: "example.",
                plain: false,
                files: BTreeMap::from([(MAIN, HEAD.as_bytes().to_vec())]),
                records: Vec::new(),
                verdict: Verdict::Ok,
                but: Vec::new(),
            });
            name = MAIN;
            continue;
        }
        let (word, value) = text.split_once(' ').unwrap_or((text, ""));
        let Some(case) = cases.last_mut() else { continue };
        match word {
            "" if text.is_empty() => {}
            "#" => {}
            "apex" => case.apex = value,
            "plain" => {
                case.plain = true;
                case.files.insert(MAIN, Vec::new());
            }
            "file" => {
                name = value;
                case.files.insert(name, Vec::new());
            }
            "is" => case.records.push(value),
            "ok" => case.verdict = Verdict::Ok,
            "warn" | "bad" => case.verdict.tell(word == "bad", value),
            "but" => case.but.push(value.split(' ').next().expect("a program's name")),
            _ => {
                let text = text.strip_prefix('|').unwrap_or_else(|| panic!("line {line}: {text}"));
                let contents = case.files.get_mut(name).expect("the file was begun");
                fill(text.strip_prefix(' ').unwrap_or(text), contents);
            }
        }
    }
    cases
}

impl<'a> Verdict<'a> {
    fn tell(&mut self, bad: bool, told: &'a str) {
        match (bad, &mut *self) {
            (true, Verdict::Bad(all)) | (false, Verdict::Warn(all)) => all.push(told),
            (true, _) => *self = Verdict::Bad(vec![told]),
            (false, _) => *self = Verdict::Warn(vec![told]),
        }
    }
}

/// Appends a line with what stands in ⟨⟩ put in.
fn fill(line: &str, out: &mut Vec<u8>) {
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('⟨') {
        let (what, after) = after.split_once('⟩').expect("⟨ has its ⟩");
        out.extend_from_slice(before.as_bytes());
        rest = after;
        match what {
            "END" => return,
            "CR" => out.push(b'\r'),
            "TAB" => out.push(b'\t'),
            "BOM" => out.extend_from_slice("\u{feff}".as_bytes()),
            _ => match what.split_once(' ') {
                Some((times, text)) => {
                    out.extend(text.repeat(times.parse().expect("a number")).into_bytes());
                }
                None => out.push(u8::from_str_radix(what, 16).expect("an octet")),
            },
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'\n');
}
