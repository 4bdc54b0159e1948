//! The attempt loop: which pod next, how long to wait for it, when to stop.

mod exhausted;

use std::{net::SocketAddr, ops::RangeInclusive, sync::Arc, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use rand::Rng;
use tokio::time::Instant;
use ttsfleet_serving::Failure;
use ttsfleet_wire::error::ErrorCode;

use crate::{
    breaker::Verdict,
    budget::RetryBudget,
    call::Call,
    choice::Purpose,
    endpoint::{Endpoint, now},
    flow::Flow,
    outcome::{Outcome, Refusal},
    pool::{NoCall, Pool},
    route::Route,
};

pub use exhausted::Exhausted;

/// Pods asked in one pool before the next pool's turn comes.
const CALLS_IN_A_POOL: usize = 2;
/// Pods that may say that they are full before the caller is told so. Asking
/// on and on would multiply a load that is already too high.
const MOST_FULL: usize = 4;
/// How often full pods are asked once more, after a pause, by whoever has lost its.
const WAITS_FOR_ROOM: u32 = 3;
/// No second pod is asked sooner than this, however quick the pool is of late.
pub(crate) const SOONEST_HEDGE: Duration = Duration::from_millis(50);
/// An attempt with less time than this is not worth making.
const SHORTEST: Duration = Duration::from_millis(50);

/// An answer, and how it was come by.
pub struct Answered<T> {
    /// The answer.
    pub answer: T,
    /// The call it belongs to, still under way.
    pub call: Call,
    /// Attempts made, this one included.
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
    /// Pauses made until full pods were asked once more.
    waits: u32,
    /// Calls under way.
    flights: Vec<Flight>,
    /// When a second pod is asked.
    hedge_at: Option<Instant>,
    hedges: bool,
    flow: Flow,
    /// Whether the text waits for shorter ones.
    is_long: bool,
    attempts: u32,
    /// Calls sent, whatever became of them.
    sent: u32,
    last: Option<(Failure, bool)>,
}

/// A call under way.
struct Flight {
    number: u32,
    call: Call,
    /// Whether it was sent beside one that was late.
    is_hedge: bool,
}

impl<'a> Attempts<'a> {
    /// Attempts at the pools in their order.
    pub fn new(route: &'a Arc<Route>, budget: &'a RetryBudget, pools: Vec<Arc<Pool>>) -> Self {
        budget.deposit(route.budget_percent, now());
        let deadline = Instant::now() + route.total;
        Self {
            route,
            budget,
            pools,
            deadline,
            turn: (0, 0),
            tried: Vec::new(),
            full: Vec::new(),
            waits: 0,
            flights: Vec::new(),
            hedge_at: None,
            hedges: true,
            flow: Flow::default(),
            is_long: false,
            attempts: 0,
            sent: 0,
            last: None,
        }
    }

    /// For answers that are no audio: no second pod is asked beside the first,
    /// and how long they take tells nothing of audio.
    pub fn without_hedges(self) -> Self {
        Self { hedges: false, ..self }
    }

    /// For a request whose caller is known: a pod may refuse it and no other.
    pub fn of(self, flow: Flow) -> Self {
        Self { flow, ..self }
    }

    /// For a text that waits for shorter ones. That it is refused, or has to wait,
    /// says nothing of how the pod serves others, and no second pod is asked beside
    /// the first. When it has waited for one attempt in vain, that is enough: cut, it
    /// would not have to.
    pub fn of_long_text(self) -> Self {
        Self { is_long: true, hedges: false, ..self }
    }

    /// For a request that this pod has failed at: it is asked again only for want of
    /// another.
    pub fn avoiding(mut self, failed: Arc<Endpoint>) -> Self {
        self.tried.push(failed);
        self
    }

    /// With an end that is not the usual one.
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }

    /// Makes attempts until there is an answer or no more hope.
    ///
    /// # Errors
    /// [`Exhausted`].
    pub async fn run<T, F: Future<Output = Outcome<T>>>(
        mut self,
        send: impl Fn(SocketAddr, Duration) -> F,
    ) -> Result<Answered<T>, Exhausted> {
        let mut under_way = FuturesUnordered::new();
        loop {
            if under_way.is_empty() {
                let call = self.next().await?;
                under_way.push(self.fly(call, false, &send));
            }
            let hedge = self.hedge_at.take();
            let (number, outcome) = tokio::select! {
                Some(landed) = under_way.next() => landed,
                () = until(hedge) => {
                    under_way.extend(self.hedge().map(|call| self.fly(call, true, &send)));
                    continue;
                }
            };
            // Those still under way were attempts too.
            let attempts = self.attempts + self.flights.len() as u32;
            let Some(mut flight) = self.land(number) else { continue };
            let alone = self.flights.is_empty();
            match outcome {
                Outcome::Answer(answer) => {
                    return Ok(Answered { answer, call: self.won(flight), attempts });
                }
                Outcome::Declined(answer) => {
                    flight.call.answered();
                    return Ok(Answered { answer, call: flight.call, attempts });
                }
                Outcome::Full(refusal) => self.passed_over(&flight.call, refusal, alone)?,
                Outcome::Unreachable(failure) => {
                    flight.call.report(Verdict::Bad);
                    flight.call.unreachable();
                    self.missed(flight, failure, alone)?;
                }
                Outcome::Disconnected(failure) => self.missed(flight, failure, alone)?,
                Outcome::Failed(failure) => {
                    if self.is_in_vain(&failure) {
                        flight.call.report(Verdict::Unknown);
                        self.attempts += 1;
                        self.last = Some((failure, false));
                        return Err(self.exhausted(None));
                    }
                    Self::late(&flight, &failure);
                    self.missed(flight, failure, alone)?;
                    if alone {
                        // With full jitter.
                        let longest = self.backoff(self.attempts.saturating_sub(1));
                        self.pause(Duration::ZERO..=longest).await?;
                    }
                }
            }
        }
    }

    fn verdict_on_answer(&self, call: &Call) -> Verdict {
        match call.is_slow() {
            true if self.is_long => Verdict::Unknown,
            true => Verdict::Bad,
            false => Verdict::Good,
        }
    }

    /// Whether a long text has waited for one attempt in vain.
    fn is_in_vain(&self, failure: &Failure) -> bool {
        self.is_long && failure.code == ErrorCode::UpstreamTimeout
    }

    /// The call to begin with, or to go on with when none is under way. Whoever has
    /// lost its pod, and finds the others full, waits and asks them once more: it
    /// came before those whom they were filled with.
    async fn next(&mut self) -> Result<Call, Exhausted> {
        loop {
            match self.first() {
                Err(Some(none)) if self.may_wait_for_room(&none) => {
                    // Sooner than after half of it they would say the same again.
                    let longest = self.backoff(self.waits);
                    self.pause(longest / 2..=longest).await?;
                    self.waits += 1;
                    self.full.clear();
                }
                ended => return ended.map_err(|none| self.exhausted(none)),
            }
        }
    }

    fn may_wait_for_room(&self, none: &NoCall) -> bool {
        let all_full = !self.full.is_empty() || matches!(none, NoCall::Full(_));
        all_full && self.attempts > 0 && self.waits < WAITS_FOR_ROOM
    }

    /// A call that a second one may follow, or why there is none, if that is not
    /// that the time is up.
    fn first(&mut self) -> Result<Call, Option<NoCall>> {
        if self.left() < SHORTEST {
            return Err(None);
        }
        let call = self.choose().map_err(Some)?;
        let threshold = self.route.pod_rule.threshold;
        let wait = call.pool.usual_wait().unwrap_or(threshold).clamp(SOONEST_HEDGE.min(threshold), threshold);
        self.hedge_at = self.hedges.then(|| Instant::now() + wait);
        Ok(call)
    }

    /// A call to a second pod of the same pool, if there may be one: a late
    /// answer is better than one of the backup.
    fn hedge(&mut self) -> Option<Call> {
        let more = self.attempts + (self.flights.len() as u32) < self.route.attempts;
        if !more || self.route.budget_percent == 0 || self.full.len() >= MOST_FULL || self.left() < SHORTEST {
            return None;
        }
        let pool = self.pools.get(self.turn.0).filter(|pool| !pool.is_pressed())?;
        let is_asked = |pod: &Arc<Endpoint>| {
            self.flights.iter().any(|flight| Arc::ptr_eq(&flight.call.endpoint, pod))
                || is_among(&self.tried, pod)
                || is_among(&self.full, pod)
        };
        let call =
            Call::begin(pool, self.route, self.flow, Purpose::Hedge, is_asked, &mut rand::rng()).ok()?;
        if !self.budget.withdraw_spare(now()) {
            return None;
        }
        self.turn.1 += 1;
        Some(call)
    }

    /// Sends a call; its number and what becomes of it.
    fn fly<T, F: Future<Output = Outcome<T>>, S: Fn(SocketAddr, Duration) -> F>(
        &mut self,
        call: Call,
        is_hedge: bool,
        send: &S,
    ) -> impl Future<Output = (u32, Outcome<T>)> + use<T, F, S> {
        self.sent += 1;
        let number = self.sent;
        let endpoint = Arc::clone(&call.endpoint);
        let sent = send(endpoint.address, self.left().min(self.route.attempt));
        self.flights.push(Flight { number, call, is_hedge });
        async move {
            let outcome = tokio::select! {
                outcome = sent => outcome,
                () = endpoint.lost() => Outcome::Unreachable(lost()),
            };
            (number, outcome)
        }
    }

    fn land(&mut self, number: u32) -> Option<Flight> {
        let place = self.flights.iter().position(|flight| flight.number == number)?;
        Some(self.flights.swap_remove(place))
    }

    /// Takes note of who has won, and of whom it has outrun. Dropping their
    /// calls ends their work.
    fn won(&mut self, Flight { mut call, is_hedge, .. }: Flight) -> Call {
        call.answered();
        call.report(self.verdict_on_answer(&call));
        let took = call.age();
        if self.hedges && !is_hedge {
            call.pool.waited(took);
        }
        for mut loser in self.flights.drain(..) {
            if !loser.is_hedge {
                loser.call.pool.waited(loser.call.age());
            }
            loser.call.outrun_by(took);
        }
        call
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
        let mut none = NoCall::Empty;
        for (from, avoids_tried) in [(self.turn.0, true), (0, false)] {
            for (place, pool) in self.pools.iter().enumerate().skip(from) {
                let is_avoided = |pod: &Arc<Endpoint>| {
                    is_among(&self.full, pod) || (avoids_tried && is_among(&self.tried, pod))
                };
                match Call::begin(pool, self.route, self.flow, Purpose::Answer, is_avoided, &mut rand::rng())
                {
                    Ok(call) => {
                        let made = if place == self.turn.0 { self.turn.1 } else { 0 };
                        self.turn = (place, made + 1);
                        return Ok(call);
                    }
                    Err(other) => none = none.or(other),
                }
            }
        }
        Err(none)
    }

    /// Takes note of a full pod. Few enough were full that another may be asked,
    /// or it is an end.
    fn passed_over(&mut self, call: &Call, refusal: Refusal, alone: bool) -> Result<(), Exhausted> {
        let over_share = refusal.over_share || self.is_long;
        call.refused(&Refusal { over_share, ..refusal.clone() });
        self.full.push(Arc::clone(&call.endpoint));
        self.last = Some((refusal.failure, true));
        if !alone {
            // The other may still answer, and perhaps there is a third.
            self.budget.refund(now());
            self.hedge_at = Some(Instant::now());
        } else if self.full.len() >= MOST_FULL {
            return Err(self.exhausted(None));
        }
        Ok(())
    }

    /// An attempt that had no audio in time waited at least as long as it did.
    fn late(flight: &Flight, failure: &Failure) {
        if failure.code == ErrorCode::UpstreamTimeout && !flight.is_hedge {
            flight.call.pool.waited(flight.call.age());
        }
    }

    /// Counts a failed attempt. If no other is under way, there may be another
    /// one, or it is an end.
    fn missed(&mut self, mut flight: Flight, failure: Failure, alone: bool) -> Result<(), Exhausted> {
        flight.call.report(Verdict::Bad);
        self.attempts += 1;
        self.tried.push(Arc::clone(&flight.call.endpoint));
        self.last = Some((failure, false));
        let more = self.attempts < self.route.attempts && self.route.budget_percent > 0;
        if alone && !(more && self.budget.withdraw(now())) { Err(self.exhausted(None)) } else { Ok(()) }
    }

    /// Exponential backoff: the longest pause after so many others.
    fn backoff(&self, others: u32) -> Duration {
        let doubled = self.route.initial_backoff.saturating_mul(2u32.saturating_pow(others));
        doubled.min(self.route.max_backoff)
    }

    /// A pause that would leave no time for the attempt after it is not made.
    async fn pause(&mut self, range: RangeInclusive<Duration>) -> Result<(), Exhausted> {
        let pause = rand::rng().random_range(range);
        if Instant::now() + pause + SHORTEST > self.deadline {
            return Err(self.exhausted(None));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// The last thing that happened tells most, and that is a refusal if all that
    /// are left are full; without one, why there was no pod to call.
    fn exhausted(&mut self, none: Option<NoCall>) -> Exhausted {
        let (failure, refused) = match (self.last.take(), none) {
            (Some((_, false)), Some(NoCall::Full(failure))) => (failure, true),
            (Some(last), _) => last,
            (None, none) => exhausted::nobody(none),
        };
        Exhausted { failure, refused, attempts: self.attempts }
    }
}

fn lost() -> Failure {
    Failure::new(ErrorCode::UpstreamFailed, "The fleet lost the pod that was to speak; try again.")
        .because("the pod failed its health checks meanwhile")
}

fn is_among(pods: &[Arc<Endpoint>], pod: &Arc<Endpoint>) -> bool {
    pods.iter().any(|other| Arc::ptr_eq(other, pod))
}

/// Resolves at that time, if there is one.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
