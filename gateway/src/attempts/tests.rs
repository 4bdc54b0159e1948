use std::cell::{Cell, RefCell};

use ttsfleet_wire::route::RouteTable;

use super::*;
use crate::{health::Health, route::sample};

mod overload;
mod traffic;

/// What a pod does, by the last number of its address: 1 and 2 are the main
/// pool's, 11 and 12 the backup's.
type Behaviour = fn(u8) -> Play;

enum Play {
    Answer(Duration),
    Decline,
    Full,
    Unreachable,
    Fail,
    Hang,
}

const SOON: Duration = Duration::from_millis(200);

fn pool(name: &str, pods: &[u8]) -> Arc<Pool> {
    let pool = Arc::new(Pool::new(name));
    let endpoint = |number: &u8| Endpoint::new(address(*number), format!("uid-{number}"));
    pool.set_endpoints(pods.iter().map(endpoint).collect());
    pool
}

fn address(number: u8) -> SocketAddr {
    ([10, 0, 0, number], 8080).into()
}

struct Run {
    ended: Result<(u8, u32), Exhausted>,
    called: Vec<u8>,
    took: Duration,
}

async fn run_with(pools: Vec<Arc<Pool>>, budget: &RetryBudget, behaviour: Behaviour) -> Run {
    run_on(Route::new(sample()).unwrap(), pools, budget, behaviour).await
}

async fn run_on(
    route: Route,
    pools: Vec<Arc<Pool>>,
    budget: &RetryBudget,
    behaviour: impl Fn(u8) -> Play,
) -> Run {
    let route = Arc::new(route);
    let called = RefCell::new(Vec::new());
    let begun = Instant::now();
    let ended = Attempts::new(&route, budget, pools)
        .run(async |address, time| {
            let SocketAddr::V4(address) = address else { unreachable!() };
            let number = address.ip().octets()[3];
            called.borrow_mut().push(number);
            let failed = |code| Failure::new(code, "on purpose");
            match behaviour(number) {
                Play::Answer(after) => {
                    tokio::time::sleep(after).await;
                    Outcome::Answer(number)
                }
                Play::Decline => Outcome::Declined(number),
                Play::Full => {
                    let failure = failed(ErrorCode::TooManyRequests);
                    Outcome::Full(Refusal { failure, over_share: false })
                }
                Play::Unreachable => Outcome::Unreachable(failed(ErrorCode::UpstreamFailed)),
                Play::Fail => Outcome::Failed(failed(ErrorCode::InferenceFailed)),
                Play::Hang => {
                    tokio::time::sleep(time).await;
                    Outcome::Failed(failed(ErrorCode::UpstreamTimeout))
                }
            }
        })
        .await;
    let ended = ended.map(|answered| (answered.answer, answered.attempts));
    Run { ended, called: called.into_inner(), took: begun.elapsed() }
}

async fn run(behaviour: Behaviour) -> Run {
    let pools = vec![pool("main", &[1, 2]), pool("backup", &[11, 12])];
    run_with(pools, &RetryBudget::new(now()), behaviour).await
}

#[tokio::test(start_paused = true)]
async fn the_first_answer_is_taken() {
    let run = run(|_| Play::Answer(SOON)).await;
    let (pod, attempts) = run.ended.unwrap();
    assert!(pod <= 2 && attempts == 1 && run.took == SOON);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_pool_costs_two_attempts_and_then_the_backup_speaks() {
    let run = run(|pod| if pod <= 2 { Play::Hang } else { Play::Answer(SOON) }).await;
    assert!(matches!(run.ended, Ok((11 | 12, 3))), "{:?}", run.called);
    assert_ne!(run.called[0], run.called[1], "the second attempt goes to another pod");
    // The second pod is asked when the first is late, and both have their time.
    assert!(run.took >= Duration::from_millis(4500) && run.took < Duration::from_secs(6), "{:?}", run.took);
}

#[tokio::test(start_paused = true)]
async fn all_attempts_end_within_the_total_time() {
    let run = run(|_| Play::Hang).await;
    let exhausted = run.ended.unwrap_err();
    assert_eq!(exhausted.failure.code, ErrorCode::UpstreamTimeout);
    assert!(!exhausted.refused);
    assert!(run.took <= Duration::from_secs(9), "{:?}", run.took);
    assert_eq!(run.called.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_request_is_not_tried_elsewhere() {
    let run = run(|_| Play::Decline).await;
    assert!(run.ended.is_ok() && run.called.len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_pod_is_passed_over_at_once() {
    let run = run(|pod| if pod <= 2 { Play::Full } else { Play::Answer(Duration::ZERO) }).await;
    assert!(matches!(run.ended, Ok((11 | 12, 1))), "{:?}", run.called);
    assert_eq!((run.called.len(), run.took), (3, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn where_all_are_full_the_refusal_is_immediate_and_says_so() {
    let run = run(|_| Play::Full).await;
    let exhausted = run.ended.unwrap_err();
    assert!(exhausted.refused && exhausted.attempts == 0);
    assert_eq!(exhausted.failure.code, ErrorCode::TooManyRequests);
    assert_eq!((run.called.len(), run.took), (MOST_FULL, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_its_pod_waits_for_room_in_another() {
    let calls = Cell::new(0);
    let full_at_first = |pod| {
        calls.set(calls.get() + u32::from(pod == 2));
        match (pod, calls.get()) {
            (1, _) => Play::Unreachable,
            (_, 1 | 2) => Play::Full,
            _ => Play::Answer(SOON),
        }
    };
    for _ in 0..20 {
        calls.set(0);
        let route = Route::new(sample()).unwrap();
        let run = run_on(route, vec![pool("main", &[1, 2])], &RetryBudget::new(now()), full_at_first).await;
        assert_eq!(run.ended, Ok((2, 2)), "{:?}", run.called);
        assert_eq!(run.called.iter().filter(|pod| **pod == 1).count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_lost_its_pod_is_refused_in_the_end_if_the_others_stay_full() {
    let plays = |pod| if pod == 1 { Play::Unreachable } else { Play::Full };
    let run = run_with(vec![pool("main", &[1, 2])], &RetryBudget::new(now()), plays).await;
    let exhausted = run.ended.unwrap_err();
    assert!(exhausted.refused && exhausted.failure.code == ErrorCode::TooManyRequests, "{exhausted:?}");
    // Three pauses, the longest of them 500, 1,000 and 2,000 ms.
    let Run { called, took, .. } = run;
    assert!(called.len() <= 6 && took <= Duration::from_millis(3500), "{called:?} {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_cannot_be_reached_costs_no_pause() {
    let run = run(|pod| if pod == 1 { Play::Unreachable } else { Play::Answer(Duration::ZERO) }).await;
    assert!(run.ended.is_ok());
    assert_eq!(run.took, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_single_pod_is_tried_again_after_a_pause() {
    let calls = RetryBudget::new(now());
    let run = run_with(vec![pool("main", &[1])], &calls, |_| Play::Fail).await;
    let exhausted = run.ended.unwrap_err();
    assert_eq!((exhausted.attempts, exhausted.failure.code), (3, ErrorCode::InferenceFailed));
    assert_eq!(run.called, [1, 1, 1]);
    assert!(run.took > Duration::ZERO && run.took <= Duration::from_millis(500 + 1000), "{:?}", run.took);
}

#[tokio::test(start_paused = true)]
async fn without_budget_there_is_no_retry() {
    let budget = RetryBudget::new(now());
    while budget.withdraw(now()) {}
    let pools = vec![pool("main", &[1, 2])];
    let run = run_with(pools, &budget, |_| Play::Fail).await;
    assert_eq!((run.ended.unwrap_err().attempts, run.called.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fleet_that_allows_no_retries_gets_none() {
    let mut table = sample();
    table.retries.budget_percent = 0;
    for play in [|_| Play::Fail, |_| Play::Hang] as [Behaviour; 2] {
        let (budget, pools) = (RetryBudget::new(now()), vec![pool("main", &[1, 2])]);
        let run = run_on(Route::new(table.clone()).unwrap(), pools, &budget, play).await;
        assert_eq!((run.ended.unwrap_err().attempts, run.called.len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn without_pods_the_refusal_names_it() {
    let budget = RetryBudget::new(now());
    let run = run_with(vec![pool("main", &[])], &budget, |_| Play::Hang).await;
    assert_eq!(run.ended.unwrap_err().failure.code, ErrorCode::NoEndpoint);
}

#[tokio::test(start_paused = true)]
async fn with_every_breaker_open_the_caller_hears_when_to_come_back() {
    let budget = RetryBudget::new(now());
    let main = pool("main", &[1]);
    for _ in 0..2 {
        run_with(vec![Arc::clone(&main)], &budget, |_| Play::Fail).await;
    }
    let run = run_with(vec![main], &budget, |_| Play::Fail).await;
    let exhausted = run.ended.unwrap_err();
    assert_eq!(exhausted.failure.code, ErrorCode::SystemBusy);
    assert!(exhausted.refused && run.called.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_lost_while_it_is_waited_for_is_left_at_once() {
    let main = pool("main", &[1, 2]);
    let pods = main.endpoints();
    let lose = tokio::spawn(async move {
        tokio::time::sleep(SOON).await;
        // Whichever of the two was chosen.
        pods.iter().filter(|pod| pod.outstanding() > 0).for_each(|pod| pod.unreachable(now()));
    });
    let budget = RetryBudget::new(now());
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let route = Arc::new(Route::new(sample()).unwrap());
    let begun = Instant::now();
    let answered = Attempts::new(&route, &budget, vec![main])
        .run(async |_, time| {
            if asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                tokio::time::sleep(time).await;
            }
            Outcome::Answer(())
        })
        .await;
    lose.await.unwrap();
    assert_eq!(answered.map(|answered| answered.attempts).unwrap(), 2);
    assert_eq!(begun.elapsed(), SOON);
}

/// Pods of the main pool, the first of which to be asked hangs, and the others
/// do as told.
async fn late(route: RouteTable, pods: &[u8], then: fn() -> Play) -> (Run, Arc<Pool>, RetryBudget) {
    let main = pool("main", pods);
    let budget = RetryBudget::new(now());
    let run = late_in(route, &main, &budget, then).await;
    (run, main, budget)
}

async fn late_in(table: RouteTable, main: &Arc<Pool>, budget: &RetryBudget, then: fn() -> Play) -> Run {
    let first = Cell::new(true);
    let pools = vec![Arc::clone(main), pool("backup", &[11])];
    run_on(Route::new(table).unwrap(), pools, budget, |_| if first.take() { Play::Hang } else { then() })
        .await
}

#[tokio::test(start_paused = true)]
async fn a_second_pod_is_asked_when_the_first_is_late_and_the_first_audio_wins() {
    let (run, main, budget) = late(sample(), &[1, 2], || Play::Answer(SOON)).await;
    let (pod, attempts) = run.ended.unwrap();
    assert_eq!((run.called.len(), attempts), (2, 2));
    assert_eq!(pod, run.called[1]);
    assert_eq!(run.took, Duration::from_millis(1500) + SOON);
    assert!(main.endpoints().iter().all(|pod| pod.outstanding() == 0), "the loser's work has ended");
    let spare = std::iter::repeat_with(|| budget.withdraw_spare(now()));
    assert_eq!(spare.take_while(|allowed| *allowed).count(), 4, "one was paid for");
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_usually_quick_is_waited_for_less() {
    let main = pool("main", &[1, 2]);
    let budget = RetryBudget::new(now());
    for _ in 0..20 {
        run_with(vec![Arc::clone(&main)], &budget, |_| Play::Answer(SOON)).await;
    }
    let run = late_in(sample(), &main, &budget, || Play::Answer(SOON)).await;
    assert_eq!(run.took, SOON + SOON);
}

#[tokio::test(start_paused = true)]
async fn a_second_pod_that_is_full_costs_nothing_and_a_third_is_asked() {
    let main = pool("main", &[1, 2, 3]);
    let budget = RetryBudget::new(now());
    let calls = Cell::new(0);
    let play = |_| {
        calls.set(calls.get() + 1);
        [Play::Hang, Play::Full, Play::Answer(SOON)].into_iter().nth(calls.get() - 1).unwrap()
    };
    let run = run_on(Route::new(sample()).unwrap(), vec![main], &budget, play).await;
    assert_eq!(run.ended.unwrap().1, 2, "a refusal is no attempt");
    assert_eq!(run.called.len(), 3);
    let spare = std::iter::repeat_with(|| budget.withdraw_spare(now()));
    assert_eq!(spare.take_while(|allowed| *allowed).count(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_second_pod_that_finds_the_request_at_fault_is_believed() {
    let (run, ..) = late(sample(), &[1, 2], || Play::Decline).await;
    assert!(run.ended.is_ok() && run.called.len() == 2);
    assert_eq!(run.took, Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn a_second_pod_that_fails_leaves_the_first_its_time() {
    let (run, ..) = late(sample(), &[1, 2], || Play::Fail).await;
    assert!(run.took >= Duration::from_secs(3), "{:?}", run.took);
    assert!(run.ended.is_err() && run.called.len() == 3);
}

#[tokio::test(start_paused = true)]
async fn the_backup_is_not_asked_because_the_only_pod_is_late() {
    let (run, ..) = late(sample(), &[1], || Play::Answer(SOON)).await;
    assert!(run.took >= Duration::from_secs(3), "{:?}", run.took);
    assert_eq!(run.called[0], 1);
}

#[tokio::test(start_paused = true)]
async fn no_second_pod_is_asked_where_only_one_attempt_is_allowed_or_nothing_is_saved() {
    let mut table = sample();
    table.retries.attempts = 1;
    let (run, ..) = late(table, &[1, 2], || Play::Answer(SOON)).await;
    assert_eq!(run.called.len(), 1);

    let budget = RetryBudget::new(now());
    while budget.withdraw(now()) {}
    let run = late_in(sample(), &pool("main", &[1, 2]), &budget, || Play::Answer(SOON)).await;
    assert!(run.took >= Duration::from_secs(3), "{:?}", run.took);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_given_up_counts_as_late_as_it_was_and_the_second_ones_time_counts_nothing() {
    let (main, budget) = (pool("main", &(1..=60).collect::<Vec<_>>()), RetryBudget::new(now()));
    for _ in 0..20 {
        let run = late_in(sample(), &main, &budget, || Play::Answer(SOON)).await;
        assert_eq!(run.took, Duration::from_millis(1500) + SOON);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(main.usual_wait(), Some(Duration::from_millis(1500) + SOON));
}

#[tokio::test(start_paused = true)]
async fn no_second_pod_is_asked_while_callers_are_turned_away() {
    let (main, budget) = (pool("main", &[1, 2]), RetryBudget::new(now()));
    let turned_away = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        main.turn_away(now());
    };
    let (run, ()) = tokio::join!(late_in(sample(), &main, &budget, || Play::Answer(SOON)), turned_away);
    assert!(run.took >= Duration::from_secs(3), "{:?}", run.took);
    assert!(!main.is_pressed(), "that is over");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_asked_for_once_at_a_time() {
    let route = Arc::new(Route::new(sample()).unwrap());
    let budget = RetryBudget::new(now());
    let main = pool("main", &[1, 2]);
    let begun = Instant::now();
    let attempts = Attempts::new(&route, &budget, vec![Arc::clone(&main)]).without_hedges();
    let answered = attempts.run(async |_, _| {
        tokio::time::sleep(2 * SOON + Duration::from_secs(2)).await;
        Outcome::Answer(())
    });
    assert_eq!(answered.await.map(|answered| answered.attempts).unwrap(), 1);
    assert_eq!(begun.elapsed(), 2 * SOON + Duration::from_secs(2));
    assert_eq!(main.usual_wait(), None);
}

#[tokio::test(start_paused = true)]
async fn pods_known_to_be_full_are_not_asked_again() {
    let main = pool("main", &[1, 2]);
    let budget = RetryBudget::new(now());
    let run = run_with(vec![Arc::clone(&main)], &budget, |_| Play::Full).await;
    assert_eq!(run.called.len(), 2);
    let run = run_with(vec![main], &budget, |_| Play::Full).await;
    let exhausted = run.ended.unwrap_err();
    assert!(exhausted.refused && run.called.is_empty());
    assert_eq!(exhausted.failure.code, ErrorCode::TooManyRequests);
}
