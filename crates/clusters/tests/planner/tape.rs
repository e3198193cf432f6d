//! Choices read from a tape of bytes.

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// A tape that is read once. Where it has ended, every choice is the first one.
#[derive(Debug)]
pub(crate) struct Tape<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Tape<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    fn byte(&mut self) -> usize {
        self.bytes.next().copied().map_or(0, usize::from)
    }

    /// A number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.byte() * count / 256
    }

    /// True in so many cases of a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.byte() * 100 / 256 >= 100 - percent
    }

    /// One of these.
    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// Parts of the tapes that are checked side by side, each drawn from a seed of its own: the same ones on every machine.
const PARTS: u32 = 4;

/// Checks so many tapes of up to so many bytes.
pub(crate) fn for_tapes(cases: u32, length: usize, check: impl Fn(&[u8]) -> Result<(), String> + Sync) {
    let ordinary = Config::default();
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |_| ordinary.cases);
    let seed = match ordinary.rng_seed {
        RngSeed::Random => 200,
        RngSeed::Fixed(seed) => seed,
    };
    let run = |part: u32| {
        let config = Config {
            cases: (cases + part) / PARTS,
            rng_seed: RngSeed::Fixed(seed.wrapping_add(part.into())),
            failure_persistence: None,
            max_shrink_iters: 4000,
            ..Config::default()
        };
        let tapes = proptest::collection::vec(proptest::num::u8::ANY, 0..length);
        TestRunner::new(config).run(&tapes, |tape| check(&tape).map_err(TestCaseError::fail))
    };
    std::thread::scope(|scope| {
        let run = &run;
        let parts: Vec<_> = (0..PARTS).map(|part| scope.spawn(move || run(part))).collect();
        for part in parts {
            if let Err(failure) = part.join().unwrap() {
                panic!("{failure}");
            }
        }
    });
}
