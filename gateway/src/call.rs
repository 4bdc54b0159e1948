//! A call to a pod, from the choice of the pod to the verdict on it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::Rng;

use crate::{
    breaker::{Admission, State, Verdict},
    choice::Purpose,
    endpoint::{Endpoint, now},
    flow::Flow,
    outcome::Refusal,
    pool::{Chosen, NoCall, Pool},
    refusals::Sent,
    route::Route,
};

/// A call under way: counted as outstanding for as long as it lives, and owed
/// a verdict. Dropped without one, it says that nobody waited for the outcome,
/// or that it was slow if that is certain already.
pub struct Call {
    /// The pool that was chosen.
    pub pool: Arc<Pool>,
    /// The pod in it.
    pub endpoint: Arc<Endpoint>,
    /// The route that it was made by.
    pub(crate) route: Arc<Route>,
    /// Whose it is.
    pub(crate) flow: Flow,
    begun: Instant,
    /// What the pool's breaker and the pod's said to it.
    admitted: Option<(Admission, Admission)>,
}

impl Call {
    /// A call to a pod of the pool, but none that is avoided.
    ///
    /// # Errors
    /// [`NoCall`].
    pub(crate) fn begin(
        pool: &Arc<Pool>,
        route: &Arc<Route>,
        flow: Flow,
        purpose: Purpose,
        avoided: impl Fn(&Arc<Endpoint>) -> bool,
        random: &mut impl Rng,
    ) -> Result<Self, NoCall> {
        let begun = now();
        let Chosen { endpoint, of_pool, of_endpoint } = pool.choose(flow, purpose, avoided, begun, random)?;
        endpoint.begins();
        let (pool, route) = (Arc::clone(pool), Arc::clone(route));
        Ok(Self { pool, endpoint, route, flow, begun, admitted: Some((of_pool, of_endpoint)) })
    }

    /// Gives the verdict; only the first one counts. What goes wrong in a pod
    /// that stops or changes its model is no fault of it.
    pub fn report(&mut self, verdict: Verdict) {
        let Some((of_pool, of_endpoint)) = self.admitted.take() else { return };
        let (now, random) = (now(), &mut rand::rng());
        let mut known = self.endpoint.known();
        let excused = verdict == Verdict::Bad && known.is_leaving();
        let verdict = if excused { Verdict::Unknown } else { verdict };
        let opened = known.breaker.report(now, of_endpoint, verdict, &self.route.pod_rule, random);
        let condemned = known.breaker.state(now) != State::Closed;
        drop(known);
        if let Some(time) = opened {
            let (pool, pod, seconds) = (&self.pool.name, self.endpoint.address, time.as_secs_f64());
            tracing::warn!(pool, %pod, seconds, "a pod is slow or fails: left alone");
        }
        // What a pod left alone did is its own fault and not the pool's.
        let verdict = if condemned && of_pool == Admission::Call { Verdict::Unknown } else { verdict };
        let opened = self.pool.breaker().report(now, of_pool, verdict, &self.route.pool_rule, random);
        if opened.is_some() {
            tracing::warn!(pool = self.pool.name, "a pool is slow or fails: left alone");
        }
    }

    /// Time since it was made.
    pub fn age(&self) -> Duration {
        now().saturating_duration_since(self.begun)
    }

    /// Whether it has taken longer than a call should.
    pub fn is_slow(&self) -> bool {
        self.age() > self.route.pod_rule.threshold
    }

    /// There is an answer, of whatever kind.
    pub(crate) fn answered(&self) {
        self.endpoint.answered(self.begun);
    }

    /// The pod refused it for want of room.
    pub(crate) fn refused(&self, refusal: &Refusal) {
        let beside = self.endpoint.outstanding().saturating_sub(1);
        self.endpoint.refused(refusal, Sent { flow: self.flow, at: self.begun, beside });
    }

    /// There was no connection to be had.
    pub(crate) fn unreachable(&self) {
        self.endpoint.unreachable(self.begun);
    }

    /// Another pod, asked later, has answered after that time. Whoever had it
    /// for a start and once more is too slow, and would otherwise never be found
    /// out where another pod always comes to the rescue.
    pub(crate) fn outrun_by(&mut self, winner: Duration) {
        if self.age() >= 2 * winner {
            self.report(Verdict::Bad);
        }
    }

    /// The answer broke off after its first audio, when the verdict had been given.
    pub fn broke(&self) {
        let mut known = self.endpoint.known();
        if !known.is_leaving() {
            let rule = &self.route.pod_rule;
            known.breaker.report(now(), Admission::Call, Verdict::Bad, rule, &mut rand::rng());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let verdict = if self.is_slow() { Verdict::Bad } else { Verdict::Unknown };
        self.report(verdict);
        self.endpoint.ends();
    }
}
