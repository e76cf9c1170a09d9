//! Zone files (gdnsd.zonefile(5)). What is standard stays as its author wrote it, comments included;
//! `DYNA` and `DYNC` become services, and what only gdnsd knows is rewritten or told.

use std::fmt::Write as _;
use std::path::Path;

use dns::name::Name;

use super::options::Defaults;
use super::resources::{Reader, Resources};
use super::scan::{Statement, Token, pieces, statements, unescaped};
use crate::import::choice::MAX_FOLLOWED;
use crate::import::files::Files;
use crate::import::service::Data;
use crate::import::zone::Zone;
use crate::import::{Failure, Imported};

/// Files included in files, as in dnsrouter.
const MAX_INCLUDE_DEPTH: usize = 8;

/// Reads one zone.
///
/// # Errors
/// Files that cannot be read or taken apart.
pub(super) fn import(
    path: &Path,
    apex: &Name,
    defaults: Defaults,
    files: &mut Files,
    resources: &mut Resources<'_>,
    imported: &mut Imported,
) -> Result<(), Failure> {
    let mut walk = Walk {
        apex,
        files,
        resources,
        imported,
        out: format!("$ORIGIN {apex}\n$TTL {}\n", defaults.ttl),
        written: None,
    };
    let state = State { origin: apex.clone(), first: apex.clone(), ttl: defaults.ttl, owner: None };
    walk.file(path, state, 0)?;
    let text = walk.out;
    imported.zones.push(Zone::new(apex.clone(), text));
    Ok(())
}

struct Walk<'a, 'r> {
    apex: &'a Name,
    files: &'a mut Files,
    resources: &'a mut Resources<'r>,
    imported: &'a mut Imported,
    out: String,
    /// The owner that a line without one would have.
    written: Option<Name>,
}

/// What directives change, within one file.
#[derive(Clone)]
struct State {
    origin: Name,
    /// `@F`: the origin at the top of this file.
    first: Name,
    /// Seconds.
    ttl: u32,
    owner: Option<Name>,
}

impl Walk<'_, '_> {
    fn file(&mut self, path: &Path, mut state: State, depth: usize) -> Result<(), Failure> {
        let file = self.files.read(path)?;
        let statements = statements(file, self.files)?;
        let mut done = 0;
        for statement in statements {
            // Comments and empty lines.
            let gap = self.files.text(file)[done..statement.start].to_owned();
            self.out.push_str(&gap);
            done = statement.end;
            self.statement(&statement, &mut state, depth)?;
        }
        let rest = self.files.text(file)[done..].to_owned();
        self.out.push_str(&rest);
        if !self.out.ends_with('\n') {
            self.out.push('\n');
        }
        Ok(())
    }

    fn statement(
        &mut self,
        statement: &Statement,
        state: &mut State,
        depth: usize,
    ) -> Result<(), Failure> {
        let Some(first) = statement.tokens.first() else { return Ok(()) };
        if first.text.starts_with('$') && !first.quoted {
            return self.directive(statement, state, depth);
        }
        let mut tokens = statement.tokens.as_slice();
        if !statement.blank {
            state.owner = Some(self.name(first, state)?);
            tokens = &tokens[1..];
        }
        let Some(owner) = state.owner.clone() else {
            let message = "a record without an owner, and none before it";
            return Err(self.files.problem(first.at, message, None));
        };
        let mut ttl = None;
        while let [token, rest @ ..] = tokens {
            match lifetime(&token.text) {
                Some(lifetime) if ttl.is_none() => ttl = Some(lifetime),
                _ if token.text.eq_ignore_ascii_case("IN") => {}
                _ => break,
            }
            tokens = rest;
        }
        let [rtype, data @ ..] = tokens else {
            return Err(self.files.problem(first.at, "a record without a type", None));
        };
        let kind = rtype.text.to_ascii_uppercase();
        if ["DYNA", "DYNC"].contains(&kind.as_str()) {
            return self.dynamic(statement, &owner, ttl.unwrap_or((state.ttl, None)), data);
        }
        if !owner.is_subdomain_of(self.apex) {
            let at = self.files.place(first.at);
            let why = "it is outside the zone; glue comes from the zone it is in";
            let instead = "nothing, unless that zone is nobody's";
            self.imported.findings.left_out(at, &owner.to_string(), why, instead);
            self.comment(statement);
            return Ok(());
        }
        let texts = kind == "TXT" && data.iter().any(|token| token.text.len() > 257);
        let special = |token: &Token| is_special(token);
        let own = statement.blank && self.written.as_ref() != Some(&owner);
        let rewrite = statement.tokens.iter().take(1).any(special)
            || kind != "TXT" && data.iter().any(special)
            || texts
            || own;
        if !rewrite {
            let file_text = self.raw(statement);
            self.out.push_str(&file_text);
        } else {
            let _ = write!(self.out, "{owner} {} {kind}", ttl.map_or(state.ttl, |ttl| ttl.0));
            for token in data {
                self.out.push(' ');
                if texts {
                    self.out.push_str(&pieces(token).join(" "));
                } else if kind != "TXT" && is_special(token) {
                    let name = self.name(token, state)?;
                    let _ = write!(self.out, "{name}");
                } else {
                    self.out.push_str(&token.text);
                }
            }
        }
        self.written = Some(owner);
        Ok(())
    }

    fn directive(
        &mut self,
        statement: &Statement,
        state: &mut State,
        depth: usize,
    ) -> Result<(), Failure> {
        let first = &statement.tokens[0];
        let place = self.files.place(first.at);
        let argument = statement.tokens.get(1);
        match first.text.to_ascii_uppercase().as_str() {
            "$TTL" => {
                let token = argument.ok_or_else(|| self.missing(first))?;
                let ttl = lifetime(&token.text).ok_or_else(|| {
                    self.files.problem(token.at, "a number of seconds is expected", None)
                })?;
                state.ttl = ttl.0;
                let _ = write!(self.out, "$TTL {}", state.ttl);
            }
            "$ORIGIN" => {
                let token = argument.ok_or_else(|| self.missing(first))?;
                state.origin = self.name(token, state)?;
                let _ = write!(self.out, "$ORIGIN {}", state.origin);
            }
            "$INCLUDE" => {
                let token = argument.ok_or_else(|| self.missing(first))?;
                if depth >= MAX_INCLUDE_DEPTH {
                    let message = format!("files include each other over {MAX_INCLUDE_DEPTH} deep");
                    return Err(self.files.problem(token.at, message, None));
                }
                let origin = match statement.tokens.get(2) {
                    Some(origin) => self.name(origin, state)?,
                    None => state.origin.clone(),
                };
                let path = token.text.trim_matches('"').to_owned();
                let folder = Path::new(self.files.name(token.at.file())).parent();
                let path = folder.unwrap_or(Path::new("")).join(path);
                let inner = State {
                    first: origin.clone(),
                    origin: origin.clone(),
                    ttl: state.ttl,
                    owner: None,
                };
                let _ = writeln!(self.out, "; $INCLUDE {}\n$ORIGIN {origin}", path.display());
                self.file(&path, inner, depth + 1)?;
                let _ = write!(self.out, "$ORIGIN {}\n$TTL {}", state.origin, state.ttl);
            }
            other => {
                let why = "gdnsd 3 knows no such directive, and neither do master files";
                let instead = "remove it; answers are cut to what fits a packet, whole over TCP";
                self.imported.findings.left_out(place, other, why, instead);
                self.comment(statement);
            }
        }
        Ok(())
    }

    fn missing(&self, directive: &Token) -> Failure {
        let message = format!("{} needs a value", directive.text);
        self.files.problem(directive.at, message, None)
    }

    /// `DYNA` or `DYNC`.
    fn dynamic(
        &mut self,
        statement: &Statement,
        owner: &Name,
        (ttl, least): (u32, Option<u32>),
        data: &[Token],
    ) -> Result<(), Failure> {
        self.comment(statement);
        let [token] = data else {
            let help = Some("DYNA plugin!resource");
            let at = statement.tokens[0].at;
            return Err(self.files.problem(at, "a plugin and its resource are expected", help));
        };
        let place = self.files.place(token.at);
        let text = unescaped(token);
        let (plugin, resource) = text.split_once('!').unwrap_or((&text, ""));
        let Self { resources, files, imported, .. } = self;
        let mut reader = Reader { resources, files, imported, room: MAX_FOLLOWED };
        let Some(choice) = reader.resource(plugin, resource, &place, 0)? else { return Ok(()) };
        if let Some(data) = choice.fixed() {
            self.records(owner, ttl, data);
            return Ok(());
        }
        let least = least.unwrap_or(ttl / 2);
        self.imported.serve(owner.clone(), choice, (ttl, Some(least)), &place);
        Ok(())
    }

    /// What is always the same needs no service.
    fn records(&mut self, owner: &Name, ttl: u32, data: &Data) {
        for address in &data.addresses {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            let _ = write!(self.out, "\n{owner} {ttl} {kind} {address}");
        }
        if let Some(name) = &data.cname {
            let _ = write!(self.out, "\n{owner} {ttl} CNAME {name}");
        }
        self.written = Some(owner.clone());
    }

    /// Leaves a statement to be read by people.
    fn comment(&mut self, statement: &Statement) {
        let words: Vec<&str> = statement.tokens.iter().map(|token| token.text.as_str()).collect();
        let words = words.join(" ").replace('\n', " ");
        let _ = write!(self.out, "; {words}");
    }

    fn raw(&self, statement: &Statement) -> String {
        let file = statement.tokens[0].at.file();
        self.files.text(file)[statement.start..statement.end].to_owned()
    }

    /// A name, with `@`, `@Z` and `@F` (gdnsd.zonefile(5), "SPECIAL NAMES AND ORIGINS").
    fn name(&self, token: &Token, state: &State) -> Result<Name, Failure> {
        let text = token.text.trim_matches('"');
        let (text, origin) = match text {
            "@" => ("", &state.origin),
            "@Z" => ("", self.apex),
            "@F" => ("", &state.first),
            _ => match (text.strip_suffix(".@Z"), text.strip_suffix(".@F")) {
                (Some(text), _) => (text, self.apex),
                (_, Some(text)) => (text, &state.first),
                _ => (text, &state.origin),
            },
        };
        if text.is_empty() {
            return Ok(origin.clone());
        }
        Name::from_text(text, origin)
            .map_err(|error| self.files.problem(token.at, error.to_string(), None))
    }
}

fn is_special(token: &Token) -> bool {
    let text = token.text.as_str();
    !token.quoted
        && (["@Z", "@F"].contains(&text) || text.ends_with(".@Z") || text.ends_with(".@F"))
}

/// `300`, `5M`, or `300/30`: seconds, and the least of a dynamic record.
fn lifetime(text: &str) -> Option<(u32, Option<u32>)> {
    let (most, least) = match text.split_once('/') {
        Some((most, least)) => (most, Some(seconds(least)?)),
        None => (text, None),
    };
    Some((seconds(most)?, least))
}

fn seconds(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => 1,
        "M" => 60,
        "H" => 3600,
        "D" => 86_400,
        "W" => 604_800,
        _ => return None,
    };
    digits.parse::<u32>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_of_the_manual() {
        assert_eq!(lifetime("300/30"), Some((300, Some(30))));
        assert_eq!(lifetime("1h"), Some((3600, None)));
        assert_eq!(lifetime("3D"), Some((259_200, None)));
        for not in ["", "A", "5x", "M", "300/", "-1", "99999999999", "9999999W"] {
            assert_eq!(lifetime(not), None, "{not}");
        }
    }
}
