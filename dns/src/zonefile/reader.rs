//! Directives, and records up to their data.

use super::generate::{self, Generate};
use super::lexer::{Entry, Lexer};
use super::token::{Fault, Place, Token};
use super::{Error, Included, MAX_INCLUDE_DEPTH, MAX_RECORDS, MAX_TEXT, Source, Text, excerpt};
use crate::name::Name;
use crate::rdata;
use crate::rr::{Class, Rtype, Ttl};
use crate::zone::{MAX_ERRORS, Position, Record};
use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

/// What holds from one entry to the next. An included file starts with a copy; origin and owner end
/// with it (RFC 1035 §5.1), TTLs hold on, as in BIND and NSD.
#[derive(Clone)]
struct Scope {
    origin: Name,
    last_owner: Option<Name>,
    /// `$TTL` (RFC 2308 §4).
    default_ttl: Option<Ttl>,
    last_ttl: Option<Ttl>,
}

/// How a record is written.
const ORDER: &str =
    "the order is: owner, TTL, class, type, data; unknown types are written TYPE65280";

/// What stands before a record's data.
struct Head {
    ttl: Option<Ttl>,
    rtype: Rtype,
    /// How many tokens it took.
    used: usize,
}

pub(super) struct Reader<'a> {
    apex: Name,
    include: &'a mut dyn FnMut(&str, &str) -> Result<Included, String>,
    records: Vec<Record>,
    errors: Vec<Error>,
    files: Vec<Text<'a>>,
    text_len: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        apex: &Name,
        include: &'a mut dyn FnMut(&str, &str) -> Result<Included, String>,
    ) -> Self {
        Reader {
            apex: apex.clone(),
            include,
            records: Vec::new(),
            errors: Vec::new(),
            files: Vec::new(),
            text_len: 0,
        }
    }

    pub(super) fn read_all(&mut self, source: Source<'a>) {
        let mut scope = Scope {
            origin: self.apex.clone(),
            last_owner: None,
            default_ttl: None,
            last_ttl: None,
        };
        let name: Arc<str> = source.name.into();
        let text = Rc::new(Cow::Borrowed(source.text));
        self.files.push(Text { name: name.clone(), text });
        if source.text.len() > MAX_TEXT {
            let place = Place { line: 1, column: 1, length: 1 };
            self.error(&name, source.text, too_long(place));
            return;
        }
        self.text_len = source.text.len();
        self.read(&name, source.text, &mut scope, 0);
    }

    pub(super) fn finish(self) -> (Vec<Record>, Vec<Error>, Vec<Text<'a>>) {
        (self.records, self.errors, self.files)
    }

    fn read(&mut self, file: &Arc<str>, text: &[u8], scope: &mut Scope, depth: usize) {
        let mut lexer = Lexer::new(text);
        while let Some(entry) = lexer.next_entry() {
            let done = match entry {
                Ok(entry) => self.entry(file, &entry, scope, depth),
                Err(fault) => Err(fault),
            };
            if let Err(fault) = done {
                self.error(file, text, fault);
            }
            if self.errors.len() >= MAX_ERRORS || self.records.len() > MAX_RECORDS {
                return;
            }
        }
    }

    fn error(&mut self, file: &Arc<str>, text: &[u8], fault: Fault) {
        let Fault { message, help, place } = fault;
        self.errors.push(Error {
            excerpt: excerpt(text, place.line),
            position: position(file, place),
            message,
            help: Some(help.into_owned()),
        });
    }

    fn entry(
        &mut self,
        file: &Arc<str>,
        entry: &Entry<'_>,
        scope: &mut Scope,
        depth: usize,
    ) -> Result<(), Fault> {
        let first = &entry.tokens[0];
        if entry.indented || first.text[0] != b'$' {
            return self.record(file, entry, scope);
        }
        let arguments = &entry.tokens[1..];
        match first.text.to_ascii_uppercase().as_slice() {
            b"$ORIGIN" => {
                let [name] = exactly(first, arguments, "$ORIGIN NAME")?;
                scope.origin = name.name(&scope.origin)?;
                Ok(())
            }
            b"$TTL" => {
                let [ttl] = exactly(first, arguments, "$TTL TIME")?;
                scope.default_ttl = Some(read_ttl(ttl)?);
                Ok(())
            }
            b"$INCLUDE" => self.include(file, first, arguments, scope, depth),
            b"$GENERATE" => self.generate(file, first, arguments, scope),
            _ => {
                let message = format!("unknown directive {}", first.show());
                Err(Fault::new(first, message, "there are $ORIGIN, $TTL, $INCLUDE and $GENERATE"))
            }
        }
    }

    fn include(
        &mut self,
        file: &Arc<str>,
        directive: &Token<'_>,
        arguments: &[Token<'_>],
        scope: &mut Scope,
        depth: usize,
    ) -> Result<(), Fault> {
        let (path, origin) = match arguments {
            [path] => (path, scope.origin.clone()),
            [path, origin] => (path, origin.name(&scope.origin)?),
            _ => {
                let message = "$INCLUDE takes a file and, at will, an origin";
                return Err(Fault::new(directive, message, "as in: $INCLUDE hosts sub.example."));
            }
        };
        if depth >= MAX_INCLUDE_DEPTH {
            let message = format!("$INCLUDE nests deeper than {MAX_INCLUDE_DEPTH}");
            return Err(Fault::new(path, message, "does the file include itself?"));
        }
        let unquoted = path.text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
        let wanted = str::from_utf8(unquoted.unwrap_or(path.text))
            .map_err(|_| Fault::new(path, "file name is not UTF-8", "rename the file"))?;
        let Included { name, text } = (self.include)(wanted, file).map_err(|cause| {
            let help = "paths start at the folder of the zone's file, and stay inside";
            Fault::new(path, format!("cannot include {wanted}: {cause}"), help)
        })?;
        self.text_len = self.text_len.saturating_add(text.len());
        if self.text_len > MAX_TEXT {
            return Err(too_long(path.place));
        }
        let name: Arc<str> = name.into();
        let text: Rc<Cow<'a, [u8]>> = Rc::new(Cow::Owned(text));
        if !self.files.iter().any(|known| known.name == name) {
            self.files.push(Text { name: name.clone(), text: text.clone() });
        }
        let mut inner = Scope { origin, ..scope.clone() };
        self.read(&name, &text, &mut inner, depth + 1);
        (scope.default_ttl, scope.last_ttl) = (inner.default_ttl, inner.last_ttl);
        Ok(())
    }

    fn record(
        &mut self,
        file: &Arc<str>,
        entry: &Entry<'_>,
        scope: &mut Scope,
    ) -> Result<(), Fault> {
        let mut rest = &entry.tokens[..];
        let owner = if entry.indented {
            scope.last_owner.clone().ok_or_else(|| {
                let message = "no owner: the line begins with a space, and no record is before it";
                Fault::new(&rest[0], message, "begin the line with a name, or with @")
            })?
        } else {
            let owner = rest[0].name(&scope.origin)?;
            scope.last_owner = Some(owner.clone());
            rest = &rest[1..];
            owner
        };
        let place = entry.tokens[0].place;
        if rest.is_empty() {
            return Err(Fault::at(place, "no type after the owner", ORDER));
        }
        let head = read_head(rest)?;
        let rdata = read_data(&head, rest, &scope.origin)?;
        self.add(owner, &head, rdata, &rest[head.used - 1], position(file, place), scope)
    }

    fn generate(
        &mut self,
        file: &Arc<str>,
        directive: &Token<'_>,
        arguments: &[Token<'_>],
        scope: &mut Scope,
    ) -> Result<(), Fault> {
        let [range, owner, rest @ ..] = arguments else {
            let message = "$GENERATE takes a range, an owner, a type and data";
            return Err(Fault::new(directive, message, "as in: $GENERATE 1-9 host-$ A 192.0.2.$"));
        };
        let steps = Generate::range(range)?;
        if rest.is_empty() {
            return Err(Fault::new(owner, "no type after the owner", ORDER));
        }
        let head = read_head(rest)?;
        for value in steps {
            if self.records.len() > MAX_RECORDS || self.errors.len() >= MAX_ERRORS {
                break;
            }
            let owner_text = generate::fill(owner, value)?;
            let owner = Token { text: &owner_text, ..*owner }.name(&scope.origin)?;
            let mut texts = Vec::with_capacity(rest.len() - head.used);
            for token in &rest[head.used..] {
                texts.push((generate::fill(token, value)?, token));
            }
            let mut tokens = rest[..head.used].to_vec();
            tokens.extend(texts.iter().map(|(text, token)| Token { text, ..**token }));
            let rdata = read_data(&head, &tokens, &scope.origin).or_else(|fault| {
                // BIND takes one word only, so that its users quote several.
                let inner = generate::unquoted(&tokens[head.used..]).ok_or(fault)?;
                tokens.truncate(head.used);
                tokens.extend(inner);
                read_data(&head, &tokens, &scope.origin)
            })?;
            let position = position(file, directive.place);
            self.add(owner, &head, rdata, &rest[head.used - 1], position, scope)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        owner: Name,
        head: &Head,
        rdata: Box<[u8]>,
        rtype_token: &Token<'_>,
        position: Position,
        scope: &mut Scope,
    ) -> Result<(), Fault> {
        let rtype = head.rtype;
        if self.records.len() >= MAX_RECORDS {
            let message = format!("more than {MAX_RECORDS} records");
            return Err(Fault::new(rtype_token, message, "move some into a zone of their own"));
        }
        // RFC 2308 §4: $TTL; RFC 1035 §5.1: the last TTL given; and for a SOA before all of them
        // its own MINIMUM, as in files that are older than $TTL.
        let minimum = (rtype == Rtype::SOA).then(|| rdata.last_chunk::<4>().copied()).flatten();
        let minimum = minimum.map(|octets| Ttl::from_secs(u32::from_be_bytes(octets)));
        let ttl =
            head.ttl.or(scope.default_ttl).or(scope.last_ttl).or(minimum).ok_or_else(|| {
                let message = "no TTL: neither here nor in $TTL nor in a record before";
                Fault::new(rtype_token, message, "add a line such as $TTL 300 at the top")
            })?;
        scope.last_ttl = Some(ttl);
        self.records.push(Record { owner, rtype, ttl, rdata, position: Some(position) });
        Ok(())
    }
}

fn position(file: &Arc<str>, place: Place) -> Position {
    let Place { line, column, length } = place;
    Position { file: file.clone(), line, column, length }
}

fn too_long(place: Place) -> Fault {
    let message = format!("zone text of more than {MAX_TEXT} octets");
    Fault::at(place, message, "move a part into a zone of its own")
}

fn exactly<'t, 'a, const N: usize>(
    directive: &Token<'_>,
    arguments: &'t [Token<'a>],
    usage: &'static str,
) -> Result<&'t [Token<'a>; N], Fault> {
    arguments.try_into().map_err(|_| {
        let blame = arguments.get(N).unwrap_or(directive);
        Fault::new(blame, format!("the directive is written {usage}"), "remove or add what differs")
    })
}

fn read_ttl(token: &Token<'_>) -> Result<Ttl, Fault> {
    match token.seconds() {
        Some(seconds) if seconds <= Ttl::MAX.as_secs() => Ok(Ttl::from_secs(seconds)),
        Some(_) => {
            let message = format!("TTL over {} seconds", Ttl::MAX);
            Err(Fault::new(token, message, "RFC 2181 §8: a TTL has 31 bits"))
        }
        None => {
            let message = format!("{} is not a TTL", token.show());
            Err(Fault::new(token, message, "write seconds, or units: 2h, 1w3d, 1h30m"))
        }
    }
}

/// Reads `[TTL] [class] type` and `[class] [TTL] type`.
fn read_head(tokens: &[Token<'_>]) -> Result<Head, Fault> {
    let (mut ttl, mut class) = (None, None);
    for (i, token) in tokens.iter().enumerate() {
        if ttl.is_none() && token.text[0].is_ascii_digit() {
            ttl = Some(read_ttl(token)?);
        } else if class.is_none()
            && let Ok(found) = token.word().parse::<Class>()
            && found != Class::ANY
        {
            if found != Class::IN {
                let message = format!("class {found}: only IN is served");
                return Err(Fault::new(token, message, "leave the class out, or write IN"));
            }
            class = Some(found);
        } else {
            return Ok(Head { ttl, rtype: read_rtype(token)?, used: i + 1 });
        }
    }
    let last = &tokens[tokens.len() - 1];
    Err(Fault::new(last, "no type after TTL and class", ORDER))
}

fn read_rtype(token: &Token<'_>) -> Result<Rtype, Fault> {
    token
        .word()
        .parse()
        .map_err(|_| Fault::new(token, format!("{} is not a record type", token.show()), ORDER))
}

fn read_data(head: &Head, tokens: &[Token<'_>], origin: &Name) -> Result<Box<[u8]>, Fault> {
    let rtype_token = &tokens[head.used - 1];
    if head.rtype.is_meta() {
        let message = format!("{} records cannot be stored", head.rtype);
        return Err(Fault::new(rtype_token, message, "it exists in messages only: remove it"));
    }
    rdata::read_tokens(head.rtype, &tokens[head.used..], origin, rtype_token)
}
