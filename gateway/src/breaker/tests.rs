use rand::{SeedableRng, rngs::SmallRng};

use super::*;

const RULE: Rule = Rule {
    threshold: Duration::from_millis(1500),
    ratio_percent: 50,
    minimum_calls: 4,
    recovery: Duration::from_secs(5),
    longest_recovery: Duration::from_secs(60),
};

fn random() -> SmallRng {
    SmallRng::seed_from_u64(7)
}

fn told(breaker: &mut Breaker, now: Instant, admitted: Admission, verdict: Verdict) -> Option<Duration> {
    breaker.report(now, admitted, verdict, &RULE, &mut random())
}

fn admit(breaker: &mut Breaker, now: Instant) -> Admission {
    breaker.admit(now, Resort::First)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn opened(start: Instant) -> Breaker {
    let mut breaker = Breaker::new(start);
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::Good, Verdict::Bad] {
        told(&mut breaker, start, Admission::Call, verdict);
    }
    breaker
}

#[test]
fn half_of_the_calls_bad_opens_it_and_fewer_do_not() {
    let start = Instant::now();
    assert_eq!(opened(start).state(start), State::Open);
    let mut breaker = Breaker::new(start);
    for verdict in [Verdict::Good, Verdict::Good, Verdict::Bad, Verdict::Good, Verdict::Bad] {
        assert_eq!(told(&mut breaker, start, Admission::Call, verdict), None);
    }
    assert_eq!(admit(&mut breaker, start), Admission::Call);
}

#[test]
fn too_few_calls_say_nothing() {
    let start = Instant::now();
    let mut breaker = Breaker::new(start);
    for _ in 0..3 {
        assert_eq!(told(&mut breaker, start, Admission::Call, Verdict::Bad), None);
    }
    assert_eq!(told(&mut breaker, start, Admission::Call, Verdict::Bad), Some(RULE.recovery));
}

#[test]
fn calls_leave_the_window_with_time() {
    let start = Instant::now();
    let mut breaker = Breaker::new(start);
    for verdict in [Verdict::Bad, Verdict::Bad, Verdict::Bad, Verdict::Good] {
        breaker.count(start, verdict, &Rule { minimum_calls: 5, ..RULE });
    }
    let later = start + seconds(11);
    assert_eq!(told(&mut breaker, later, Admission::Call, Verdict::Bad), None);
    assert_eq!(breaker.state(later), State::Closed);
}

#[test]
fn bad_calls_in_a_row_open_it_however_far_apart_and_a_good_one_between_does_not() {
    let start = Instant::now();
    let bad = [Verdict::Bad; 4];
    let mixed = [Verdict::Bad, Verdict::Bad, Verdict::Good, Verdict::Bad, Verdict::Bad, Verdict::Bad];
    for (verdicts, state) in [(bad.as_slice(), State::Open), (&mixed, State::Closed)] {
        let (mut breaker, mut now) = (Breaker::new(start), start);
        for verdict in verdicts {
            now += seconds(60);
            told(&mut breaker, now, Admission::Call, *verdict);
        }
        assert_eq!(breaker.state(now), state, "{verdicts:?}");
    }
}

#[test]
fn after_the_recovery_one_probe_at_a_time_decides() {
    let start = Instant::now();
    let mut breaker = opened(start);
    assert_eq!(admit(&mut breaker, start + seconds(4)), Admission::Refused(seconds(1)));
    let later = start + seconds(5);
    assert_eq!(admit(&mut breaker, later), Admission::Probe);
    assert!(matches!(admit(&mut breaker, later), Admission::Refused(_)));
    assert!(told(&mut breaker, later, Admission::Probe, Verdict::Bad).is_some());
    assert_eq!(breaker.state(later + seconds(4)), State::Open);

    let again = later + seconds(10);
    assert_eq!(admit(&mut breaker, again), Admission::Probe);
    told(&mut breaker, again, Admission::Probe, Verdict::Good);
    assert_eq!(breaker.state(again), State::Closed);
}

#[test]
fn a_probe_that_nobody_waited_for_lets_the_next_one_try() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let later = start + seconds(5);
    assert_eq!(admit(&mut breaker, later), Admission::Probe);
    told(&mut breaker, later, Admission::Probe, Verdict::Unknown);
    assert_eq!(admit(&mut breaker, later), Admission::Probe);
}

#[test]
fn a_late_call_from_before_changes_nothing() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let later = start + seconds(5);
    assert_eq!(admit(&mut breaker, later), Admission::Probe);
    assert_eq!(told(&mut breaker, later, Admission::Call, Verdict::Bad), None);
    assert!(matches!(admit(&mut breaker, later), Admission::Refused(_)));
}

/// How long each of so many relapses in a row leaves it open, and the time
/// when the last one is over.
fn relapses(breaker: &mut Breaker, mut now: Instant, times: usize) -> (Vec<Duration>, Instant) {
    let opened = (0..times).map(|_| {
        assert_eq!(admit(breaker, now), Admission::Probe);
        let open_for = told(breaker, now, Admission::Probe, Verdict::Bad).unwrap();
        now += open_for;
        open_for
    });
    (opened.collect(), now)
}

#[test]
fn each_relapse_doubles_the_time_up_to_a_bound() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let (times, _) = relapses(&mut breaker, start + seconds(5), 7);
    for (time, most) in times.into_iter().zip([10, 20, 40, 60, 60, 60, 60].map(seconds)) {
        assert!(time >= most * 3 / 4 && time <= most, "{time:?} of {most:?}");
    }
}

#[test]
fn a_relapse_after_a_good_time_counts_less() {
    let start = Instant::now();
    for (good_for, doublings) in [(0, 3), (11, 2), (21, 1), (31, 0), (3600, 0)] {
        let mut breaker = opened(start);
        let (_, end) = relapses(&mut breaker, start + seconds(5), 2);
        assert_eq!(admit(&mut breaker, end), Admission::Probe);
        assert_eq!(told(&mut breaker, end, Admission::Probe, Verdict::Good), None);
        let later = end + seconds(good_for);
        let again = (0..4).find_map(|_| told(&mut breaker, later, Admission::Call, Verdict::Bad)).unwrap();
        let most = RULE.recovery * (1 << doublings);
        assert!(again >= most * 3 / 4 && again <= most, "{again:?} after {good_for} s, not {most:?}");
    }
}

#[test]
fn those_that_relapse_together_are_not_tried_together() {
    let rule = Rule { minimum_calls: 1, ..RULE };
    let mut random = random();
    let times: std::collections::HashSet<_> = (0..20).map(|_| recovery(&rule, 2, &mut random)).collect();
    assert!(times.len() > 10, "{times:?}");
}

#[test]
fn with_nothing_else_to_call_only_the_first_recovery_is_waited_for() {
    let start = Instant::now();
    let mut breaker = opened(start);
    let (_, end) = relapses(&mut breaker, start + seconds(5), 4);
    let (times, _) = relapses(&mut breaker, end, 1);
    assert!(times[0] > seconds(40));
    let later = end + seconds(5);
    assert!(matches!(breaker.peek(later, Resort::First), Admission::Refused(_)));
    assert_eq!(breaker.peek(later - seconds(1), Resort::Last), Admission::Refused(seconds(1)));
    assert_eq!(breaker.admit(later, Resort::Last), Admission::Probe);
    breaker.give_back(Admission::Probe);
    assert!(matches!(breaker.peek(later, Resort::First), Admission::Refused(_)), "others still wait");
}
