//! Which requests are copied.

use rand::Rng;

const HUNDRED: u32 = 100;

/// Takes exactly its share of every hundred, and which of them by chance: a
/// regular pattern could meet one in the requests.
#[derive(Debug)]
pub(super) struct Share {
    percent: u32,
    /// Of the current hundred: those still to come, and those still to be taken.
    left: u32,
    wanted: u32,
}

impl Share {
    pub(super) fn new(percent: u32) -> Self {
        Self { percent, left: 0, wanted: 0 }
    }

    pub(super) fn takes_next(&mut self, random: &mut impl Rng) -> bool {
        if self.left == 0 {
            (self.left, self.wanted) = (HUNDRED, self.percent);
        }
        let taken = random.random_range(0..self.left) < self.wanted;
        self.left -= 1;
        self.wanted -= u32::from(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    #[test]
    fn every_hundred_has_exactly_its_share() {
        for percent in [1, 5, 33, 100] {
            let (mut share, mut random) = (Share::new(percent), SmallRng::seed_from_u64(7));
            for _ in 0..50 {
                let taken = (0..HUNDRED).filter(|_| share.takes_next(&mut random)).count();
                assert_eq!(taken, percent as usize);
            }
        }
    }

    #[test]
    fn every_place_in_the_hundred_has_its_turn() {
        let (mut share, mut random) = (Share::new(5), SmallRng::seed_from_u64(7));
        let mut taken = [0; HUNDRED as usize];
        for number in 0..100 * 1000 {
            taken[number % taken.len()] += u32::from(share.takes_next(&mut random));
        }
        assert!(taken.iter().all(|times| (20..=90).contains(times)), "of 1,000 each: {taken:?}");
    }
}
