//! A folder for one test: gone after success, kept after a failure.

use std::path::{Path, PathBuf};

use crate::artifact;

/// A folder of its own under the target folder. While the thread panics it is kept, and its path
/// printed: logs and configurations are the best witnesses.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A fresh, empty folder whose name starts with `name`.
    pub fn new(name: &str) -> Scratch {
        let parent = artifact::target().join("e2e");
        std::fs::create_dir_all(&parent).expect("the target folder can be written");
        let path = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&parent)
            .expect("the target folder can be written")
            .keep();
        Scratch { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` inside it.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file inside it and returns its path; folders on the way are made.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        let folder = path.parent().expect("a file in a folder");
        std::fs::create_dir_all(folder).expect("the scratch folder can be written");
        std::fs::write(&path, contents).expect("the scratch folder can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("left as it was: {}", self.path.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
