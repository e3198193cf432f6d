//! The limit of open files: every place of every listener is one, and a process begins with 1,024.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Enough for all listeners, files and databases.
const WANTED: u64 = 16_384;

/// Raises the limit as far as the system lets us, and says so when that is too little.
pub(crate) fn raise() {
    match raised() {
        Ok(limit) if limit >= WANTED => {}
        Ok(limit) => tracing::warn!(
            limit,
            wanted = WANTED,
            "few files may be open: a flood of connections can use them up; raise LimitNOFILE of the service"
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
}

fn raised() -> nix::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let limit = soft.max(WANTED.min(hard));
    if limit > soft {
        setrlimit(Resource::RLIMIT_NOFILE, limit, hard)?;
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_as_high_as_wanted_or_as_the_system_allows() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let limit = raised().unwrap();
        assert!(limit >= WANTED.min(hard), "{limit} of {hard}");
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, limit);
    }
}
