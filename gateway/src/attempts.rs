//! The attempt loop: which pod next, how long to wait for it, when to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use rand::Rng;
use tokio::time::Instant;
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::{
    breaker::Verdict,
    budget::RetryBudget,
    endpoint::{Call, Endpoint},
    pool::{NoCall, Pool},
    route::Route,
};

/// Pods asked in one pool before the next pool's turn comes.
const CALLS_IN_A_POOL: usize = 2;
/// Pods that may say that they are full before the caller is told so. Asking
/// on and on would multiply a load that is already too high.
const MOST_FULL: usize = 4;
/// No second pod is asked sooner than this, however quick the pool is of late.
const SOONEST_HEDGE: Duration = Duration::from_millis(50);
/// An attempt with less time than this is not worth making.
const SHORTEST: Duration = Duration::from_millis(50);

/// What became of one attempt.
#[derive(Debug)]
pub enum Outcome<T> {
    /// There is audio.
    Answer(T),
    /// The pod found the request itself at fault; no other pod would not.
    Declined(T),
    /// The pod takes no more for now: not a failure, and not worth a pause.
    Full(Failure),
    /// No connection, or the pod has stopped answering anything: not worth a
    /// pause, as another pod is asked.
    Unreachable(Failure),
    /// The pod failed, or had no audio in time.
    Failed(Failure),
}

/// An answer, and how it was come by.
pub struct Answered<T> {
    /// The answer.
    pub answer: T,
    /// The call it belongs to, still under way.
    pub call: Call,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// How the caller's first attempt failed, if it was not this one.
    pub failed_first: Option<FirstFailure>,
}

/// How the first attempt failed of which something came that tells of the
/// model: no pod that was full, late or not there, and none that was given up
/// because another one was quicker.
#[derive(Debug, Clone)]
pub struct FirstFailure {
    /// The pool it was made in.
    pub pool: Arc<Pool>,
    /// What it failed with.
    pub code: ErrorCode,
}

/// There is no answer.
#[derive(Debug, PartialEq)]
pub struct Exhausted {
    /// What to tell the caller.
    pub failure: Failure,
    /// Whether the fleet refuses for want of room: the caller should come back
    /// later, and nothing else would help.
    pub refused: bool,
    /// Attempts made.
    pub attempts: u32,
}

/// What the loop works with.
pub struct Attempts<'a> {
    route: &'a Arc<Route>,
    budget: &'a RetryBudget,
    pools: Vec<Arc<Pool>>,
    deadline: Instant,
    /// Place of the pool whose turn it is, and calls made there.
    turn: (usize, usize),
    tried: Vec<Arc<Endpoint>>,
    full: Vec<Arc<Endpoint>>,
    /// Pods that are being asked.
    asked: Vec<Arc<Endpoint>>,
    /// When a second one is.
    hedge_at: Option<Instant>,
    hedges: bool,
    attempts: u32,
    /// Calls sent, whatever became of them.
    sent: u32,
    /// The failure of the call that was sent first of those that failed, and
    /// that call's number.
    first_failure: Option<(u32, FirstFailure)>,
    last: Option<(Failure, bool)>,
}

impl<'a> Attempts<'a> {
    /// Attempts at the pools in their order.
    pub fn new(route: &'a Arc<Route>, budget: &'a RetryBudget, pools: Vec<Arc<Pool>>) -> Self {
        budget.deposit(route.budget_percent);
        let deadline = Instant::now() + route.total;
        Self {
            route,
            budget,
            pools,
            deadline,
            turn: (0, 0),
            tried: Vec::new(),
            full: Vec::new(),
            asked: Vec::new(),
            hedge_at: None,
            hedges: true,
            attempts: 0,
            sent: 0,
            first_failure: None,
            last: None,
        }
    }

    /// For answers that are no audio: no second pod is asked beside the first,
    /// and how long they take tells nothing of audio.
    pub fn without_hedges(self) -> Self {
        Self { hedges: false, ..self }
    }

    /// Makes attempts until there is an answer or no more hope.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub async fn run<T, F: Future<Output = Outcome<T>>>(
        mut self,
        send: impl Fn(SocketAddr, Duration) -> F,
    ) -> Result<Answered<T>, Exhausted> {
        let mut flights = FuturesUnordered::new();
        loop {
            if flights.is_empty() {
                let call = self.first()?;
                flights.push(self.fly(call, &send));
            }
            let hedge = self.hedge_at.take();
            let landed = tokio::select! {
                Some(landed) = flights.next() => landed,
                () = until(hedge) => {
                    flights.extend(self.hedge().map(|call| self.fly(call, &send)));
                    continue;
                }
            };
            let alone = flights.is_empty();
            let (number, mut call, outcome) = landed;
            self.asked.retain(|pod| !Arc::ptr_eq(pod, &call.endpoint));
            // Those still asked were attempts too; dropping them ends their work.
            let attempts = self.attempts + 1 + self.asked.len() as u32;
            match outcome {
                Outcome::Answer(answer) => {
                    call.report(if call.is_slow() { Verdict::Bad } else { Verdict::Good });
                    if self.hedges {
                        call.pool.answered_after(call.age());
                    }
                    return Ok(Answered { answer, call, attempts, failed_first: self.failed_before(number) });
                }
                Outcome::Declined(answer) => {
                    return Ok(Answered { answer, call, attempts, failed_first: self.failed_before(number) });
                }
                Outcome::Full(failure) => {
                    self.passed_over(&call, failure);
                    if alone {
                        self.unless_full()?;
                    } else {
                        // The other may still answer, and perhaps there is a third.
                        self.budget.refund();
                        self.hedge_at = Some(Instant::now());
                    }
                }
                Outcome::Unreachable(failure) => {
                    call.report(Verdict::Bad);
                    call.endpoint.unreachable();
                    self.missed(&call, failure);
                    if alone {
                        self.unless_spent()?;
                    }
                }
                Outcome::Failed(failure) => {
                    call.report(Verdict::Bad);
                    self.failed(number, &call, failure);
                    drop(call);
                    if alone {
                        self.unless_spent()?;
                        self.pause().await?;
                    }
                }
            }
        }
    }

    /// The call to begin with, or to go on with when none is under way.
    fn first(&mut self) -> Result<Call, Exhausted> {
        if self.left() < SHORTEST {
            return Err(self.exhausted(None));
        }
        let call = self.choose().map_err(|none| self.exhausted(Some(none)))?;
        let threshold = self.route.pod_rule.threshold;
        let wait = call.pool.usual_wait().unwrap_or(threshold).clamp(SOONEST_HEDGE.min(threshold), threshold);
        self.hedge_at = self.hedges.then(|| Instant::now() + wait);
        Ok(call)
    }

    /// A call to a second pod of the same pool, if there may be one: a late
    /// answer is better than one of the backup.
    fn hedge(&mut self) -> Option<Call> {
        let more = self.attempts + (self.asked.len() as u32) < self.route.attempts;
        if !more || self.full.len() >= MOST_FULL || self.left() < SHORTEST {
            return None;
        }
        let avoided: Vec<_> = self.tried.iter().chain(&self.full).chain(&self.asked).cloned().collect();
        let call = self.pools.get(self.turn.0)?.call(self.route, &avoided, &mut rand::rng()).ok()?;
        if !self.budget.withdraw_spare(Instant::now().into()) {
            return None;
        }
        self.turn.1 += 1;
        Some(call)
    }

    /// Sends a call; its number and what becomes of it.
    fn fly<T, F: Future<Output = Outcome<T>>, S: Fn(SocketAddr, Duration) -> F>(
        &mut self,
        call: Call,
        send: &S,
    ) -> impl Future<Output = (u32, Call, Outcome<T>)> + use<T, F, S> {
        self.asked.push(Arc::clone(&call.endpoint));
        self.sent += 1;
        let number = self.sent;
        let sent = send(call.endpoint.address, self.left().min(self.route.attempt));
        async move {
            let outcome = tokio::select! {
                outcome = sent => outcome,
                () = call.endpoint.lost() => Outcome::Unreachable(lost()),
            };
            (number, call, outcome)
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// The next call: in the pool whose turn it is, or those after it; then, as
    /// nothing else is left, once more to pods that have failed.
    fn choose(&mut self) -> Result<Call, NoCall> {
        if self.turn.1 >= CALLS_IN_A_POOL && self.turn.0 + 1 < self.pools.len() {
            self.turn = (self.turn.0 + 1, 0);
        }
        let avoided: Vec<_> = self.tried.iter().chain(&self.full).cloned().collect();
        let mut none = NoCall::Empty;
        for (from, avoided) in [(self.turn.0, &avoided), (0, &self.full)] {
            for (place, pool) in self.pools.iter().enumerate().skip(from) {
                match pool.call(self.route, avoided, &mut rand::rng()) {
                    Ok(call) => {
                        let made = if place == self.turn.0 { self.turn.1 } else { 0 };
                        self.turn = (place, made + 1);
                        return Ok(call);
                    }
                    Err(other) => none = more_telling(none, other),
                }
            }
        }
        Err(none)
    }

    fn passed_over(&mut self, call: &Call, failure: Failure) {
        call.refused(&failure);
        self.full.push(Arc::clone(&call.endpoint));
        self.last = Some((failure, true));
    }

    /// Whether so few pods were full that another may be asked.
    fn unless_full(&mut self) -> Result<(), Exhausted> {
        if self.full.len() < MOST_FULL { Ok(()) } else { Err(self.exhausted(None)) }
    }

    /// Counts a failed attempt.
    fn missed(&mut self, call: &Call, failure: Failure) {
        self.attempts += 1;
        self.tried.push(Arc::clone(&call.endpoint));
        self.last = Some((failure, false));
    }

    /// Counts an attempt that failed in the pod.
    fn failed(&mut self, number: u32, call: &Call, failure: Failure) {
        // A pod under load is late whatever its model.
        let tells = failure.code != ErrorCode::UpstreamTimeout;
        if tells && self.first_failure.as_ref().is_none_or(|(first, _)| number < *first) {
            let (pool, code) = (Arc::clone(&call.pool), failure.code);
            self.first_failure = Some((number, FirstFailure { pool, code }));
        }
        self.missed(call, failure);
    }

    /// The failure of a call sent before this one, if there was one.
    fn failed_before(&mut self, number: u32) -> Option<FirstFailure> {
        self.first_failure.take().filter(|(failed, _)| *failed < number).map(|(_, failure)| failure)
    }

    /// Whether there may be another attempt.
    fn unless_spent(&mut self) -> Result<(), Exhausted> {
        let more = self.attempts < self.route.attempts && self.budget.withdraw(Instant::now().into());
        if more { Ok(()) } else { Err(self.exhausted(None)) }
    }

    /// Exponential backoff with full jitter. A pause that would leave no time
    /// for the attempt after it is not made.
    async fn pause(&mut self) -> Result<(), Exhausted> {
        let doubled = self.route.initial_backoff * 2u32.saturating_pow(self.attempts.saturating_sub(1));
        let longest = doubled.min(self.route.max_backoff);
        let pause = rand::rng().random_range(Duration::ZERO..=longest);
        if Instant::now() + pause + SHORTEST > self.deadline {
            return Err(self.exhausted(None));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The last thing that happened tells most; without one, why there was no
    /// pod to call.
    fn exhausted(&mut self, none: Option<NoCall>) -> Exhausted {
        let (failure, refused) = self.last.take().unwrap_or_else(|| nobody(none));
        Exhausted { failure, refused, attempts: self.attempts }
    }
}

fn lost() -> Failure {
    Failure::new(ErrorCode::UpstreamFailed, "The fleet lost the pod that was to speak; try again.")
        .because("the pod failed its health checks meanwhile")
}

/// Resolves at that time, if there is one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn more_telling(one: NoCall, other: NoCall) -> NoCall {
    match (one, other) {
        (NoCall::Open(one), NoCall::Open(other)) => NoCall::Open(one.min(other)),
        (full @ NoCall::Full(_), _) | (_, full @ NoCall::Full(_)) => full,
        (open @ NoCall::Open(_), _) | (_, open @ NoCall::Open(_)) => open,
        (NoCall::Empty, NoCall::Empty) => NoCall::Empty,
    }
}

fn nobody(none: Option<NoCall>) -> (Failure, bool) {
    match none {
        Some(NoCall::Full(failure)) => (failure, true),
        Some(NoCall::Open(wait)) => {
            let failure = Failure::new(ErrorCode::SystemBusy, "system busy, please retry");
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u16;
            (failure.retry_after(seconds).because("every breaker is open"), true)
        }
        Some(NoCall::Empty) | None => {
            let message = "No pod of this fleet is there to speak; try again soon.";
            (Failure::new(ErrorCode::NoEndpoint, message).retry_after(5), false)
        }
    }
}

#[cfg(test)]
mod tests;
