//! Which scenes are measured.

use crate::scenes::{SCENES, SHORT};
use crate::{scene, status};

/// The scenes that are.
pub struct Choice {
    /// Of name servers side by side.
    pub dns: Vec<scene::Scene>,
    /// Of GeoPing.
    pub status: Vec<status::Scene>,
}

impl Choice {
    /// Those of these names, all where none is named; or one alone, if it is to be short.
    ///
    /// # Errors
    ///
    /// A name that no scene has, with those that there are.
    pub fn of(names: &[String], short: bool) -> Result<Self, String> {
        let all = || {
            let status = status::Scene::ALL.into_iter().map(status::Scene::name);
            SCENES.iter().map(|scene| scene.name).chain(status)
        };
        if let Some(name) = names.iter().find(|name| all().all(|known| known != **name)) {
            return Err(format!(
                "no scene {name:?}: there are {}",
                all().collect::<Vec<_>>().join(", ")
            ));
        }
        if short {
            return Ok(Self { dns: vec![SHORT], status: Vec::new() });
        }
        let named = |it: &str| names.is_empty() || names.iter().any(|name| name == it);
        let status = status::Scene::ALL.into_iter().filter(|scene| named(scene.name()));
        let dns = SCENES.into_iter().filter(|scene| named(scene.name));
        Ok(Self { dns: dns.collect(), status: status.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(names: &[&str], short: bool) -> Result<(usize, usize), String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Choice::of(&names, short).map(|choice| (choice.dns.len(), choice.status.len()))
    }

    #[test]
    fn scenes_are_chosen_by_name() {
        assert_eq!(counts(&[], false), Ok((SCENES.len(), status::Scene::ALL.len())));
        assert_eq!(counts(&["geo", "idle"], false), Ok((1, 1)));
        assert_eq!(counts(&[], true), Ok((1, 0)));
        let error = counts(&["goe"], false).unwrap_err();
        assert!(error.contains("\"goe\"") && error.contains("geo, ") && error.contains("idle"));
    }
}
