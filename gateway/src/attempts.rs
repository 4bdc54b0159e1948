//! The attempt loop: which pod next, how long to wait for it, when to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

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
    attempts: u32,
    last: Option<(Failure, bool)>,
}

impl<'a> Attempts<'a> {
    /// Attempts at the pools in their order.
    pub fn new(route: &'a Arc<Route>, budget: &'a RetryBudget, pools: Vec<Arc<Pool>>) -> Self {
        budget.deposit(route.budget_percent);
        let deadline = Instant::now() + route.total;
        let (tried, full) = (Vec::new(), Vec::new());
        Self { route, budget, pools, deadline, turn: (0, 0), tried, full, attempts: 0, last: None }
    }

    /// Makes attempts until there is an answer or no more hope.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub async fn run<T, F: Future<Output = Outcome<T>>>(
        mut self,
        send: impl Fn(SocketAddr, Duration) -> F,
    ) -> Result<Answered<T>, Exhausted> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left < SHORTEST {
                return Err(self.exhausted(None));
            }
            let mut call = match self.choose() {
                Ok(call) => call,
                Err(none) => return Err(self.exhausted(Some(none))),
            };
            let begun = Instant::now();
            let outcome = tokio::select! {
                outcome = send(call.endpoint.address, left.min(self.route.attempt)) => outcome,
                () = call.endpoint.lost() => Outcome::Unreachable(lost()),
            };
            let slow = begun.elapsed() > self.route.pod_rule.threshold;
            match outcome {
                Outcome::Answer(answer) => {
                    call.report(if slow { Verdict::Bad } else { Verdict::Good });
                    return Ok(Answered { answer, call, attempts: self.attempts + 1 });
                }
                Outcome::Declined(answer) => {
                    return Ok(Answered { answer, call, attempts: self.attempts + 1 });
                }
                Outcome::Full(failure) => self.passed_over(&call, failure)?,
                Outcome::Unreachable(failure) => {
                    call.report(Verdict::Bad);
                    call.endpoint.unreachable();
                    self.missed(&call, failure)?;
                }
                Outcome::Failed(failure) => {
                    call.report(Verdict::Bad);
                    self.missed(&call, failure)?;
                    drop(call);
                    self.pause().await?;
                }
            }
        }
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
                    Err(NoCall::Open(wait)) => none = shorter(none, wait),
                    Err(NoCall::Empty) => {}
                }
            }
        }
        Err(none)
    }

    fn passed_over(&mut self, call: &Call, failure: Failure) -> Result<(), Exhausted> {
        self.full.push(Arc::clone(&call.endpoint));
        self.last = Some((failure, true));
        if self.full.len() < MOST_FULL { Ok(()) } else { Err(self.exhausted(None)) }
    }

    /// Counts a failed attempt, and asks whether there may be another.
    fn missed(&mut self, call: &Call, failure: Failure) -> Result<(), Exhausted> {
        self.attempts += 1;
        self.tried.push(Arc::clone(&call.endpoint));
        self.last = Some((failure, false));
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

fn shorter(none: NoCall, wait: Duration) -> NoCall {
    match none {
        NoCall::Empty => NoCall::Open(wait),
        NoCall::Open(known) => NoCall::Open(known.min(wait)),
    }
}

fn nobody(none: Option<NoCall>) -> (Failure, bool) {
    match none {
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
