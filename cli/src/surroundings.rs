//! Where things lie on this machine, from the environment, read once.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Context as _;

/// Paths that follow the XDG base directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// The contexts file: `$GEOIP_CONFIG`, else `$XDG_CONFIG_HOME/geoip/contexts.toml`.
    pub(crate) contexts: PathBuf,
    /// Where `geoip dev` works when not told: `$XDG_STATE_HOME/geoip/dev`.
    pub(crate) dev: PathBuf,
}

impl Surroundings {
    /// From the process's environment.
    ///
    /// # Errors
    /// When neither the XDG variables nor `HOME` say where a user's files are.
    pub(crate) fn read() -> anyhow::Result<Self> {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> anyhow::Result<Self> {
        // An empty variable counts as unset, and a relative path is to be ignored, says the
        // XDG specification.
        let path = |name: &str| lookup(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let base = |xdg: &str, under_home: &str| {
            path(xdg)
                .filter(|p| p.is_absolute())
                .or_else(|| path("HOME").map(|home| home.join(under_home)))
                .with_context(|| format!("neither {xdg} nor HOME is set: set one of them"))
        };
        let contexts = match path("GEOIP_CONFIG") {
            Some(file) => file,
            None => base("XDG_CONFIG_HOME", ".config")?.join("geoip/contexts.toml"),
        };
        Ok(Self { contexts, dev: base("XDG_STATE_HOME", ".local/state")?.join("geoip/dev") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &'static [(&str, &str)]) -> anyhow::Result<Surroundings> {
        Surroundings::from_lookup(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn xdg_wins_over_home_and_geoip_config_over_both() {
        let home = with(&[("HOME", "/h")]).unwrap();
        assert_eq!(home.contexts, PathBuf::from("/h/.config/geoip/contexts.toml"));
        assert_eq!(home.dev, PathBuf::from("/h/.local/state/geoip/dev"));
        let xdg = with(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "rel")]);
        let xdg = xdg.unwrap();
        assert_eq!(xdg.contexts, PathBuf::from("/c/geoip/contexts.toml"));
        assert_eq!(xdg.dev, PathBuf::from("/h/.local/state/geoip/dev"));
        let own = with(&[("HOME", "/h"), ("GEOIP_CONFIG", "my.toml")]).unwrap();
        assert_eq!(own.contexts, PathBuf::from("my.toml"));
    }

    #[test]
    fn a_homeless_process_is_told_what_to_set() {
        let error = with(&[("HOME", "")]).unwrap_err().to_string();
        assert_eq!(error, "neither XDG_CONFIG_HOME nor HOME is set: set one of them");
    }
}
