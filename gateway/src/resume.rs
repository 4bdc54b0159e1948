//! Going on with an answer that broke off. Speech is the same each time, so that
//! another pod of the pool can speak the text once more, and what the caller has
//! of it already is left out. That it is the same is not believed but checked.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Bytes, HttpBody},
    http::HeaderValue,
};
use crc32fast::Hasher;
use http_body_util::BodyExt;
use tokio::time::timeout;
use ttsfleet_wire::headers;

use crate::{
    attempts::Answered,
    call::Call,
    client::Answering,
    endpoint::now,
    gateway::Gateway,
    metrics::ResumedLabels,
    upstream::{Answer, Forward},
};

/// How often one answer is gone on with.
const MOST: u32 = 2;

/// What it takes to have another pod go on.
pub(crate) struct Resumption {
    gateway: Arc<Gateway>,
    forward: Forward,
    /// Digest of the model that spoke.
    model: HeaderValue,
    /// Bytes that the caller has, and their checksum.
    had: (u64, Hasher),
    times: u32,
}

/// An answer from where the last one broke off.
pub(crate) struct Resumed {
    /// The call it belongs to.
    pub(crate) call: Call,
    /// What comes next.
    pub(crate) first: Bytes,
    /// What comes after it; none if that was all.
    pub(crate) rest: Option<Answering>,
}

/// Why it cannot be gone on with.
type Hopeless = &'static str;

impl Resumption {
    /// For an answer to this request; none where all of it is here, or it does not
    /// say which model speaks.
    pub(crate) fn new(gateway: &Arc<Gateway>, forward: Forward, answer: &Answer) -> Option<Box<Self>> {
        answer.rest.as_ref()?;
        let model = answer.head.headers.get(headers::DIGEST)?.clone();
        let gateway = Arc::clone(gateway);
        Some(Box::new(Self { gateway, forward, model, had: (0, Hasher::new()), times: 0 }))
    }

    /// The caller gets these bytes.
    pub(crate) fn had(&mut self, bytes: &[u8]) {
        self.had.0 += bytes.len() as u64;
        self.had.1.update(bytes);
    }

    /// Whether it may be tried, which is a retry like any other.
    pub(crate) fn is_allowed(&self, broken: &Call) -> bool {
        self.times < MOST && broken.route.budget_percent > 0 && self.gateway.budget.withdraw(now())
    }

    /// Has another pod of the pool go on with a call's answer.
    pub(crate) async fn go_on(mut self: Box<Self>, broken: Call) -> (Box<Self>, Option<Resumed>) {
        self.times += 1;
        self.forward.headers.insert(headers::RESUMED, HeaderValue::from_static("true"));
        let resumed = self.speak_again(&broken).await;
        let outcome = if resumed.is_ok() { "resumed" } else { "broken" };
        self.gateway.metrics.resumed.get_or_create(&ResumedLabels { outcome }).inc();
        let resumed = resumed.inspect_err(|why| tracing::warn!(why, "an answer that broke off stays broken"));
        (self, resumed.ok())
    }

    async fn speak_again(&self, broken: &Call) -> Result<Resumed, Hopeless> {
        let Call { route, pool, endpoint, flow, .. } = broken;
        let attempts = self.gateway.attempts(route, vec![Arc::clone(pool)], *flow, &self.forward);
        let attempts = attempts.without_hedges().avoiding(Arc::clone(endpoint));
        let answered = self.gateway.attempted(attempts, &self.forward).await;
        let Answered { answer, call, .. } = answered.map_err(|_| "no other pod speaks")?;
        if !answer.head.status.is_success() || answer.head.headers.get(headers::DIGEST) != Some(&self.model) {
            return Err("the other pod has another model");
        }
        let Answer { first, rest, .. } = answer;
        catch_up(first, rest, &self.had, route.idle).await.map(|(first, rest)| Resumed { call, first, rest })
    }
}

/// Leaves out what the caller has.
async fn catch_up(
    mut piece: Bytes,
    mut rest: Option<Answering>,
    (bytes, sum): &(u64, Hasher),
    idle: Duration,
) -> Result<(Bytes, Option<Answering>), Hopeless> {
    let (mut left, mut seen) = (*bytes, Hasher::new());
    loop {
        let known = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        seen.update(&piece.split_to(known));
        left -= known as u64;
        if left == 0 {
            let same = seen.finalize() == sum.clone().finalize();
            return if same { Ok((piece, rest)) } else { Err("the other pod speaks otherwise") };
        }
        let body = rest.as_mut().filter(|body| !body.is_end_stream()).ok_or("the other pod says less")?;
        let frame = timeout(idle, body.frame()).await.map_err(|_| "the other pod stalls")?;
        let frame = frame.ok_or("the other pod says less")?.map_err(|_| "the other pod breaks off, too")?;
        piece = frame.into_data().unwrap_or_default();
    }
}
