//! Medians and spreads of what was measured in rounds.

use std::fmt;

/// What a figure was in each round.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// The figures of the rounds, of which there is at least one.
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self(values))
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> f64 {
        let middle = self.0.len() / 2;
        if self.0.len() % 2 == 1 {
            self.0[middle]
        } else {
            f64::midpoint(self.0[middle - 1], self.0[middle])
        }
    }

    /// What a quarter of them do not exceed, and what three quarters do not: on
    /// a machine that does other things too, the ends of the range tell nothing.
    pub fn quartiles(&self) -> (f64, f64) {
        let last = self.0.len() - 1;
        (self.0[last / 4], self.0[last - last / 4])
    }
}

impl fmt::Display for Samples {
    /// The median and, where there is more than one, the quartiles.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.quartiles();
        write!(f, "{}", short(self.median()))?;
        if self.0.len() > 1 {
            write!(f, " ({}–{})", short(low), short(high))?;
        }
        Ok(())
    }
}

/// A figure of both sides, relay first, round by round.
#[derive(Default)]
pub struct Pairs(pub Vec<[f64; 2]>);

impl Pairs {
    /// Of each side, relay first.
    pub fn side(&self, side: usize) -> Option<Samples> {
        Samples::new(self.0.iter().map(|round| round[side]).collect())
    }

    /// The ratios of the rounds.
    pub fn ratio(&self) -> Option<Samples> {
        Samples::new(self.0.iter().map(|[relay, floor]| relay / floor).collect())
    }
}

/// Three digits that count, or all in front of the point.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The value that `percent` of the sorted `values` do not exceed.
pub fn percentile(values: &[u32], percent: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    f64::from(values[rank.clamp(1, values.len()) - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle_of_what_was_measured() {
        let odd = Samples::new(vec![9.0, 1.0, 5.0]).expect("samples");
        assert_eq!((odd.median(), odd.quartiles()), (5.0, (1.0, 9.0)));
        let nine = Samples::new((1..=9).map(f64::from).collect()).expect("samples");
        assert_eq!((nine.median(), nine.quartiles()), (5.0, (3.0, 7.0)));
        let even = Samples::new(vec![4.0, 1.0, f64::NAN, 2.0, 9.0]).expect("samples");
        assert_eq!(even.median(), 3.0);
        assert_eq!(Samples::new(vec![f64::NAN]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<u32> = (1..=200).collect();
        assert_eq!(percentile(&values, 50.0), 100.0);
        assert_eq!(percentile(&values, 99.0), 198.0);
        assert_eq!(percentile(&[7], 99.0), 7.0);
        assert!(percentile(&[], 50.0).is_nan());
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [1234.5, 99.96, 12.34, 1.234].map(short),
            ["1234", "100.0", "12.3", "1.23"]
        );
        let samples = Samples::new(vec![1.0, 2.0, 4.0]).expect("samples");
        assert_eq!(samples.to_string(), "2.00 (1.00–4.00)");
    }
}
