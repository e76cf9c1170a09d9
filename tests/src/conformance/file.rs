//! Case files: `tests/cases/dns/README.md` says how they are written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};

use super::expect::{
    Case, Expected, OptExpected, Product, Question, Reply, SECTIONS, Transport, Verdict,
};
use super::message::{FLAGS, RCODES};
use super::query::{self, Query};
use super::record::{self, DEFAULT_TTL, Name, Record};

/// What a zone begins with whose text has no SOA.
const HEAD: &str = "\
@ SOA ns1 hostmaster 1 7200 900 1209600 300
@ NS ns1
ns1 A 192.0.2.53
";

/// One file.
#[derive(Debug, Default)]
pub struct CaseFile {
    /// Its name without `.case`.
    pub stem: String,
    /// Whether it wants servers that have no other file's zones.
    pub alone: bool,
    /// What is served.
    pub zones: Vec<Zone>,
    /// `[[service]]` and what belongs to it, for dnsrouter.
    pub services: String,
    /// More of dnsrouter's configuration; only if `alone`.
    pub config: String,
    /// Records that peers have instead of services, by zone.
    pub stand_ins: Vec<(Name, String)>,
    /// Peers that are not asked: at all, or about one zone; and why.
    pub skips: Vec<(Product, Option<Name>, String)>,
    /// Questions and answers.
    pub cases: Vec<Case>,
    /// Reasons that no case gives, each with its place.
    pub unused: Vec<String>,
}

/// A zone.
#[derive(Debug)]
pub struct Zone {
    /// Its apex.
    pub name: Name,
    /// A master file, complete.
    pub text: String,
}

/// Reads all files of a folder, by name.
///
/// # Panics
///
/// When the folder cannot be read, or a file is wrong: with all errors, each with its place.
pub fn load(folder: &Path) -> Vec<CaseFile> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{folder:?}: {e}"));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "case"))
        .collect();
    paths.sort();
    let mut errors = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        match CaseFile::parse(&stem, &text) {
            Ok(file) => files.push(file),
            Err(mut wrong) => errors.append(&mut wrong),
        }
    }
    assert!(errors.is_empty(), "case files:\n{}", errors.join("\n"));
    files
}

/// A line, or several that belong together by indentation.
#[derive(Clone, Debug)]
struct Statement<'a> {
    /// From 1.
    line: usize,
    text: &'a str,
    /// Deeper lines that follow.
    more: Vec<Line<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    line: usize,
    /// As it is, with comments.
    text: &'a str,
}

impl<'a> Line<'a> {
    fn indent(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    /// Without its comment, and without the space around.
    fn content(&self) -> &'a str {
        let (mut quoted, mut escaped) = (false, false);
        for (place, octet) in self.text.bytes().enumerate() {
            match octet {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = !quoted,
                b';' if !quoted => return self.text[..place].trim(),
                _ => {}
            }
        }
        self.text.trim()
    }
}

/// Groups lines by the first one's indentation; blank lines and comments fall out.
fn statements<'a>(lines: &[Line<'a>]) -> Result<Vec<Statement<'a>>, (usize, String)> {
    let mut statements: Vec<Statement<'a>> = Vec::new();
    let mut base = None;
    for line in lines.iter().filter(|line| !line.content().is_empty()) {
        let indent = line.indent();
        match *base.get_or_insert(indent) {
            base if indent == base => {
                let text = line.content();
                statements.push(Statement { line: line.line, text, more: Vec::new() });
            }
            base if indent < base => {
                return Err((line.line, "indented less than the lines before".to_owned()));
            }
            // The first line set the base, so there is a statement.
            _ => statements.last_mut().expect("a statement").more.push(*line),
        }
    }
    Ok(statements)
}

impl CaseFile {
    /// Reads a file; all errors begin with its name and the line.
    pub fn parse(stem: &str, text: &str) -> Result<CaseFile, Vec<String>> {
        let mut reader = Reader {
            place: format!("tests/cases/dns/{stem}.case"),
            file: CaseFile { stem: stem.to_owned(), ..CaseFile::default() },
            origin: vec![0],
            reasons: BTreeMap::new(),
            used: BTreeSet::new(),
        };
        let mut errors = Vec::new();
        for (head, body) in blocks(text) {
            if let Err((line, error)) = reader.block(head, &body) {
                errors.push(format!("{}:{line}: {error}", reader.place));
            }
        }
        let unused = reader.reasons.iter().filter(|(reason, _)| !reader.used.contains(*reason));
        reader.file.unused = unused
            .map(|(reason, (line, _))| format!("{}:{line}: nobody says [{reason}]", reader.place))
            .collect();
        let mut names = BTreeSet::new();
        for case in &reader.file.cases {
            if !names.insert(&case.name) {
                errors.push(format!("{}: there is another case {:?}", case.place, case.name));
            }
        }
        if errors.is_empty() { Ok(reader.file) } else { Err(errors) }
    }

    /// Why `product` is not asked `case`, if so.
    pub fn skips<'a>(&'a self, product: Product, case: &'a Case) -> Option<&'a str> {
        if let Some(Verdict::Skips(why)) = case.verdict(product) {
            return Some(why);
        }
        let zone = case.query.question.as_ref().and_then(|question| {
            let holds = |zone: &&Zone| is_below(&question[..question.len() - 4], &zone.name);
            self.zones.iter().filter(holds).max_by_key(|zone| zone.name.len())
        });
        let zone = zone.map(|zone| &zone.name);
        let skip = self.skips.iter().find(|(peer, skipped, _)| {
            *peer == product && (skipped.is_none() || skipped.as_ref() == zone)
        });
        skip.map(|(_, _, why)| why.as_str())
    }

    /// The zones that `product` is to serve, as master files.
    pub fn zones_for(&self, product: Product) -> Vec<(&Name, String)> {
        let wanted = |zone: &&Zone| {
            !self.skips.iter().any(|(peer, skipped, _)| {
                *peer == product && skipped.as_ref().is_none_or(|name| *name == zone.name)
            })
        };
        let text = |zone: &Zone| {
            let stand_ins = self.stand_ins.iter().filter(|(name, _)| *name == zone.name);
            let more: String = stand_ins.map(|(_, text)| text.as_str()).collect();
            let origin = record::name_text(&zone.name);
            match product {
                Product::Dnsrouter => zone.text.clone(),
                _ => format!("{}$ORIGIN {origin}\n{more}", zone.text),
            }
        };
        self.zones.iter().filter(wanted).map(|zone| (&zone.name, text(zone))).collect()
    }
}

/// Whether `name` is `ancestor` or below it.
fn is_below(name: &[u8], ancestor: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if name[at..].eq_ignore_ascii_case(ancestor) {
            return true;
        }
        at += 1 + usize::from(name[at]);
    }
    false
}

/// Each unindented line with the lines below it.
fn blocks(text: &str) -> Vec<(Line<'_>, Vec<Line<'_>>)> {
    let mut blocks: Vec<(Line<'_>, Vec<Line<'_>>)> = Vec::new();
    for (number, text) in (1..).zip(text.lines()) {
        let line = Line { line: number, text };
        let is_head = line.indent() == 0 && !line.content().is_empty();
        match blocks.last_mut() {
            _ if is_head => blocks.push((line, Vec::new())),
            Some((_, body)) => body.push(line),
            None => {}
        }
    }
    blocks
}

/// The lines of a text that is handed on: without the indentation that all of them have.
fn dedent(lines: &[Line<'_>]) -> String {
    let filled = || lines.iter().filter(|line| !line.text.trim().is_empty());
    let indent = filled().map(Line::indent).min().unwrap_or_default();
    filled().map(|line| format!("{}\n", &line.text[indent..])).collect()
}

type Wrong = (usize, String);

struct Reader {
    place: String,
    file: CaseFile,
    origin: Name,
    /// `why` lines: where, and what.
    reasons: BTreeMap<String, (usize, String)>,
    used: BTreeSet<String>,
}

impl Reader {
    fn block(&mut self, head: Line<'_>, body: &[Line<'_>]) -> Result<(), Wrong> {
        let here = |error: String| (head.line, error);
        let content = head.content();
        let (word, rest) = content.split_once(' ').unwrap_or((content, ""));
        let rest = rest.trim();
        let nothing_below = || match statements(body)?.first() {
            Some(line) => Err((line.line, format!("nothing may stand below {word:?}"))),
            None => Ok(()),
        };
        match word {
            "alone" => {
                self.file.alone = true;
                nothing_below()
            }
            "origin" => {
                self.origin = record::name(rest, &[0]).map_err(here)?;
                nothing_below()
            }
            "zone" => self.zone(rest, body).map_err(here),
            "stand-in" => {
                let name = self.served(rest).map_err(here)?;
                self.file.stand_ins.push((name, dedent(body)));
                Ok(())
            }
            "services" => {
                self.file.services.push_str(&dedent(body));
                Ok(())
            }
            "config" if self.file.alone => {
                self.file.config.push_str(&dedent(body));
                Ok(())
            }
            "config" => Err(here("only a file that is `alone` has a configuration".to_owned())),
            "why" => {
                let (id, why) =
                    rest.split_once(':').ok_or_else(|| here("why ID: reason".to_owned()))?;
                self.reasons.insert(id.trim().to_owned(), (head.line, why.trim().to_owned()));
                nothing_below()
            }
            "knot" | "nsd" | "peers" => {
                let (what, why) = self.reason(rest).map_err(here)?;
                let zone = what.strip_prefix("skips").or(what.strip_prefix("skip"));
                let zone = zone.ok_or_else(|| {
                    here(format!("{word} skips: reason, or {word} skips ZONE: reason"))
                })?;
                let zone = match zone.trim() {
                    "" => None,
                    name => Some(self.served(name).map_err(here)?),
                };
                for peer in peers(word) {
                    self.file.skips.push((peer, zone.clone(), why.clone()));
                }
                nothing_below()
            }
            "case" if rest.is_empty() => Err(here("a case has a name".to_owned())),
            "case" => self.case(head.line, rest, body),
            _ => Err(here(format!("{word:?} begins nothing"))),
        }
    }

    fn zone(&mut self, name: &str, body: &[Line<'_>]) -> Result<(), String> {
        let name = record::name(name, &[0])?;
        let own = record::name(&format!("{}.test.", self.file.stem), &[0])?;
        if !self.file.alone && !is_below(&name, &own) {
            let own = record::name_text(&own);
            return Err(format!("a zone of a file that is not `alone` is {own} or below"));
        }
        let text = dedent(body);
        let has_soa = text.split_whitespace().any(|word| word == "SOA");
        let head = if has_soa { "" } else { HEAD };
        let text =
            format!("$ORIGIN {}\n$TTL {DEFAULT_TTL}\n{head}{text}", record::name_text(&name));
        self.origin.clone_from(&name);
        self.file.zones.push(Zone { name, text });
        Ok(())
    }

    /// The name of a zone of this file.
    fn served(&self, text: &str) -> Result<Name, String> {
        let name = record::name(text, &[0])?;
        let known = self.file.zones.iter().any(|zone| zone.name == name);
        if known { Ok(name) } else { Err(format!("there is no zone {text}")) }
    }

    /// Splits `what: why`, and looks up `[id]`.
    fn reason(&mut self, text: &str) -> Result<(String, String), String> {
        let (what, why) = text.split_once(':').ok_or_else(|| format!("{text:?} has no reason"))?;
        let why = why.trim();
        let Some(id) = why.strip_prefix('[').and_then(|why| why.strip_suffix(']')) else {
            let given = (what.trim().to_owned(), why.to_owned());
            return if why.is_empty() { Err(format!("{text:?} has no reason")) } else { Ok(given) };
        };
        self.used.insert(id.to_owned());
        let (_, why) = self.reasons.get(id).ok_or_else(|| format!("no line `why {id}:` above"))?;
        Ok((what.trim().to_owned(), why.clone()))
    }

    fn case(&mut self, line: usize, name: &str, body: &[Line<'_>]) -> Result<(), Wrong> {
        let mut query: Option<Query> = None;
        let mut expected = Vec::new();
        let mut verdicts = Vec::new();
        let mut rest = Vec::new();
        for statement in statements(body)? {
            let here = |error: String| (statement.line, error);
            let (word, text) = statement.text.split_once(' ').unwrap_or((statement.text, ""));
            let joined = || {
                let more = statement.more.iter().map(|line| format!(" {}", line.content()));
                format!("{text}{}", more.collect::<String>())
            };
            let asked = query.as_mut().ok_or_else(|| here("first ask, or raw".to_owned()));
            match word {
                "ask" => query = Some(Query::ask(&joined(), &self.origin).map_err(here)?),
                "raw" => query = Some(Query::raw(&joined()).map_err(here)?),
                "append" => {
                    asked?.bytes.extend(query::octets(&joined()).map_err(here)?);
                }
                "counts" => asked?.counts(text).map_err(here)?,
                "from" => {
                    let bad = |_| here(format!("{text:?} is no IPv4 address"));
                    asked?.from = Some(text.trim().parse().map_err(bad)?);
                }
                "knot" | "nsd" | "peers" => verdicts.push((word, text, statement.clone())),
                _ => rest.push(statement),
            }
        }
        let query = query.ok_or_else(|| (line, "the case asks nothing".to_owned()))?;
        self.replies(&query, &rest, &mut expected)?;
        if expected.is_empty() {
            return Err((line, "the case expects nothing".to_owned()));
        }
        let mut said = Vec::new();
        for (word, text, statement) in verdicts {
            let here = |error: String| (statement.line, error);
            let (what, why) = self.reason(text).map_err(here)?;
            let verdict = match what.as_str() {
                "skips" | "skip" => Verdict::Skips(why),
                "differs" | "differ" => {
                    let mut instead = Vec::new();
                    self.replies(&query, &statements(&statement.more)?, &mut instead)?;
                    Verdict::Differs(why, Some(instead).filter(|instead| !instead.is_empty()))
                }
                _ => return Err(here(format!("{word} differs: reason, or {word} skips: reason"))),
            };
            said.extend(peers(word).into_iter().map(|peer| (peer, verdict.clone())));
        }
        let place = format!("{}:{line}", self.place);
        let name = name.to_owned();
        self.file.cases.push(Case { name, place, query, expected, peers: said });
        Ok(())
    }

    /// Reads what is expected, up to one reply for each transport.
    fn replies(
        &self,
        query: &Query,
        statements: &[Statement<'_>],
        all: &mut Vec<Expected>,
    ) -> Result<(), Wrong> {
        for statement in statements {
            let here = |error: String| (statement.line, error);
            let (word, text) = statement.text.split_once(' ').unwrap_or((statement.text, ""));
            if let Some(section) = SECTIONS.iter().position(|title| *title == word) {
                let reply = last(all).map_err(here)?;
                let first = Line { line: statement.line, text };
                for line in [first].iter().chain(&statement.more) {
                    let there = |error: String| (line.line, error);
                    match line.content() {
                        "" => {}
                        "..." if section == 2 => reply.more = true,
                        text => {
                            let record = self.record(text).map_err(there)?;
                            reply.sections[section].push(record);
                        }
                    }
                }
                continue;
            }
            if let Some(line) = statement.more.first() {
                return Err((line.line, format!("indented more than {word:?}, which has no more")));
            }
            match word {
                "opt" => {
                    let reply = last(all).map_err(here)?;
                    reply.opt = None;
                    if text.trim() != "none" {
                        let do_bit = query.do_bit.unwrap_or_default();
                        let opt = reply.opt.insert(OptExpected::default_for(do_bit));
                        text.split_whitespace().try_for_each(|word| opt.set(word)).map_err(here)?;
                    }
                }
                _ => all.push(expected(statement.text, query).map_err(here)?),
            }
        }
        let covered = |transport| {
            all.iter().filter(|one| one.transport.is_none_or(|only| only == transport)).count()
        };
        match (Transport::ALL.iter().any(|transport| covered(*transport) > 1), statements.first()) {
            (true, Some(first)) => Err((first.line, "two replies for one transport".to_owned())),
            _ => Ok(()),
        }
    }

    /// A record, or `soa [ZONE]`: the zone's SOA as negative answers have it (RFC 2308 §3).
    fn record(&self, text: &str) -> Result<Record, String> {
        let mut words = text.split_whitespace();
        if words.next() != Some("soa") {
            return Record::parse(text, &self.origin);
        }
        let name =
            words.next().map_or(Ok(self.origin.clone()), |n| record::name(n, &self.origin))?;
        let zone = self.file.zones.iter().find(|zone| zone.name == name);
        let zone = zone.ok_or_else(|| format!("{text:?}: there is no such zone"))?;
        negative_soa(zone)
    }
}

/// The SOA with the lower of its TTL and its MINIMUM (RFC 2308 §5).
fn negative_soa(zone: &Zone) -> Result<Record, String> {
    let mut file = Zonefile::from(zone.text.as_str());
    file.set_default_class(domain::base::iana::Class::IN);
    loop {
        match file.next_entry() {
            Ok(Some(Entry::Record(found))) => {
                let ZoneRecordData::Soa(soa) = found.data() else { continue };
                let ttl = found.ttl().as_secs().min(soa.minimum().as_secs());
                let text = format!("@ {ttl} SOA {soa}");
                return Record::parse(&text, &zone.name);
            }
            Ok(Some(_)) => {}
            Ok(None) => return Err("the zone has no SOA".to_owned()),
            Err(error) => return Err(format!("looking for the SOA: {error}; write it out")),
        }
    }
}

fn peers(word: &str) -> Vec<Product> {
    Product::ALL
        .into_iter()
        .filter(|product| *product != Product::Dnsrouter)
        .filter(|product| word == "peers" || word == product.name())
        .collect()
}

fn last(all: &mut [Expected]) -> Result<&mut Reply, String> {
    let reply = all.last_mut().and_then(|expected| expected.reply.as_mut());
    reply.ok_or_else(|| "first the response code".to_owned())
}

/// `[udp|tcp] RCODE [flag …]`, or `[udp|tcp] drop`.
fn expected(text: &str, query: &Query) -> Result<Expected, String> {
    let mut words = text.split_whitespace().peekable();
    let transport = Transport::ALL.into_iter().find(|one| words.peek() == Some(&one.name()));
    if transport.is_some() {
        words.next();
    }
    let rcode = words.next().unwrap_or_default();
    if rcode == "drop" {
        return Ok(Expected { transport, reply: None });
    }
    let known = RCODES.iter().find(|(name, _)| *name == rcode).map(|(_, number)| *number);
    let rcode = known
        .or_else(|| rcode.strip_prefix("RCODE")?.parse().ok())
        .ok_or_else(|| format!("{text:?}: neither a response code nor a word of a case"))?;
    let mut reply = Reply {
        rcode,
        flags: 0,
        question: match query.question {
            Some(_) => Question::Same,
            None => Question::SameOrNothing,
        },
        sections: Default::default(),
        more: false,
        opt: query.do_bit.map(OptExpected::default_for),
    };
    for word in words {
        match FLAGS.iter().find(|(name, _)| *name == word && *name != "rd") {
            Some((_, mask)) => reply.flags |= mask,
            None if word == "question" => reply.question = Question::Same,
            None if word == "noquestion" => reply.question = Question::Nothing,
            None => return Err(format!("{word:?} is no flag of an answer")),
        }
    }
    Ok(Expected { transport, reply: Some(reply) })
}
