//! Randomness that a seed repeats.

/// `SplitMix64` (Steele, Lea, Flood 2014): small, and good enough to choose by.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A generator for one of many parts of a run, independent of the others.
    pub fn new(seed: u64, round: u64, part: u64) -> Self {
        let mut rng = Self(seed);
        for salt in [round, part] {
            rng.0 = rng.next() ^ salt.wrapping_mul(0xD1B5_4A32_D192_ED03);
        }
        rng
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias is at most end / 2^64.
        self.next() % end
    }

    /// A number from `start` to `end`, both included.
    pub fn between(&mut self, start: u64, end: u64) -> u64 {
        start + self.below(end - start + 1)
    }

    /// True so many times in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several, or none of none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let end = u64::try_from(from.len()).ok().filter(|len| *len > 0)?;
        let at = usize::try_from(self.below(end)).ok()?;
        from.get(at).copied()
    }

    /// One of several, each as likely as its weight says.
    pub fn weighted<T: Copy>(&mut self, from: &[(u64, T)]) -> Option<T> {
        let total: u64 = from.iter().map(|(weight, _)| weight).sum();
        let mut at = (total > 0).then(|| self.below(total))?;
        for (weight, one) in from {
            if at < *weight {
                return Some(*one);
            }
            at -= weight;
        }
        None
    }
}
