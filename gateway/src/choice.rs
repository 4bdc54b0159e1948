//! Which of many gets the next call: the less busy of two taken at random, as
//! Mitzenmacher has it. Two are looked at, and not all, so that a choice among
//! a thousand costs what one among three does; only where those drawn cannot be
//! called is everyone looked at.

use std::time::Duration;

use rand::Rng;

/// Pairs drawn before everyone is looked at. With half of many unwilling, one
/// choice in 256 finds none of eight.
const PAIRS: usize = 4;
/// Among so few it is cheaper to look at everyone than to draw again.
const FEW: usize = 2 * PAIRS;

/// What a look at one shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is none of those to choose from.
    Absent,
    /// It takes calls, but this one must go elsewhere.
    Avoided,
    /// By all that is heard of it, it takes calls.
    Ready(Standing),
    /// It does not, by what is heard of it. If that is so of all, whoever says
    /// so may be at fault: better try.
    Unready(Standing),
}

/// Whether one can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It can, and has so much to do already.
    Willing { load: usize },
    /// It has no room, for so long by what it said.
    Full(Duration),
    /// It is left alone, but may be called if there is nothing else.
    AtNeed,
    /// It is left alone for so long.
    Open(Duration),
}

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The caller has no other.
    Answer,
    /// It goes beside one that is late. It helps only at a pod that nothing is
    /// held against.
    Hedge,
}

/// Who is chosen, by place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// This one.
    Willing(usize),
    /// This one, for want of another.
    AtNeed(usize),
    /// Nobody: all are full, and this one has room first.
    Full(usize),
    /// Nobody: all are left alone, for so long at least.
    Open(Duration),
    /// There is nobody to choose from.
    Empty,
}

/// Chooses among so many.
pub(crate) fn choose(count: usize, look: impl Fn(usize) -> Look, random: &mut impl Rng) -> Choice {
    let pairs = match count {
        0 | 1 => 0,
        2..=FEW => 1,
        _ => PAIRS,
    };
    let mut found: Option<(usize, usize)> = None;
    for _ in 0..pairs {
        for place in two_of(count, random) {
            let Look::Ready(Standing::Willing { load }) = look(place) else { continue };
            match found {
                Some((other, less)) if other != place => {
                    return Choice::Willing(if load < less { place } else { other });
                }
                _ => found = Some((place, load)),
            }
        }
    }
    match found {
        Some((place, _)) if count > FEW => Choice::Willing(place),
        _ => among_all(count, look, random),
    }
}

/// Two different places. There must be two at least.
fn two_of(count: usize, random: &mut impl Rng) -> [usize; 2] {
    let one = random.random_range(0..count);
    let other = random.random_range(0..count - 1);
    [one, if other < one { other } else { other + 1 }]
}

fn among_all(count: usize, look: impl Fn(usize) -> Look, random: &mut impl Rng) -> Choice {
    let (mut ready, mut unready) = (Tally::default(), Tally::default());
    for place in 0..count {
        match look(place) {
            Look::Absent => {}
            Look::Avoided => ready.is_empty = false,
            Look::Ready(standing) => ready.add(place, standing, random),
            Look::Unready(standing) => unready.add(place, standing, random),
        }
    }
    if ready.is_empty { unready.choice() } else { ready.choice() }
}

/// What is found among many.
struct Tally {
    is_empty: bool,
    willing: usize,
    /// Two of the willing, taken at random, with their loads.
    two: [Option<(usize, usize)>; 2],
    full: Option<(Duration, usize)>,
    at_need: Option<usize>,
    open: Option<Duration>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { is_empty: true, willing: 0, two: [None; 2], full: None, at_need: None, open: None }
    }
}

impl Tally {
    fn add(&mut self, place: usize, standing: Standing, random: &mut impl Rng) {
        self.is_empty = false;
        match standing {
            Standing::Willing { load } => {
                // Reservoir sampling: each is among the two with the same chance.
                self.willing += 1;
                let kept =
                    if self.willing <= 2 { self.willing - 1 } else { random.random_range(0..self.willing) };
                if let Some(kept) = self.two.get_mut(kept) {
                    *kept = Some((load, place));
                }
            }
            Standing::Full(left) => {
                let full = (left, place);
                self.full = Some(self.full.map_or(full, |other| other.min(full)));
            }
            Standing::AtNeed => self.at_need = Some(place),
            Standing::Open(left) => self.open = Some(self.open.map_or(left, |other| other.min(left))),
        }
    }

    fn choice(self) -> Choice {
        let less_busy = self.two.into_iter().flatten().min_by_key(|(load, _)| *load);
        if let Some((_, place)) = less_busy {
            return Choice::Willing(place);
        }
        // Whoever is full is there, and will have room.
        match (self.full, self.at_need, self.open) {
            (Some((_, place)), ..) => Choice::Full(place),
            (None, Some(place), _) => Choice::AtNeed(place),
            (None, None, Some(left)) => Choice::Open(left),
            (None, None, None) => Choice::Empty,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use rand::{SeedableRng, rngs::SmallRng};
    use rstest::rstest;

    use super::*;

    const WILLING: Look = Look::Ready(Standing::Willing { load: 0 });
    const SECOND: Duration = Duration::from_secs(1);

    fn random() -> SmallRng {
        SmallRng::seed_from_u64(7)
    }

    fn chosen(looks: &[Look]) -> Choice {
        choose(looks.len(), |place| looks[place], &mut random())
    }

    #[rstest]
    fn the_choice_costs_two_looks_however_many_there_are(#[values(2, 3, 8, 9, 100, 1000)] count: usize) {
        let (looks, mut random) = (Cell::new(0), random());
        let look = |_| {
            looks.set(looks.get() + 1);
            WILLING
        };
        for _ in 0..100 {
            assert!(matches!(choose(count, look, &mut random), Choice::Willing(_)));
        }
        assert_eq!(looks.get(), 200);
    }

    #[rstest]
    fn the_work_is_spread_over_all(#[values(2, 5, 8, 20)] count: usize, #[values(0, 1, 3)] unwilling: usize) {
        let willing = count.saturating_sub(unwilling).max(1);
        let (loads, mut random) = (vec![Cell::new(0); count], random());
        for _ in 0..100 * willing {
            let look = |place: usize| {
                if place < willing {
                    Look::Ready(Standing::Willing { load: loads[place].get() })
                } else {
                    Look::Ready(Standing::Open(SECOND))
                }
            };
            let Choice::Willing(place) = choose(count, look, &mut random) else {
                panic!("somebody is willing")
            };
            loads[place].update(|load| load + 1);
        }
        let loads: Vec<usize> = loads[..willing].iter().map(Cell::get).collect();
        assert!(loads.iter().all(|load| (90..=110).contains(load)), "{loads:?}");
    }

    #[rstest]
    fn the_only_willing_one_is_found_among_many(#[values(1, 2, 8, 1000)] count: usize) {
        for unwilling in [Look::Absent, Look::Ready(Standing::Full(SECOND)), Look::Unready(Standing::AtNeed)]
        {
            let mut looks = vec![unwilling; count];
            looks[count / 2] = WILLING;
            assert_eq!(chosen(&looks), Choice::Willing(count / 2));
        }
    }

    #[test]
    fn who_is_not_ready_is_called_only_if_nobody_is() {
        let unready = Look::Unready(Standing::Willing { load: 0 });
        assert_eq!(chosen(&[unready, Look::Ready(Standing::Full(SECOND))]), Choice::Full(1));
        assert_eq!(chosen(&[unready, Look::Avoided]), Choice::Empty);
        assert_eq!(chosen(&[unready, Look::Absent]), Choice::Willing(0));
    }

    #[test]
    fn where_nobody_can_be_called_it_is_told_why() {
        assert_eq!(chosen(&[]), Choice::Empty);
        assert_eq!(chosen(&[Look::Absent; 3]), Choice::Empty);
        let [full, fuller] = [1, 2].map(|seconds| Look::Ready(Standing::Full(seconds * SECOND)));
        let [open, at_need] = [Standing::Open(SECOND), Standing::AtNeed].map(Look::Ready);
        let longer = Look::Ready(Standing::Open(2 * SECOND));
        assert_eq!(chosen(&[fuller, full, fuller, at_need]), Choice::Full(1));
        assert_eq!(chosen(&[longer, at_need, open]), Choice::AtNeed(1));
        assert_eq!(chosen(&[longer, open]), Choice::Open(SECOND));
    }
}
