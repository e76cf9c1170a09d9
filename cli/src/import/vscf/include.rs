//! Which files an `$include{…}` means (gdnsd.config(5), "INCLUDING OTHER FILES").

use std::path::{Path, PathBuf};

use crate::import::files::Files;

/// Paths from the root of `files`, sorted. A folder means its files; `*` and `?` stand for parts of
/// a file's name.
pub(super) fn paths(path: &str, from: u16, files: &Files) -> Result<Vec<PathBuf>, String> {
    let path = files.folder(from).join(path);
    let listed = |folder: &Path| files.in_folder(folder).map_err(|error| error.to_string());
    if files.has_folder(&path) {
        return listed(&path);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.to_string_lossy().contains(['*', '?', '[']) {
        return Err("patterns can be in a file's name only, not in its folder's".to_owned());
    }
    if name.contains('[') {
        return Err("patterns with brackets are not understood; name the files".to_owned());
    }
    if !name.contains(['*', '?']) {
        return Ok(vec![path]);
    }
    let mut found = listed(folder)?;
    found.retain(|file| {
        file.file_name().is_some_and(|file| matches(name.as_bytes(), file.as_encoded_bytes()))
    });
    match found.is_empty() {
        true => Err("no file is called like that".to_owned()),
        false => Ok(found),
    }
}

/// `*` is any octets, `?` any one. Linear in both for each star: only the last star is taken back.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(octet) if *octet == b'?' || *octet == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                n = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|octet| *octet == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks() {
        let m = |pattern: &str, name: &str| matches(pattern.as_bytes(), name.as_bytes());
        assert!(m("*", "") && m("*.cfg", "a.cfg") && m("a*b*c", "aXbYbZc") && m("?b", "ab"));
        assert!(!m("*.cfg", "a.cfgx") && !m("?", "") && !m("a*b", "ac"));
        assert!(!m(&"*a".repeat(50), &"b".repeat(5000)));
    }
}
