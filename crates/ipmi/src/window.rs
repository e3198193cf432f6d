//! Which sequence numbers of a session are new (IPMI 2.0 §13.28.4 wants replayed packets dropped).

/// The sequence numbers that were seen: the highest, and which of the 32 below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    highest: u32,
    /// Bit `n`: the number `n + 1` below the highest.
    seen: u32,
}

impl Window {
    /// Takes note of a number; false for one that was seen, or is too old to know. 0 stands outside of sessions.
    pub fn accept(&mut self, sequence: u32) -> bool {
        if sequence > self.highest {
            let ahead = sequence.saturating_sub(self.highest);
            // The highest so far becomes the bit `ahead - 1`.
            let with_highest = u64::from(self.seen) << 1 | u64::from(self.highest != 0);
            let moved = with_highest.checked_shl(ahead.saturating_sub(1)).unwrap_or(0);
            self.seen = u32::try_from(moved & u64::from(u32::MAX)).unwrap_or_default();
            self.highest = sequence;
            return true;
        }
        let behind = self.highest.saturating_sub(sequence);
        let Some(bit) = behind.checked_sub(1).and_then(|place| 1u32.checked_shl(place)) else {
            return false;
        };
        if sequence == 0 || self.seen & bit != 0 {
            return false;
        }
        self.seen |= bit;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_once() {
        let mut window = Window::default();
        for (sequence, new) in [
            (0, false),
            (1, true),
            (1, false),
            (3, true),
            (2, true),
            (2, false),
            (3, false),
            (34, true),
            (4, true),
            (1, false),
            (2, false),
            (33, true),
            (70, true),
            (37, false),
            (38, true),
            (38, false),
            (u32::MAX, true),
            (u32::MAX, false),
            (u32::MAX - 32, true),
            (5, false),
        ] {
            assert_eq!(window.accept(sequence), new, "{sequence} {window:?}");
        }
    }
}
