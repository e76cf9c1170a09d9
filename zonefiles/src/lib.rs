//! Master files on disk: a zone's own file and what it includes, read in one go, with every
//! mistake shown where it stands.
//!
//! ```text
//!  path ─ MasterFile::open ─▶ text ─ MasterFile::parse ─▶ Read { zone, warnings, texts }
//!                              │            │ ▲ $INCLUDE: only from the file's own folder
//!                              └─ apex      │ └─ announced to the caller before it is opened
//!                                           └──▶ Problems: file:line:column, the line, a caret
//! ```
//!
//! | you want to | use |
//! |---|---|
//! | serve zones: know which files to watch | the `announce` of [`MasterFile::parse`] |
//! | check a file whose zone nobody told | [`MasterFile::apex`] |
//! | show a place of a file that was read | [`Texts::problem`] |
//! | read what somebody sent, and open nothing | [`MasterFile::given`] |
//!
//! A zone may be written by people who may not read everything that this program may. So of an
//! included file that only its owner may read, a mistake tells its place and nothing of its text:
//! else `$INCLUDE` of a key's file would show the key.
//!
//! The grammar is that of [`dns::zonefile`], which opens nothing; here files are opened.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daemon::config::{Problem, Source};
use daemon::files::{self, Content};
use dns::name::Name;
use dns::zone::Position;
use dns::zonefile::{self, Included, Loaded};

/// Permission bits of which a file has at least one whose text is shown: the group or everybody may
/// read it.
const SHOWN: u32 = 0o044;
/// What is said in the place of a mistake that would show words of a secret.
const SECRET: &str = "no part of a zone; its text is not shown, because only its owner may read it";
const SECRET_HELP: &str = "if it is part of the zone, let its group read it: chmod g+r";

/// A zone's own file, opened and read, not yet understood.
#[derive(Debug)]
pub struct MasterFile {
    path: PathBuf,
    text: Vec<u8>,
    /// What it may include; none: files of its folder.
    given: Option<Arc<Given>>,
}

/// Texts that somebody sent, by the paths that they have for them.
pub type Given = HashMap<PathBuf, Vec<u8>>;

/// A zone that was read.
#[derive(Debug)]
pub struct Read {
    /// The zone, and what was set right by itself.
    pub loaded: Loaded,
    /// What it was read from.
    pub texts: Texts,
}

/// The texts of a zone's files, by the names that messages give them.
#[derive(Debug, Default)]
pub struct Texts {
    texts: HashMap<String, Text>,
}

#[derive(Debug, Default)]
struct Text {
    octets: Vec<u8>,
    /// Neither its lines nor words of it are shown.
    secret: bool,
    /// Where each line starts; made when first needed.
    lines: Option<Vec<usize>>,
}

impl MasterFile {
    /// Reads the file itself.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, without its name.
    pub fn open(path: &Path) -> Result<Self, String> {
        Ok(Self { path: path.to_owned(), text: read(path)?.octets, given: None })
    }

    /// The same of a text that was sent, which includes what was sent with it and nothing else: no
    /// file is opened. None: it was not sent.
    pub fn given(path: &Path, given: &Arc<Given>) -> Option<Self> {
        let text = given.get(path)?.clone();
        Some(Self { path: path.to_owned(), text, given: Some(Arc::clone(given)) })
    }

    /// The zone that the file itself says it is; see [`zonefile::apex`].
    pub fn apex(&self) -> Option<Name> {
        zonefile::apex(&self.text)
    }

    /// Reads the zone `apex`. `announce` gets the path of each further file before it is opened,
    /// also of those that cannot be.
    ///
    /// # Errors
    ///
    /// All that is wrong, at most [`dns::zone::MAX_ERRORS`].
    pub fn parse(self, apex: &Name, announce: &mut dyn FnMut(&Path)) -> Result<Read, Vec<Problem>> {
        let Self { path, text, given } = self;
        let name = path.display().to_string();
        let mut texts = Texts::default();
        texts.keep(&name, text.clone(), false);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut include = |wanted: &str, _: &str| {
            let wanted = folder.join(wanted);
            announce(&wanted);
            let content = match &given {
                None => include(folder, &wanted)?,
                Some(given) => sent(given, &wanted)?,
            };
            let shown = wanted.display().to_string();
            // The zone's own file may include itself by mistake.
            let secret = content.mode & SHOWN == 0 && shown != name;
            texts.keep(&shown, content.octets.clone(), secret);
            Ok(Included { name: shown, text: content.octets })
        };
        let source = zonefile::Source { name: &name, text: &text };
        match zonefile::parse(apex, source, &mut include) {
            Ok(loaded) => Ok(Read { loaded, texts }),
            Err(errors) => Err(errors
                .iter()
                .map(|error| match texts.is_secret(&error.position) {
                    true => texts.problem(&error.position, SECRET, Some(SECRET_HELP)),
                    false => texts.problem(&error.position, &error.message, error.help.as_deref()),
                })
                .collect()),
        }
    }
}

impl Texts {
    /// Says something about a place in one of the texts. The line is shown unless only the file's
    /// owner may read it.
    pub fn problem(&mut self, position: &Position, message: &str, help: Option<&str>) -> Problem {
        let text = self.texts.entry(position.file.to_string()).or_default();
        let [line, column] = [position.line, position.column].map(|n| (n as usize).max(1) - 1);
        let first = line.saturating_sub(1);
        let [before, start, after] = [first, line, line + 2].map(|line| text.start_of(line));
        // Octets are shown as characters, and counted as what they are shown as.
        let shown = |from: usize, to: usize| String::from_utf8_lossy(&text.octets[from..to]);
        let at = (start + column).min(after);
        let end = (at + position.length as usize).min(after);
        let (at, end) = (shown(before, at).len(), shown(before, end).len());
        let lines = Source::excerpt(&position.file, &shown(before, after), first + 1);
        let problem = lines.error(at..end, message, help);
        if text.secret { problem.without_text() } else { problem }
    }

    fn is_secret(&self, position: &Position) -> bool {
        self.texts.get(&*position.file).is_some_and(|text| text.secret)
    }

    fn keep(&mut self, name: &str, octets: Vec<u8>, secret: bool) {
        self.texts.insert(name.to_owned(), Text { octets, secret, lines: None });
    }
}

impl Text {
    /// Where line `line`, counted from 0, starts; the end of the text if it has fewer.
    fn start_of(&mut self, line: usize) -> usize {
        let octets = &self.octets;
        let lines = self.lines.get_or_insert_with(|| {
            let ends = octets.iter().enumerate().filter(|(_, octet)| **octet == b'\n');
            std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
        });
        lines.get(line).copied().unwrap_or(octets.len())
    }
}

/// `$INCLUDE` reaches files in the zone file's own folder and below, wherever links lead.
fn include(folder: &Path, wanted: &Path) -> Result<Content, String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let real = wanted.canonicalize().map_err(|error| error.to_string())?;
    let inside = folder.canonicalize().map_err(|error| error.to_string())?;
    if !real.starts_with(&inside) {
        return Err("it lies outside the zone file's folder".to_owned());
    }
    read(&real)
}

/// Of those who sent it nothing is hidden that is in it.
fn sent(given: &Given, wanted: &Path) -> Result<Content, String> {
    let octets = given.get(wanted).cloned().ok_or("it was not sent along")?;
    Ok(Content { octets, mode: SHOWN })
}

fn read(path: &Path) -> Result<Content, String> {
    files::read(path, zonefile::MAX_TEXT as u64).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    const HEAD: &str = "$TTL 300\n@ SOA ns hostmaster 7 2h 30m 2w 60\n@ NS ns\nns A 192.0.2.1\n";

    /// Reads `zone/example.zone`, and says which files were announced.
    fn parse(folder: &Path, text: &str) -> (Result<Read, Vec<Problem>>, Vec<PathBuf>) {
        let path = folder.join("zone/example.zone");
        fs::create_dir_all(folder.join("zone")).unwrap();
        fs::write(&path, text).unwrap();
        let apex: Name = "example.".parse().unwrap();
        let mut announced = Vec::new();
        let announce = &mut |path: &Path| announced.push(path.to_owned());
        let read = MasterFile::open(&path).unwrap().parse(&apex, announce);
        (read, announced)
    }

    #[test]
    fn includes_are_read_from_the_file_s_folder_and_announced() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("zone/sub")).unwrap();
        fs::write(folder.path().join("zone/sub/hosts"), "a A 192.0.2.9\n").unwrap();
        let (read, announced) = parse(folder.path(), &format!("{HEAD}$INCLUDE sub/hosts\n"));
        assert_eq!(read.unwrap().loaded.zone.records().len(), 4);
        assert_eq!(announced, [folder.path().join("zone/sub/hosts")]);
    }

    #[test]
    fn nothing_outside_the_folder_is_opened_by_path_or_by_link() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("zone")).unwrap();
        fs::write(folder.path().join("secret"), "a A 192.0.2.9\n").unwrap();
        std::os::unix::fs::symlink("../secret", folder.path().join("zone/link")).unwrap();
        let text = format!("{HEAD}$INCLUDE ../secret\n$INCLUDE link\n$INCLUDE missing\n");
        let (read, announced) = parse(folder.path(), &text);
        let told: Vec<String> = read.unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        for told in &told[..2] {
            assert!(told.ends_with("it lies outside the zone file's folder"), "{told}");
        }
        assert!(told[2].contains("cannot include missing: No such file"), "{told:?}");
        assert_eq!(announced.len(), 3, "also what cannot be read is worth watching");
    }

    #[test]
    fn what_was_sent_includes_what_was_sent_with_it_and_no_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("hosts"), "a A 192.0.2.9\n").unwrap();
        let at = |name: &str| folder.path().join(name);
        let apex: Name = "example.".parse().unwrap();
        let parse = |sent: &[(&str, &str)]| {
            let sent = sent.iter().map(|(name, text)| (at(name), text.as_bytes().to_vec()));
            let given = Arc::new(sent.collect::<Given>());
            Some(MasterFile::given(&at("zone"), &given)?.parse(&apex, &mut |_| ()))
        };
        let zone = format!("{HEAD}$INCLUDE hosts\n");
        let read = parse(&[("zone", &zone), ("hosts", "b A 192.0.2.8\nc A 192.0.2.7\n")]);
        assert_eq!(read.unwrap().unwrap().loaded.zone.records().len(), 5);
        let wrong = parse(&[("zone", &zone)]).unwrap().unwrap_err();
        assert!(wrong[0].to_string().ends_with("it was not sent along"), "{}", wrong[0]);
        assert!(parse(&[("hosts", "")]).is_none());
    }

    #[test]
    fn mistakes_are_shown_in_the_file_they_are_in() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("zone")).unwrap();
        fs::write(folder.path().join("zone/hosts"), "\nx A 192.0.2.256\n").unwrap();
        let (read, _) = parse(folder.path(), &format!("{HEAD}$INCLUDE hosts\n"));
        let problems = read.unwrap_err();
        let place = problems[0].position().map(|at| (at.line, at.column));
        assert_eq!(place, Some((2, 5)), "{problems:?}");
        assert!(problems[0].to_string().contains("zone/hosts:2:5: "), "{}", problems[0]);
    }

    #[test]
    fn a_mistake_far_down_is_shown_with_its_neighbours_only() {
        let folder = tempfile::tempdir().unwrap();
        let many: String = (0..5_000).map(|i| format!("h{i} A 192.0.2.1\n")).collect();
        let text = format!("{HEAD}{many}; b\u{e9}fore\nx \"\u{e9}\" A\n; after\n; unseen\n");
        let (read, _) = parse(folder.path(), &text);
        let problems = read.unwrap_err();
        assert_eq!(problems[0].position().map(|at| at.line), Some(5_006), "{problems:?}");
        let report = daemon::config::ConfigError { errors: problems }.report();
        for line in ["5005 | ; b\u{e9}fore\n", "5006 | x \"\u{e9}\" A\n", "5007 | ; after\n"] {
            assert!(report.contains(line), "{report}");
        }
        assert!(!report.contains("unseen") && !report.contains("h4999"), "{report}");
    }

    #[test]
    fn the_text_of_a_secret_is_not_shown_by_including_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("zone")).unwrap();
        let key = folder.path().join("zone/key");
        fs::write(&key, "secret c2VjcmV0 key\n\"c2VjcmV0\" b2N0ZXRz c2VjcmV0\n").unwrap();
        let told = |mode| {
            fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
            let (read, _) = parse(folder.path(), &format!("{HEAD}$INCLUDE key\nx A y\n"));
            let errors = read.unwrap_err();
            assert_eq!(errors.len(), 3, "{errors:?}");
            daemon::config::ConfigError { errors }.report()
        };
        let secret = told(0o600);
        assert!(!secret.contains("c2Vj") && !secret.contains("b2N0"), "{secret}");
        assert!(secret.contains("zone/key:1:8: no part of a zone"), "{secret}");
        assert!(secret.contains("6 | x A y"), "the zone's own text is shown: {secret}");
        assert!(told(0o640).contains("1 | secret c2VjcmV0 key"));
    }

    #[test]
    fn what_nobody_writes_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("zone")).unwrap();
        let fifo = folder.path().join("zone/ff");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from(0o600), 0).unwrap();
        let (read, _) = parse(folder.path(), &format!("{HEAD}$INCLUDE ff\n"));
        let told = read.unwrap_err()[0].to_string();
        assert!(told.ends_with("cannot include ff: it is not a regular file"), "{told}");
        assert_eq!(MasterFile::open(&fifo).unwrap_err(), "it is not a regular file");
    }

    #[test]
    fn what_is_no_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(MasterFile::open(folder.path()).unwrap_err(), "it is a directory");
        let missing = MasterFile::open(&folder.path().join("a")).unwrap_err();
        assert!(missing.starts_with("No such file"), "{missing}");
    }
}
