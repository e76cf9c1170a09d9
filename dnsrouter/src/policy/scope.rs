//! What of a client an answer can depend on, and so the scope that goes with it.

use super::Compiled;
use super::stage::{Act, Stage};
use crate::service::Form;

/// What of a client an answer can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Depends {
    Nothing,
    Place,
    Address,
}

/// What the answers of a form can depend on: the finest of what its steps look at.
pub(super) fn depends(stages: &[Stage], endpoints: &[Compiled], form: Form) -> Depends {
    let having: Vec<_> = endpoints.iter().filter(|e| !e.of(form).is_empty()).collect();
    let location_twice = (1..having.len())
        .any(|i| having[..i].iter().any(|other| other.location == having[i].location));
    let mut split_by_location = false;
    let mut depends = Depends::Nothing;
    for stage in stages {
        match stage.act {
            Act::Nearest if having.iter().any(|e| e.location != having[0].location) => {
                split_by_location = true;
                depends = depends.max(Depends::Place);
            }
            // A draw decides something only where a group can hold two.
            Act::Weighted { .. } | Act::RoundRobin | Act::Sticky
                if having.len() > 1 && (!split_by_location || location_twice) =>
            {
                depends = Depends::Address;
            }
            _ => {}
        }
    }
    depends
}
