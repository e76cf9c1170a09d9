//! Where a value came from, and errors that point there.

use std::fmt;
use std::ops::Range;
use std::string::FromUtf8Error;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use crate::terminal::{self, visible};

/// Longer lines are not shown under an error, only pointed at by line and column.
const MAX_SHOWN_LINE: usize = 400;

/// The text of a configuration: its file, then each override, in one space of byte offsets.
///
/// Spans of [`toml::Spanned`] values point into it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Source {
    parts: Vec<Arc<Part>>,
}

/// One file, variable or flag.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    name: String,
    /// Where `text` begins in the source's offsets.
    start: usize,
    /// The number of the text's first line.
    first_line: usize,
    text: String,
}

/// A line and a column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    part: Arc<Part>,
    /// Within the part's text; `None` when the file could not be read at all.
    span: Option<Range<usize>>,
    message: String,
    help: Option<String>,
    /// The line may not be shown.
    hidden: bool,
}

/// Everything that is wrong with a configuration. Nothing was changed because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one, in the order found.
    pub errors: Vec<Problem>,
}

impl Source {
    /// A source that is one file.
    pub fn file(name: &str, text: &str) -> Self {
        Self::excerpt(name, text, 1)
    }

    /// A source that is some lines of a file, of which the first is the file's `first_line`th: for
    /// files too large to be held, and searched, by each problem.
    pub fn excerpt(name: &str, text: &str, first_line: usize) -> Self {
        let (name, text) = (name.to_owned(), text.to_owned());
        Self { parts: vec![Arc::new(Part { name, start: 0, first_line, text })] }
    }

    /// The file's name, as given.
    pub fn name(&self) -> &str {
        &self.parts[0].name
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.parts[0].text
    }

    /// A problem with what stands at `span` (a byte range, as [`toml::Spanned::span`] gives it).
    pub fn error(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: Option<&str>,
    ) -> Problem {
        let part = self.part_at(span.start);
        let text = &part.text;
        let start = floor_char(text, span.start - part.start);
        // A table's span runs over many lines; the first is the one to look at.
        let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |at| start + at);
        let end = floor_char(text, span.end.saturating_sub(part.start)).clamp(start, line_end);
        Problem {
            span: Some(start..end),
            message: message.into(),
            help: help.map(str::to_owned),
            part: Arc::clone(part),
            hidden: false,
        }
    }

    /// Adds an override's text; gives the offset it begins at.
    pub(super) fn append(&mut self, name: &str, text: &str) -> usize {
        let last = &self.parts[self.parts.len() - 1];
        let start = last.start + last.text.len() + 1; // the end of one is not the start of the next
        let (name, text) = (name.to_owned(), text.to_owned());
        self.parts.push(Arc::new(Part { name, start, first_line: 1, text }));
        start
    }

    /// What toml or serde found.
    pub(super) fn problem_of(&self, error: &toml::de::Error) -> Problem {
        let help = did_you_mean(error.message());
        self.error(error.span().unwrap_or(0..0), error.message(), help.as_deref())
    }

    fn part_at(&self, offset: usize) -> &Arc<Part> {
        let after = self.parts.partition_point(|part| part.start <= offset);
        &self.parts[after.saturating_sub(1)]
    }
}

impl Problem {
    /// The file, variable or flag it is in.
    pub fn file(&self) -> &str {
        &self.part.name
    }

    /// The same with `kind` before its message, as in `warning: …`.
    #[must_use]
    pub fn called(mut self, kind: &str) -> Self {
        self.message.insert_str(0, kind);
        self
    }

    /// The same without the line it is in, for files whose text is nobody's business.
    #[must_use]
    pub fn without_text(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Where; `None` when the file could not be read at all.
    pub fn position(&self) -> Option<Position> {
        Some(self.part.position(self.span.as_ref()?.start))
    }

    /// The line with a caret under the place, and the help.
    fn snippet(&self) -> String {
        let mut drawn = String::new();
        let shown =
            self.span.is_some() && !self.hidden && self.longest_line_near() <= MAX_SHOWN_LINE;
        if shown {
            let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none())
                .with_links(false)
                .with_context_lines(1);
            // Drawing goes to a String and the span lies within the text: it does not fail.
            let _ = handler.render_report(&mut drawn, &self.defused());
        }
        // The message stands above already, unwrapped; keep what follows it.
        let mut text: String = drawn
            .lines()
            .skip_while(|line| !line.trim_start().starts_with(",-["))
            .take_while(|line| !line.trim_start().starts_with("help:"))
            .flat_map(|line| [line, "\n"])
            .collect();
        if let Some(help) = &self.help {
            text.push_str(&format!("  help: {}\n", visible(help)));
        }
        text
    }

    /// The same for a terminal: nothing in it acts, and the place is the same.
    fn defused(&self) -> Self {
        let Part { name, start, first_line, text } = &*self.part;
        let mut span = self.span.clone();
        let mut defused = String::with_capacity(text.len());
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            if let (Some(span), Some(was)) = (&mut span, &self.span) {
                // Offsets in the text as it is become offsets in what is shown.
                span.start = if at == was.start { defused.len() } else { span.start };
                span.end = if at == was.end { defused.len() } else { span.end };
            }
            defused.push(terminal::visible_in_text(c, rest.peek().map(|(_, next)| *next)));
        }
        if let (Some(span), Some(was)) = (&mut span, &self.span) {
            span.start = if was.start >= text.len() { defused.len() } else { span.start };
            span.end = if was.end >= text.len() { defused.len() } else { span.end };
        }
        let name = visible(name).into_owned();
        let part = Part { name, start: *start, first_line: *first_line, text: defused };
        // The message and the help stand beside the drawing.
        let (message, help) = (String::new(), None);
        Self { part: Arc::new(part), span, message, help, hidden: self.hidden }
    }

    fn longest_line_near(&self) -> usize {
        let line = self.position().map_or(1, |position| position.line);
        let within = line + 1 - self.part.first_line;
        let near = self.part.text.lines().skip(within.saturating_sub(2)).take(3);
        near.map(str::len).max().unwrap_or(0)
    }
}

impl ConfigError {
    /// `Ok` when there are no problems.
    ///
    /// # Errors
    ///
    /// All of `problems`.
    pub fn check(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { errors: problems }) }
    }

    /// Every problem as `file:line:column: message`, its line with a caret, and help.
    pub fn report(&self) -> String {
        self.errors.iter().map(|problem| format!("{problem}\n{}", problem.snippet())).collect()
    }
}

/// `file:line:column: message`, on one line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&visible(&self.part.name))?;
        if let Some(Position { line, column }) = self.position() {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", visible(&self.message.trim_end().replace('\n', " ")))
    }
}

/// The first problem, and how many more there are.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errors.as_slice() {
            [] => f.write_str("no problem"),
            [only] => write!(f, "{only}"),
            [first, more @ ..] => write!(f, "{first} (and {} more)", more.len()),
        }
    }
}

impl std::error::Error for Problem {}
impl std::error::Error for ConfigError {}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { errors: vec![problem] }
    }
}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.as_ref().map(|_| self.part.as_ref() as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}

impl Diagnostic for ConfigError {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.errors.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

impl Part {
    fn position(&self, offset: usize) -> Position {
        let before = &self.text[..floor_char(&self.text, offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: before.matches('\n').count() + self.first_line,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl SourceCode for Part {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, lines_before, lines_after)?;
        // miette counts bytes; an editor counts characters.
        let column = match lines_before {
            0 => self.position(span.offset()).column - 1,
            _ => found.column(),
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            found.data(),
            *found.span(),
            found.line() + self.first_line - 1,
            column,
            found.line_count(),
        )))
    }
}

/// A file that could not be read.
pub(super) fn unreadable(name: &str, why: &str) -> Problem {
    let part = Part { name: name.to_owned(), start: 0, first_line: 1, text: String::new() };
    let help = "name the configuration with --config FILE".to_owned();
    let message = format!("cannot read the configuration: {why}");
    Problem { part: Arc::new(part), span: None, message, help: Some(help), hidden: false }
}

/// A file that is not text; points at the first byte that is not.
pub(super) fn not_utf8(name: &str, error: &FromUtf8Error) -> Problem {
    let valid = error.utf8_error().valid_up_to();
    let readable = String::from_utf8_lossy(&error.as_bytes()[..valid]);
    Source::file(name, &readable).error(valid..valid, "the file is not UTF-8 from here on", None)
}

/// Whether serde says that a struct has no such field.
pub(super) fn is_unknown_key(message: &str) -> bool {
    message.starts_with("unknown field `")
}

/// The expected name nearest to the unknown one, from serde's "unknown field `x`, expected one
/// of `a`, `b`".
fn did_you_mean(message: &str) -> Option<String> {
    if !is_unknown_key(message) && !message.starts_with("unknown variant `") {
        return None;
    }
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let (distance, nearest) =
        names.map(|name| (edits(&unknown.to_lowercase(), &name.to_lowercase()), name)).min()?;
    let near_enough = 1.max(unknown.chars().count() / 3);
    (distance <= near_enough).then(|| format!("did you mean `{nearest}`?"))
}

/// How many letters to insert, delete, replace or swap with their neighbour to get from `a` to
/// `b` (optimal string alignment).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

/// The last character boundary at or before `at`, within `text`.
fn floor_char(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}
