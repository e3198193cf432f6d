//! What an API server says of itself at `/readyz?verbose`.

/// Whether an API server is ready to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// All of its checks pass, that of its etcd among them.
    Ready,
    /// Some do not.
    NotReady {
        /// Names of the checks that fail, such as `etcd` or `shutdown`.
        failed: Vec<String>,
    },
}

/// Reads an answer: 200, or another code and a line `[-]NAME failed: ...` for each check that fails.
pub(crate) fn readiness(is_success: bool, text: &str) -> Readiness {
    if is_success {
        return Readiness::Ready;
    }
    let failed = text
        .lines()
        .filter_map(|line| line.strip_prefix("[-]"))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    Readiness::NotReady { failed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_that_fail_are_named() {
        let text = "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n\
                    [-]shutdown failed: reason withheld\nreadyz check failed\n";
        let failed = |names: &[&str]| Readiness::NotReady {
            failed: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (is_success, text, expected) in [
            (true, "[+]ping ok\nreadyz check passed\n", Readiness::Ready),
            (true, "ok", Readiness::Ready),
            (false, text, failed(&["etcd", "shutdown"])),
            (false, "", failed(&[])),
            (false, "[-]", failed(&[])),
        ] {
            assert_eq!(readiness(is_success, text), expected, "{text}");
        }
    }
}
