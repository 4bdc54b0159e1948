//! Many callers at once, while pods die, fall silent or stop.

use std::cell::RefCell;

use rand::{SeedableRng, rngs::SmallRng};
use tokio::sync::Notify;

use super::*;
use crate::{breaker::State, health::Check};

/// What a caller saw.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// When it came, since the traffic began.
    pub(super) came: Duration,
    pub(super) answered: bool,
    /// Whether it was told that there is no room.
    pub(super) refused: bool,
    pub(super) attempts: u32,
    pub(super) took: Duration,
}

/// So many callers, so many a second.
pub(super) async fn traffic<F: Future<Output = Outcome<()>>>(
    table: RouteTable,
    main: &Arc<Pool>,
    (callers, a_second): (u32, f64),
    send: impl Fn(SocketAddr, Duration) -> F,
) -> Vec<Seen> {
    let route = Arc::new(Route::new(table).unwrap());
    let (budget, begun) = (RetryBudget::new(now()), Instant::now());
    let callers = (0..callers).map(async |caller| {
        let came = Duration::from_secs_f64(f64::from(caller) / a_second);
        tokio::time::sleep_until(begun + came).await;
        let ended = Attempts::new(&route, &budget, vec![Arc::clone(main)]).run(&send).await;
        let (answered, refused, attempts) = match ended {
            Ok(answered) => (true, false, answered.attempts),
            Err(exhausted) => (false, exhausted.refused, exhausted.attempts),
        };
        Seen { came, answered, refused, attempts, took: begun.elapsed() - came }
    });
    futures::future::join_all(callers).await
}

/// Times drawn at random, the same ones in each run.
fn times(range: std::ops::Range<u64>) -> impl Fn() -> Duration {
    let random = RefCell::new(SmallRng::seed_from_u64(7));
    move || Duration::from_millis(random.borrow_mut().random_range(range.clone()))
}

fn failed(code: ErrorCode) -> Failure {
    Failure::new(code, "on purpose")
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_dies_with_a_hundred_requests_under_way_costs_no_caller_its_answer() {
    let mut table = sample();
    table.breaker.threshold_ms = 2500;
    let main = pool("main", &[1, 2, 3]);
    let dying = Arc::clone(&main.endpoints()[0]);
    let (died, is_dead, lost) = (Notify::new(), Cell::new(false), Cell::new(0));
    let time = times(1500..2000);
    let death = async {
        tokio::time::sleep(Duration::from_secs(12)).await;
        lost.set(dying.outstanding());
        is_dead.set(true);
        died.notify_waiters();
    };
    let send = async |pod: SocketAddr, _| {
        if pod != dying.address {
            tokio::time::sleep(time()).await;
            return Outcome::Answer(());
        }
        if is_dead.get() {
            return Outcome::Unreachable(failed(ErrorCode::UpstreamFailed));
        }
        tokio::select! {
            () = tokio::time::sleep(time()) => Outcome::Answer(()),
            () = died.notified() => Outcome::Disconnected(failed(ErrorCode::UpstreamFailed)),
        }
    };
    let (callers, ()) = tokio::join!(traffic(table, &main, (4000, 200.0), send), death);
    assert!(lost.get() >= 100, "{} under way", lost.get());
    let unanswered = callers.iter().filter(|caller| !caller.answered).count();
    assert!(unanswered * 1000 <= callers.len(), "{unanswered} of {}", callers.len());
    assert!(callers.iter().all(|caller| caller.took < Duration::from_secs(4)), "no pause was made");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_falls_silent_is_found_out_though_the_other_always_comes_to_the_rescue() {
    let main = pool("main", &[1, 2]);
    let mute = main.endpoints()[0].address;
    let falls_silent = Instant::now() + Duration::from_secs(20);
    let time = times(150..250);
    let send = async |pod: SocketAddr, most| {
        if pod == mute && Instant::now() >= falls_silent {
            tokio::time::sleep(most).await;
            return Outcome::Failed(failed(ErrorCode::UpstreamTimeout));
        }
        tokio::time::sleep(time()).await;
        Outcome::Answer(())
    };
    let callers = traffic(sample(), &main, (800, 10.0), send).await;
    assert!(callers.iter().all(|caller| caller.answered));
    let pay = |from: u64, to: u64| {
        let came = |caller: &&Seen| (from..to).contains(&caller.came.as_secs());
        callers
            .iter()
            .filter(came)
            .filter(|caller| caller.took > 2 * SOON - Duration::from_millis(50))
            .count()
    };
    // Five find it out; then one each time that it may be better.
    assert!(pay(20, 25) <= 8, "{}", pay(20, 25));
    assert!(pay(25, 80) <= 6, "{}", pay(25, 80));
}

#[tokio::test(start_paused = true)]
async fn pods_that_stall_at_times_are_not_condemned_for_losing() {
    let main = pool("main", &[1, 2, 3]);
    let (time, chance) = (times(150..250), times(0..100));
    let (worst, pods) = (Cell::new(State::Closed), main.endpoints());
    let send = async |_, _| {
        let stall = if chance().as_millis() < 6 { Duration::from_secs(1) } else { Duration::ZERO };
        tokio::time::sleep(time() + stall).await;
        if pods.iter().any(|pod| pod.state(now()) != State::Closed) {
            worst.set(State::Open);
        }
        Outcome::Answer(())
    };
    let callers = traffic(sample(), &main, (3000, 10.0), send).await;
    let hedged = callers.iter().filter(|caller| caller.attempts > 1).count();
    assert!((150..=250).contains(&hedged), "{hedged} races");
    assert_eq!(worst.get(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn pods_that_change_their_model_in_turn_lose_nothing_and_are_not_condemned() {
    let main = pool("main", &[1, 2]);
    let pods = main.endpoints();
    let time = times(600..1200);
    let to_unready = Cell::new(0);
    let send = async |pod: SocketAddr, _| {
        let endpoint = pods.iter().find(|one| one.address == pod).unwrap();
        to_unready.update(|calls| calls + u32::from(endpoint.health() != Health::Ready));
        tokio::time::sleep(time()).await;
        Outcome::Answer(())
    };
    // Each says for five seconds that it is not ready, and then that it is.
    let swaps = async {
        for pod in pods.iter() {
            tokio::time::sleep(Duration::from_secs(5)).await;
            for _ in 0..10 {
                pod.checked(Check::Unready, now());
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            pod.checked(Check::Ready, now());
        }
    };
    let (callers, ()) = tokio::join!(traffic(sample(), &main, (1000, 40.0), send), swaps);
    assert!(callers.iter().all(|caller| caller.answered && caller.took < Duration::from_millis(2500)));
    let again = callers.iter().filter(|caller| caller.attempts > 1).count();
    assert!(again < 100, "{again} were hedged, as always, and no more");
    assert_eq!(to_unready.get(), 0);
    assert!(pods.iter().all(|pod| pod.state(now()) == State::Closed));
}
