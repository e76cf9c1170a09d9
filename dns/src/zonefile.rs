//! Master files (RFC 1035 §5) into checked zones.
//!
//! ```text
//!  text ─ lexer ─▶ entries of tokens, each with its place
//!            │        ├─ $ORIGIN $TTL $INCLUDE $GENERATE   (reader)
//!            │        └─ owner, TTL, class, type           (reader)
//!            │              └─ data ─▶ crate::rdata ─▶ wire form
//!            └─ every error keeps file, line, column and the line's text
//! ```
//!
//! The forms that other servers take are taken too: TTLs with units (`1h30m`), `$GENERATE`, a free
//! standing `@` inside data, TTL and class in either order.
//!
//! Files are not opened here: the caller hands in text, and a closure for `$INCLUDE`.

mod apex;
mod generate;
mod lexer;
mod reader;
mod token;

pub(crate) use lexer::Lexer;
pub(crate) use token::{Fault, Place, Token};

pub use apex::apex;

use crate::name::Name;
use crate::zone::{MAX_ERRORS, Position, ZoneData, ZoneError};
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// Octets of all texts of a zone, includes too: about twice a zone of five million records.
pub const MAX_TEXT: usize = 512 << 20;
/// Records of one zone, generated ones too.
pub const MAX_RECORDS: usize = 5_000_000;
/// How deep `$INCLUDE` may nest: deeper is a file that includes itself.
pub const MAX_INCLUDE_DEPTH: usize = 8;
/// Steps of one `$GENERATE`: a /16 by address.
pub const MAX_GENERATE: u32 = 65_536;
/// Octets of a line that an error carries along.
const MAX_EXCERPT: usize = 200;

/// One text, and what the user calls it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// For messages and for resolving includes: usually the file's path.
    pub name: &'a str,
    /// The text; octets outside ASCII are allowed in comments and quoted strings.
    pub text: &'a [u8],
}

/// What an include resolver hands back.
#[derive(Clone, Debug)]
pub struct Included {
    /// The file's name as messages shall have it.
    pub name: String,
    /// Its text.
    pub text: Vec<u8>,
}

/// A zone that was read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked zone.
    pub zone: ZoneData,
    /// Every file that was read, the first being the zone's own: what to watch for changes.
    pub files: Vec<Arc<str>>,
    /// What was set right by itself: differing TTLs, duplicates. At most
    /// [`MAX_NOTICES`](crate::zone::MAX_NOTICES).
    pub warnings: Vec<Error>,
}

/// Something wrong in a file, with all that is needed to show it. The file's author is to blame;
/// nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Where.
    pub position: Position,
    /// What.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The text of the line, cut to 200 octets.
    pub excerpt: String,
}

/// Reads the zone `apex` from `source`. `include` gets the path after `$INCLUDE` and the name of
/// the file it stands in, and returns the text or the reason why not.
///
/// # Errors
/// All that is wrong, at most [`MAX_ERRORS`]: first of the text, and if that is right, of the
/// zone.
pub fn parse<'a>(
    apex: &Name,
    source: Source<'a>,
    include: &'a mut dyn FnMut(&str, &str) -> Result<Included, String>,
) -> Result<Loaded, Vec<Error>> {
    let mut reader = reader::Reader::new(apex, include);
    reader.read_all(source);
    let (records, mut errors, files) = reader.finish();
    if !errors.is_empty() {
        errors.truncate(MAX_ERRORS);
        return Err(errors);
    }
    let texts = Texts(&files);
    let zone = ZoneData::new(apex.clone(), records).map_err(|errors| {
        errors.into_iter().map(|error| texts.locate(error)).collect::<Vec<_>>()
    })?;
    let warnings = zone.notices().iter().map(|notice| texts.locate(notice.clone())).collect();
    Ok(Loaded { zone, files: files.into_iter().map(|file| file.name).collect(), warnings })
}

/// A text that was read, kept for excerpts.
struct Text<'a> {
    name: Arc<str>,
    text: Rc<Cow<'a, [u8]>>,
}

struct Texts<'a>(&'a [Text<'a>]);

impl Texts<'_> {
    /// Errors of the zone as a whole point at the beginning of its file.
    fn locate(&self, error: ZoneError) -> Error {
        let position = error.position.unwrap_or_else(|| Position {
            file: self.0[0].name.clone(),
            line: 1,
            column: 1,
            length: 1,
        });
        let text = self.0.iter().find(|text| text.name == position.file);
        Error {
            excerpt: text.map_or_else(String::new, |text| excerpt(&text.text, position.line)),
            position,
            message: format!("{}: {}", error.name, error.fault),
            help: error.fault.help().map(str::to_owned),
        }
    }
}

/// Line `line` of `text`, cut.
fn excerpt(text: &[u8], line: u32) -> String {
    let line = text.split(|&octet| octet == b'\n').nth(line as usize - 1).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(&line[..line.len().min(MAX_EXCERPT)]).into_owned()
}

impl Error {
    /// The message with the line and a caret under what is wrong:
    ///
    /// ```text
    /// example.zone:7:9: A record: invalid IPv4 address
    ///   7 | www IN A 192.0.2.256
    ///     |          ^^^^^^^^^^^
    ///   help: …
    /// ```
    pub fn caret(&self) -> String {
        let number = self.position.line.to_string();
        let indent = " ".repeat(number.len());
        // Tabs stay tabs, so that the caret stands under its token.
        let column = self.position.column as usize - 1;
        let before: String = (self.excerpt.bytes().take(column))
            .map(|octet| if octet == b'\t' { '\t' } else { ' ' })
            .collect();
        let room = self.excerpt.len().saturating_sub(column).max(1);
        let carets = "^".repeat((self.position.length.max(1) as usize).min(room));
        let mut out =
            format!("{self}\n  {number} | {}\n  {indent} | {before}{carets}\n", self.excerpt);
        if let Some(help) = &self.help {
            out.push_str(&format!("  help: {help}\n"));
        }
        out
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}
