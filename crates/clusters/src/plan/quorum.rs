//! The arithmetic of etcd's quorum: more than half of the voting members must answer.

/// How many of `voters` must answer.
#[must_use]
pub const fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}

/// Whether one voting member can be taken out of `voters`, of which `healthy` answer: the removal itself needs a quorum,
/// and those that are left must have one.
#[must_use]
pub const fn can_remove(voters: usize, healthy: usize, target_is_healthy: bool) -> bool {
    let left = voters.saturating_sub(1);
    let answer = if target_is_healthy {
        healthy.saturating_sub(1)
    } else {
        healthy
    };
    healthy >= quorum(voters) && left > 0 && answer >= quorum(left)
}

/// Whether a healthy one of `voters`, of which `healthy` answer, can be restarted: the others go on without it, or, where they
/// are fewer than three, are all there to go on with it.
#[must_use]
pub(crate) const fn can_restart(voters: usize, healthy: usize) -> bool {
    healthy == voters || healthy > quorum(voters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts() {
        // Voters, healthy ones, whether one of these may be restarted.
        let cases = [
            (1, 1, true),
            (2, 2, true),
            (2, 1, false),
            (3, 3, true),
            (3, 2, false),
            (4, 3, false),
            (5, 4, true),
            (5, 3, false),
        ];
        for (voters, healthy, allowed) in cases {
            assert_eq!(can_restart(voters, healthy), allowed, "{voters} {healthy}");
        }
    }

    #[test]
    fn removals() {
        // Voters, healthy ones, whether the one that goes is healthy, whether it may.
        let cases = [
            (1, 1, true, false),
            (2, 2, true, true),
            (2, 1, false, false),
            (3, 3, true, true),
            (3, 2, false, true),
            (3, 2, true, false),
            (3, 1, false, false),
            (4, 3, false, true),
            (4, 3, true, true),
            (4, 2, false, false),
            (5, 5, true, true),
            (5, 4, true, true),
            (5, 3, false, true),
            (5, 3, true, false),
            (5, 2, false, false),
        ];
        for (voters, healthy, target, allowed) in cases {
            assert_eq!(
                can_remove(voters, healthy, target),
                allowed,
                "{voters} {healthy} {target}"
            );
        }
    }
}
