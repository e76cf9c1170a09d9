//! File descriptors: every connection takes one, and the usual limit of 1,024 is far below what a
//! server's own limits allow. Then accepting, pinging and writing state fail alike.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's limit to the most it may have; returns what it is then, `None` for no
/// limit. To be called once, first thing.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // A process may always raise up to the maximum; where it may not, it goes on as it is.
        Err(_) => current,
    }
}

/// Says so when `limit` is less than what our own limits on connections add up to.
pub fn warn_if_few(limit: Option<u64>, needed: u64) {
    if let Some(limit) = limit.filter(|limit| *limit < needed) {
        tracing::warn!(
            limit,
            needed,
            "few file descriptors: connections will fail before our own limits are reached; \
             raise the limit (ulimit -n, LimitNOFILE=)"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_becomes_the_maximum() {
        let raised = raise_limit();
        assert_eq!(raised, getrlimit(Resource::Nofile).maximum);
        assert_eq!(raise_limit(), raised);
    }
}
