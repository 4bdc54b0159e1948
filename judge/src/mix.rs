//! Whose text is next, and which side is asked first.

use std::time::Duration;

use rand::{Rng, seq::SliceRandom};

/// Callers' texts between two prompts. Prompts are spoken however many callers
/// send: what callers repeat says little of what they do not.
const CALLERS_EACH: u32 = 4;

/// What it depends on whether a prompt is next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Whether a caller's text waits.
    pub(crate) callers_wait: bool,
    /// Callers' texts that were spoken since the last prompt.
    pub(crate) since_prompt: u32,
    /// For how long no words were heard in a new text of callers; none if they
    /// never were.
    pub(crate) quiet: Option<Duration>,
    /// After how long of it prompts fill up.
    pub(crate) fill_after: Duration,
}

/// Whether a prompt is next: every fifth time, and where callers send too little.
pub(crate) fn prompt_is_due(seen: &Seen) -> bool {
    let is_quiet = seen.quiet.map_or(!seen.callers_wait, |quiet| quiet >= seen.fill_after);
    // Callers who send nothing new have every other turn.
    let callers_turn = seen.callers_wait && seen.since_prompt == 0;
    seen.since_prompt >= CALLERS_EACH || (is_quiet && !callers_turn)
}

/// The side that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// The stable model's.
    Baseline,
    /// The candidate's.
    Candidate,
}

/// Who is asked first. Of each two pairs one begins with either side, and which
/// of the two comes first is chance: whatever the second one has of the first,
/// a warm cache or a busier machine, both have equally often, and no rhythm of
/// the texts goes along with it.
#[derive(Debug, Default)]
pub(crate) struct Order(Vec<First>);

impl Order {
    /// Who is asked first in the next pair.
    pub(crate) fn next(&mut self, random: &mut impl Rng) -> First {
        self.0.pop().unwrap_or_else(|| {
            let mut both = [First::Baseline, First::Candidate];
            both.shuffle(random);
            let [first, second] = both;
            self.0.push(second);
            first
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::SmallRng};
    use rstest::rstest;

    use super::*;

    const AFTER: Duration = Duration::from_secs(3);
    const SHORT: Option<Duration> = Some(Duration::from_secs(1));

    #[rstest]
    #[case::nobody_has_sent_anything(false, 0, None, true)]
    #[case::callers_are_heard(true, 0, SHORT, false)]
    #[case::callers_send_what_is_not_heard(true, 3, None, false)]
    #[case::callers_repeat_themselves_and_have_their_turn(true, 0, Some(AFTER), false)]
    #[case::callers_repeat_themselves(true, 1, Some(AFTER), true)]
    #[case::callers_send_little(false, 1, SHORT, false)]
    #[case::callers_send_too_little(false, 1, Some(AFTER), true)]
    #[case::it_is_a_prompts_turn(true, 4, SHORT, true)]
    #[case::it_is_a_prompts_turn_and_no_text_waits(false, 4, SHORT, true)]
    fn a_prompt_is_due(
        #[case] callers_wait: bool,
        #[case] since_prompt: u32,
        #[case] quiet: Option<Duration>,
        #[case] due: bool,
    ) {
        let seen = Seen { callers_wait, since_prompt, quiet, fill_after: AFTER };
        assert_eq!(prompt_is_due(&seen), due);
    }

    #[test]
    fn both_sides_are_first_equally_often_and_in_no_rhythm() {
        let (mut order, mut random) = (Order::default(), SmallRng::seed_from_u64(7));
        let firsts: Vec<First> = (0..2000).map(|_| order.next(&mut random)).collect();
        assert!(firsts.chunks(2).all(|two| two[0] != two[1]));
        let begun_by_baseline = firsts.iter().step_by(2).filter(|first| **first == First::Baseline).count();
        assert!((420..=580).contains(&begun_by_baseline), "{begun_by_baseline} of 1,000");
    }
}
