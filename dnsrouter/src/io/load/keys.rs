//! Keys, with their secrets from the files that hold them.

use std::path::Path;

use daemon::config::Problem;
use daemon::files;

use super::Loader;
use crate::config::{Config, SecretSource};
use crate::keyfile::KeyFile;
use crate::updates::Key;

/// A key's file is a few lines.
const MAX_KEY_FILE: u64 = 64 << 10;
/// Half of HMAC-SHA256's output: shorter secrets are warned of (RFC 2104 §3 wants the whole).
const SHORT_SECRET: usize = 16;

impl Loader {
    /// Reads the keys' files; what is allowed but should be known joins the warnings.
    pub(super) fn keys(&mut self, config: &mut Config, problems: &mut Vec<Problem>) -> Vec<Key> {
        let mut warnings = Vec::new();
        let mut keys = Vec::with_capacity(config.keys.len());
        for key in &config.keys {
            let read = match &key.secret {
                SecretSource::Given(secret) => {
                    Ok(KeyFile { name: None, algorithm: None, secret: secret.clone() })
                }
                SecretSource::File(path) => {
                    self.about_to_read(path);
                    read_key(path, &mut warnings)
                }
            };
            match read.and_then(|file| key.complete(file)) {
                Ok(key) => {
                    if key.secret.len() < SHORT_SECRET {
                        let (name, length) = (&key.name, key.secret.len());
                        warnings.push(format!(
                            "key {name}: a secret of {length} octets can be guessed; use \
                             {SHORT_SECRET} or more"
                        ));
                    }
                    keys.push(key);
                }
                Err(message) => {
                    problems.push(config.source.error(key.span.clone(), message, None));
                }
            }
        }
        config.warnings.append(&mut warnings);
        keys
    }
}

/// Reads the file of a key; its text is shown nowhere.
fn read_key(path: &Path, warnings: &mut Vec<String>) -> Result<KeyFile, String> {
    let of_file = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let content = files::read(path, MAX_KEY_FILE).map_err(|error| of_file(&error))?;
    if content.mode & 0o007 != 0 {
        warnings.push(format!(
            "{}: everybody on this machine can read or write this key; chmod 600",
            path.display()
        ));
    }
    let text = str::from_utf8(&content.octets).map_err(|_| of_file(&"it is not text"))?;
    KeyFile::parse(text).map_err(|error| of_file(&error))
}
