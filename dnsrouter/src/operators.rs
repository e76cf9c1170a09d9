//! Who may drain and force: `operators` of `[control]`.

use std::fmt;
use std::str::FromStr;

use pki::{Identity, Role};

/// Patterns of one list: a generated file a hundred times too large is refused.
pub const MAX_OPERATORS: usize = 1000;

/// Identities that may change what counts; of our trust domain, which is asked before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operators(Vec<Pattern>);

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `user/*`: every person.
    AnyUser,
    /// `user/ada`, `region/us-central1/dnsrouter/ns1`, `member/7f3a9c`.
    Exactly(Role),
}

/// People; programs have no business here unless somebody says so.
impl Default for Operators {
    fn default() -> Self {
        Self(vec![Pattern::AnyUser])
    }
}

impl Operators {
    /// Those that match one of the patterns; of none nobody.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        Self(patterns)
    }

    /// Whether this one may.
    pub fn include(&self, who: &Identity) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::AnyUser => matches!(who.role, Role::User(_)),
            Pattern::Exactly(role) => *role == who.role,
        })
    }
}

/// It names nobody; whoever wrote it can mend it.
#[derive(Debug, PartialEq, Eq)]
pub struct NoPattern(String);

impl fmt::Display for NoPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} names nobody", self.0)
    }
}

impl FromStr for Pattern {
    type Err = NoPattern;

    fn from_str(text: &str) -> Result<Self, NoPattern> {
        if text == "user/*" {
            return Ok(Self::AnyUser);
        }
        // The path of an identity, in any trust domain.
        let identity = format!("spiffe://any/{text}").parse::<Identity>();
        identity.map(|identity| Self::Exactly(identity.role)).map_err(|_| NoPattern(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operators(patterns: &[&str]) -> Operators {
        Operators::new(patterns.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn may(operators: &Operators, who: &str) -> bool {
        operators.include(&format!("spiffe://test-net.io/{who}").parse().unwrap())
    }

    #[test]
    fn people_may_unless_told_otherwise() {
        let usual = Operators::default();
        assert!(may(&usual, "user/ada") && may(&usual, "user/ben"));
        for program in ["region/r/dnsrouter/ns1", "region/r/geoping/a", "member/7f3a9c"] {
            assert!(!may(&usual, program), "{program}");
        }
    }

    #[test]
    fn a_list_names_each_exactly() {
        let some = operators(&["user/ada", "region/r/dnsrouter/ns1"]);
        assert!(may(&some, "user/ada") && may(&some, "region/r/dnsrouter/ns1"));
        for other in ["user/ad", "user/ada2", "region/r/geoping/ns1", "region/r/dnsrouter/ns2"] {
            assert!(!may(&some, other), "{other}");
        }
        assert!(!may(&operators(&[]), "user/ada"), "of an empty list nobody");
    }

    #[test]
    fn what_names_nobody_is_refused() {
        for text in ["", "ada", "user/", "*", "user/a*", "user/../x", "region/*/dnsrouter/*"] {
            assert_eq!(text.parse::<Pattern>(), Err(NoPattern(text.into())), "{text}");
        }
    }
}
