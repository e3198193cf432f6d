//! How much of a list is read from a BMC, which may lie about its length: by number and by time.

use std::time::Duration;

use tokio::time::Instant;

/// How long one list may take; the turn to speak with the BMC is held meanwhile.
const LONGEST: Duration = Duration::from_secs(40);

/// Counts what is read of one list.
#[derive(Debug)]
pub(crate) struct ReadingLimit {
    what: &'static str,
    left: usize,
    most: usize,
    end: Instant,
}

impl ReadingLimit {
    /// At most so many items of a list that is called `what` in the plural.
    pub(crate) fn new(what: &'static str, most: usize) -> Self {
        Self {
            what,
            left: most,
            most,
            end: Instant::now() + LONGEST,
        }
    }

    /// Counts one more item; why it is not read is the error.
    pub(crate) fn next(&mut self) -> Result<(), String> {
        self.next_at(Instant::now())
    }

    fn next_at(&mut self, now: Instant) -> Result<(), String> {
        if now >= self.end {
            let seconds = LONGEST.as_secs();
            return Err(format!("not all {} were read within {seconds} s", self.what));
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(format!("no more than {} {} are read", self.most, self.what)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_number_and_by_time() {
        let mut limit = ReadingLimit::new("sensors", 2);
        assert!(limit.next().is_ok() && limit.next().is_ok());
        assert_eq!(limit.next(), Err("no more than 2 sensors are read".to_owned()));
        let mut limit = ReadingLimit::new("entries", 2);
        assert_eq!(
            limit.next_at(limit.end),
            Err("not all entries were read within 40 s".to_owned())
        );
    }
}
