//! `[control]`: who may change what counts.

use super::{Checker, raw};
use crate::operators::{MAX_OPERATORS, Operators, Pattern};

impl Checker<'_> {
    pub(super) fn operators(&mut self, raw: &raw::Control) -> Operators {
        let Some(list) = &raw.operators else { return Operators::default() };
        if list.get_ref().len() > MAX_OPERATORS {
            let message =
                format!("{} operators; the limit is {MAX_OPERATORS}", list.get_ref().len());
            self.error(list.span(), message, None);
        }
        let mut patterns = Vec::with_capacity(list.get_ref().len());
        for text in list.get_ref() {
            match text.get_ref().parse::<Pattern>() {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => {
                    let help = Some("\"user/*\", \"user/ada\" or \"region/REGION/PROGRAM/NODE\"");
                    self.error(text.span(), error.to_string(), help);
                }
            }
        }
        Operators::new(patterns)
    }
}
