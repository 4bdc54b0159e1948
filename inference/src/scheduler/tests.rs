//! Turns on a virtual clock: every turn takes the time that its speech costs.

mod simulation;

use simulation::{PIECES, Server, Text, WORK, simulate};

use super::*;
use crate::callers::tests::claim;

/// What callers ask for who keep to their share, over their share: at random, so
/// that they are above it at times, too.
const LIGHT: f64 = 0.7;

/// Numbers between 0 and 1, always the same ones.
fn random(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Texts of 2 to 8 s from one caller, so many seconds of speech a second, for
/// a hundred seconds.
fn texts_of(name: &str, seconds_a_second: f64, seed: u64) -> Vec<Text> {
    let (mut random, mut at, mut texts) = (random(seed), 0.0, Vec::new());
    loop {
        at += (0.5 + random()) * 5.0 / seconds_a_second;
        if at > 100.0 {
            return texts;
        }
        texts.push(Text { at, claim: claim("", name, 1), seconds: 2.0 + 6.0 * random() });
    }
}

fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share) as usize]
}

/// The 99th percentile of first audio for nine callers that keep to their share,
/// beside a tenth that asks for so many times its own; and how much was used.
fn beside_a_tenth(times: f64, threads: usize, cores: usize) -> (f64, f64) {
    let share = cores as f64 / WORK / 10.0;
    let mut texts: Vec<Text> =
        (0..9).flat_map(|n| texts_of(&n.to_string(), share * LIGHT, 100 + n)).collect();
    texts.extend(texts_of("tenth", share * times, 7));
    texts.sort_by(|a, b| a.at.total_cmp(&b.at));
    let outcome = simulate(Server::patient(threads, cores), &texts);
    let others = texts.iter().zip(&outcome.first).filter(|(text, _)| &*text.claim.caller.name != "tenth");
    (percentile(others.map(|(_, first)| *first).collect(), 0.99), outcome.used)
}

#[test]
fn a_caller_at_ten_times_its_share_is_not_noticed_by_the_others() {
    for cores in [1, 2, 4] {
        let (alone, _) = beside_a_tenth(LIGHT, 16 * cores, cores);
        let (beside, used) = beside_a_tenth(10.0, 16 * cores, cores);
        println!("{cores} cores: {alone:.3} s, {beside:.3} s beside it, {used:.3} used");
        assert!(beside <= 1.1 * alone, "{cores} cores: {alone} s became {beside} s");
        assert!(used >= 0.95, "{cores} cores: {used} used");
    }
}

#[test]
fn where_threads_are_few_the_others_wait_for_two_pieces_more_at_most() {
    for cores in [1, 2] {
        let (alone, _) = beside_a_tenth(LIGHT, 8, cores);
        let (beside, used) = beside_a_tenth(10.0, 8, cores);
        println!("{cores} cores: {alone:.3} s, {beside:.3} s beside it, {used:.3} used");
        assert!(beside <= alone + 2.0 * PIECES[2] * WORK, "{cores} cores: {alone} s became {beside} s");
        assert!(used >= 0.95, "{cores} cores: {used} used");
    }
}

#[test]
fn a_short_text_waits_for_one_piece_of_a_long_one() {
    let text = |at, name: &str, seconds| Text { at, claim: claim("", name, 1), seconds };
    let outcome =
        simulate(Server::patient(4, 1), &[text(0.0, "a", 100.0), text(5.0, "b", 2.0), text(5.0, "a", 2.0)]);
    let (piece, first_piece) = (2.0 * WORK, 0.5 * WORK);
    assert!(outcome.first[1] <= piece + first_piece + 1e-9, "{}", outcome.first[1]);
    assert!(outcome.first[2] <= 2.0 * (piece + first_piece), "its own long text is no exception");
}

#[test]
fn first_audio_comes_before_more_audio_of_the_same_caller() {
    let texts: Vec<Text> = (0..8).map(|_| Text { at: 0.0, claim: claim("", "", 1), seconds: 10.0 }).collect();
    let outcome = simulate(Server::patient(8, 1), &texts);
    assert!(percentile(outcome.first, 1.0) <= 8.0 * 0.05 + 1e-9);
}

#[test]
fn tiers_are_served_by_their_weights() {
    let texts = |tier, weight| {
        (0..40).map(move |_| Text { at: 0.0, claim: claim(tier, tier, weight), seconds: 10.0 })
    };
    let texts: Vec<Text> = texts("gold", 3).chain(texts("free", 1)).collect();
    let outcome = simulate(Server::patient(8, 1), &texts);
    let gold = percentile(outcome.last[..40].to_vec(), 1.0);
    let by_then = outcome.last[40..].iter().filter(|last| **last <= gold).count();
    assert!((10..=15).contains(&by_then), "a third of what gold had was {by_then} of 40");
}

#[test]
fn long_texts_take_half_of_the_threads_and_wait_while_they_are_ahead() {
    let long = Claim { long: true, ..claim("", "", 1) };
    let (mut scheduler, now) = (Scheduler::new(4, 1), Instant::now());
    let longs = [(); 4].map(|()| scheduler.enter(&long, 1.0, 100.0, now));
    for begun in &longs[..2] {
        assert_eq!(scheduler.next(now), Some(*begun));
        scheduler.park(*begun, 0.5, now);
    }
    assert_eq!(scheduler.next(now), None);
    let short = scheduler.enter(&claim("", "", 1), 1.0, 2.0, now);
    assert_eq!(scheduler.next(now), Some(short));

    let mut scheduler = Scheduler::new(4, 1);
    let ahead = scheduler.enter(&long, 1.0, 100.0, now);
    assert_eq!(scheduler.next(now), Some(ahead));
    let short = scheduler.enter(&claim("", "", 1), 1.0, 2.0, now);
    scheduler.pass(ahead, 0.5, now);
    assert_eq!(scheduler.next(now), Some(short));
    scheduler.pass(short, 1.0, now);
    assert_eq!(scheduler.next(now), Some(short), "although more of it has been heard");
    scheduler.pass(short, 0.5, now);
    let later = now + Duration::from_secs(1);
    assert_eq!(scheduler.next(later), Some(ahead), "its audio has run out");
}

#[test]
fn a_caller_beside_others_leaves_threads_to_them() {
    let (mut scheduler, now) = (Scheduler::new(6, 2), Instant::now());
    let heavy = [(); 4].map(|()| scheduler.enter(&claim("", "heavy", 1), 0.5, 10.0, now));
    for id in &heavy[..3] {
        assert_eq!(scheduler.next(now), Some(*id));
        scheduler.park(*id, 0.5, now);
    }
    assert_eq!(scheduler.next(now), None, "its clients read slowly, and it has enough");
    let light = scheduler.enter(&claim("", "light", 1), 0.5, 10.0, now);
    assert_eq!(scheduler.next(now), Some(light));
}

/// The storm's texts at three times what a pod with half a core can do, for so
/// many seconds: a sentence or two, and one in twelve of 36 s.
fn three_times_the_load(seconds: f64, work: f64) -> Vec<Text> {
    let (mut random, mut at, mut texts) = (random(3), 0.0, Vec::new());
    let mean = (11.0 * 4.3 + 36.0) / 12.0;
    while at < seconds {
        let length = if texts.len() % 12 == 11 { 36.0 } else { 2.9 * (1 + texts.len() % 2) as f64 };
        texts.push(Text { at, claim: claim("", "", 1), seconds: length });
        at += 2.0 * random() * mean * work / 3.0;
    }
    texts
}

#[test]
fn at_three_times_the_load_answers_begin_every_second_and_are_not_late() {
    let server = Server { threads: 8, cores: 1, work: 0.032, patience: 1.0 };
    let texts = three_times_the_load(30.0, server.work);
    let outcome = simulate(server, &texts);
    let made: f64 = outcome.pieces.iter().filter(|(at, _)| *at < 30.0).map(|(_, made)| made).sum();
    let goodput = made * server.work / 30.0;
    let begun = texts.iter().zip(&outcome.first).map(|(text, first)| text.at + first);
    let mut begun: Vec<f64> = begun.filter(|at| *at < 30.0).collect();
    begun.sort_by(f64::total_cmp);
    let gap = begun.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    let spoken: Vec<f64> = outcome.first.iter().copied().filter(|first| !first.is_nan()).collect();
    let (count, latest) = (spoken.len(), percentile(spoken, 1.0));
    println!(
        "{count} of {} spoken, {} refused at once, goodput {goodput:.3}, gap {gap:.2} s, latest first audio {latest:.2} s, last {:.2} s, longest silence {:.2} s",
        texts.len(),
        outcome.refused,
        percentile(outcome.last.into_iter().filter(|last| !last.is_nan()).collect(), 1.0),
        outcome.silence,
    );
    assert!(goodput >= 0.95, "{goodput}");
    assert!(gap < 1.0, "{gap}");
    assert!(latest < 1.5, "{latest}");
    assert!(outcome.silence < 2.0, "{}", outcome.silence);
}

#[test]
fn no_more_turns_are_given_than_there_are_cores() {
    let (mut scheduler, now) = (Scheduler::new(4, 1), Instant::now());
    let [one, two] = [(); 2].map(|()| scheduler.enter(&claim("", "", 1), 1.0, 10.0, now));
    assert_eq!([scheduler.next(now), scheduler.next(now)], [Some(one), None]);
    scheduler.park(one, 0.5, now);
    assert_eq!(scheduler.next(now), Some(two), "who waits for its client has no turn");
    scheduler.leave(two);
    scheduler.resume(one);
    assert_eq!(scheduler.next(now), Some(one));
    scheduler.leave(one);
    assert_eq!((scheduler.next(now), scheduler.callers.len()), (None, 0));
}

#[test]
fn a_bulky_text_that_would_wait_says_nothing_of_short_ones() {
    let (mut scheduler, now) = (Scheduler::new(4, 1), Instant::now());
    let heavy = claim("", "heavy", 1);
    for _ in 0..3 {
        let id = scheduler.enter(&heavy, 0.5, 60.0, now);
        if scheduler.next(now) == Some(id) {
            scheduler.park(id, 0.5, now);
        }
    }
    let later = now + Duration::from_secs(2);
    let bulky = scheduler.outlook(&heavy.caller, 0.5, true, later);
    assert!(bulky.wait >= Duration::from_secs(2) && bulky.newcomer == Duration::ZERO, "{bulky:?}");
    assert_eq!(scheduler.outlook(&heavy.caller, 0.5, false, later).wait, Duration::ZERO);
}
