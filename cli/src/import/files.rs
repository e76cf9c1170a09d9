//! The files of an import: which may be read, how large they may be, and where in them things are.

use std::fs;
use std::path::{Path, PathBuf};

use daemon::config::{Problem, Source};
use daemon::files;

use super::Failure;

/// The largest file: exports of the largest zones have some tens of megabytes.
pub(crate) const MAX_FILE: u64 = 64 << 20;
/// All files of one import together.
const MAX_TOTAL: usize = 256 << 20;
/// Files of one import: more are a folder that was not meant.
const MAX_FILES: usize = 10_000;

/// Where something stands: octets of one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct At {
    file: u16,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl At {
    /// A part of a file.
    pub(crate) fn new(file: u16, start: usize, end: usize) -> Self {
        // No file has more octets than fit: see MAX_FILE.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { file, start: offset(start), end: offset(end) }
    }

    /// Which file.
    pub(crate) fn file(self) -> u16 {
        self.file
    }
}

/// Files that were read, below one folder: what is imported may have been written by others, who
/// must not have other files of this machine shown to them.
#[derive(Debug, Default)]
pub(crate) struct Files {
    root: PathBuf,
    list: Vec<File>,
    total: usize,
}

#[derive(Debug)]
struct File {
    /// As messages call it: relative to the root.
    name: String,
    text: String,
    /// Offset of each line.
    lines: Vec<usize>,
}

impl Files {
    /// Only files in `root` and below it.
    ///
    /// # Errors
    /// When there is no such folder.
    pub(crate) fn below(root: &Path) -> Result<Self, Failure> {
        let root = fs::canonicalize(root).map_err(|error| unread(root, &error))?;
        Ok(Self { root, list: Vec::new(), total: 0 })
    }

    /// Text that is no file's: for tests of what reads it.
    #[cfg(test)]
    pub(crate) fn of_text(name: &str, text: &str) -> Self {
        let mut files = Self::default();
        files.push(name.to_owned(), text.to_owned());
        files
    }

    /// Reads a file, whose path counts from the root.
    ///
    /// # Errors
    /// When it cannot be read, is outside the root, too large, or no UTF-8.
    pub(crate) fn read(&mut self, path: &Path) -> Result<u16, Failure> {
        let path = self.root.join(path);
        let real = fs::canonicalize(&path).map_err(|error| unread(&path, &error))?;
        if !real.starts_with(&self.root) {
            let why = format!("it is outside {}; copy it there", self.root.display());
            return Err(unread(&path, &why));
        }
        if self.list.len() >= MAX_FILES {
            return Err(unread(&path, &format!("{MAX_FILES} files have been read already")));
        }
        let content = files::read(&real, MAX_FILE).map_err(|error| unread(&path, &error))?;
        if self.total.saturating_add(content.octets.len()) > MAX_TOTAL {
            return Err(unread(&path, &format!("all files together have over {MAX_TOTAL} bytes")));
        }
        let name = real.strip_prefix(&self.root).unwrap_or(&real).display().to_string();
        let text = String::from_utf8(content.octets).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let line = 1 + error.as_bytes()[..good].iter().filter(|octet| **octet == b'\n').count();
            unread(&path, &format!("line {line} is no UTF-8 text"))
        })?;
        Ok(self.push(name, text))
    }

    /// Names in a folder below the root, sorted, without hidden ones; files only.
    ///
    /// # Errors
    /// When it cannot be read or holds too many.
    pub(crate) fn in_folder(&self, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
        let path = self.root.join(folder);
        let entries = fs::read_dir(&path).map_err(|error| unread(&path, &error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| unread(&path, &error))?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if hidden || entry.path().is_dir() {
                continue;
            }
            if names.len() >= MAX_FILES {
                return Err(unread(&path, &format!("it holds more than {MAX_FILES} files")));
            }
            names.push(folder.join(entry.file_name()));
        }
        names.sort();
        Ok(names)
    }

    /// Whether there is such a folder below the root.
    pub(crate) fn has_folder(&self, folder: &Path) -> bool {
        self.root.join(folder).is_dir()
    }

    /// Seconds since 1970 when a file was last changed.
    pub(crate) fn modified(&self, path: &Path) -> Option<u32> {
        let modified = fs::metadata(self.root.join(path)).ok()?.modified().ok()?;
        let since = modified.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
        u32::try_from(since.as_secs()).ok()
    }

    /// A file's text.
    pub(crate) fn text(&self, file: u16) -> &str {
        &self.list[usize::from(file)].text
    }

    /// A file's name.
    pub(crate) fn name(&self, file: u16) -> &str {
        &self.list[usize::from(file)].name
    }

    /// The folder that a file is in, from the root.
    pub(crate) fn folder(&self, file: u16) -> &Path {
        Path::new(self.name(file)).parent().unwrap_or(Path::new(""))
    }

    /// `file:line:column`, columns in characters.
    pub(crate) fn place(&self, at: At) -> String {
        let file = &self.list[usize::from(at.file)];
        let start = (at.start as usize).min(file.text.len());
        let line = file.lines.partition_point(|line| *line <= start).max(1);
        let column = file.text.get(file.lines[line - 1]..start).map_or(0, |t| t.chars().count());
        format!("{}:{line}:{}", file.name, column + 1)
    }

    /// A mistake that ends the import, shown with its line.
    pub(crate) fn problem(
        &self,
        at: At,
        message: impl Into<String>,
        help: Option<&str>,
    ) -> Failure {
        self.shown(at, message.into(), help).into()
    }

    fn shown(&self, at: At, message: String, help: Option<&str>) -> Problem {
        let file = &self.list[usize::from(at.file)];
        let source = Source::file(&file.name, &file.text);
        source.error(at.start as usize..at.end as usize, message, help)
    }

    fn push(&mut self, name: String, text: String) -> u16 {
        let ends = text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n');
        let lines = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        self.total += text.len();
        self.list.push(File { name, text, lines });
        // MAX_FILES fits.
        u16::try_from(self.list.len() - 1).unwrap_or(u16::MAX)
    }
}

fn unread(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::Unread(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let files = Files::of_text("config", "ä = 1\n\nb");
        let place = |start| files.place(At::new(0, start, start + 1));
        assert_eq!(place(0), "config:1:1");
        assert_eq!(place(3), "config:1:3");
        assert_eq!(place(8), "config:3:1");
        assert_eq!(place(999), "config:3:2");
    }

    #[test]
    fn files_outside_the_folder_are_not_read() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(outer.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), inner.join("link")).unwrap();
        fs::write(inner.join("own"), "o").unwrap();
        let mut files = Files::below(&inner).unwrap();
        assert!(files.read(Path::new("own")).is_ok());
        for path in ["../secret", "link", "/etc/hostname"] {
            let told = files.read(Path::new(path)).unwrap_err().to_string();
            assert!(told.contains("outside"), "{told}");
        }
    }
}
