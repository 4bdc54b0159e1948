//! What takes time: stage, drain, load, warm up, and then flip. Whatever fails
//! leaves the served model served, or brings it back.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::task::spawn_blocking;
use ttsfleet_models::ModelFolder;
use ttsfleet_wire::{
    admin::{Headroom, ModelError, Step, SwapOrder, Timing},
    model::ModelRecord,
};

use super::{
    Keeper, LOOK,
    orders::{Job, Work},
};
use crate::{
    admission::Paused,
    loading::{self, ModelFailure},
    metrics::Swap,
    slot::Loaded,
    source::{LoadError, StageProgress},
};

/// How long a model that gives its place is waited for once no request is in
/// progress.
const LET_GO: Duration = Duration::from_secs(10);

/// How a swap ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The model ordered is the one served.
    Flipped,
    /// A newer order has taken its place.
    Replaced,
}

impl Keeper {
    /// Does what is ordered, until a failure leaves nothing to serve.
    pub(crate) async fn run(self: &Arc<Self>) -> ModelFailure {
        loop {
            let job = self.orders().begin();
            let Some(job) = job else {
                self.ordered.notified().await;
                continue;
            };
            let swaps = self.swaps.load(Relaxed);
            let done = match &job.work {
                Work::Stage(record) => self.stage_now(record, &job).await,
                Work::Swap(order) => self.swap_now(order, &job).await,
            };
            self.orders().end();
            if let Err(failure) = done {
                return failure;
            }
            // Not after the first model: what a server before this one had
            // staged may still be wanted.
            if self.swaps.load(Relaxed) > swaps {
                self.tidy_apart().await;
            }
        }
    }

    async fn stage_now(self: &Arc<Self>, record: &ModelRecord, job: &Job) -> Result<(), ModelFailure> {
        if let Err(failure) = self.bring(record, job).await {
            self.report(record, &failure);
        }
        Ok(())
    }

    /// Fails only if nothing is served then.
    async fn swap_now(self: &Arc<Self>, order: &SwapOrder, job: &Arc<Job>) -> Result<(), ModelFailure> {
        match self.try_swap(order, job).await {
            Ok(Ended::Flipped) => Ok(()),
            Ok(Ended::Replaced) => {
                tracing::info!(model = order.record.title(), "a newer order has taken its place");
                self.app.metrics.swapped(Swap::Replaced);
                Ok(())
            }
            Err(failure) => {
                self.report(&order.record, &failure);
                self.app.metrics.swapped(Swap::Failed);
                if self.slot().serving().is_some() { Ok(()) } else { Err(failure) }
            }
        }
    }

    async fn try_swap(self: &Arc<Self>, order: &SwapOrder, job: &Arc<Job>) -> Result<Ended, ModelFailure> {
        let record = &order.record;
        if self.slot().serving().is_some_and(|served| served.record() == record) {
            // A failure before this order has brought it back.
            return Ok(Ended::Flipped);
        }
        let Some((folder, timing)) = self.bring(record, job).await? else { return Ok(Ended::Replaced) };
        if order.headroom == Headroom::DrainFirst && self.slot().serving().is_some() {
            return self.swap_in_place(record, folder, timing, job).await;
        }
        if !self.make_way(job).await? {
            return Ok(Ended::Replaced);
        }
        let loaded = self.load(record, folder, timing, job).await?;
        Ok(self.flip(loaded, job))
    }

    /// There is room for two models, and not for three: the third goes, and one
    /// that is going is waited for. False if a newer order has come meanwhile.
    async fn make_way(&self, job: &Job) -> Result<bool, ModelFailure> {
        let third = {
            let _orders = self.orders();
            if job.is_replaced() && self.slot().serving().is_some() {
                return Ok(false);
            }
            self.slot().take_previous()
        };
        let patience = self.app.limits.longest_request;
        let gone = async {
            if let Some(third) = third {
                self.let_go(third, patience).await;
            }
            while self.is_leaving() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let in_time = tokio::select! {
            biased;
            in_time = tokio::time::timeout(patience, gone) => in_time,
            () = job.replaced() => return Ok(false),
        };
        in_time.map(|()| true).map_err(|_| ModelFailure {
            step: Step::Draining,
            message: format!(
                "requests still use a model from before after {} s, and there is no room for a third one",
                patience.as_secs_f32()
            ),
            transient: true,
        })
    }

    /// The served model goes before the new one comes, and comes back if that
    /// fails.
    async fn swap_in_place(
        &self,
        record: &ModelRecord,
        folder: ModelFolder,
        timing: Timing,
        job: &Arc<Job>,
    ) -> Result<Ended, ModelFailure> {
        job.set_step(Step::Draining);
        let Some(_paused) = self.drain(job).await? else { return Ok(Ended::Replaced) };
        let (third, old) = {
            let mut orders = self.orders();
            if job.is_replaced() {
                return Ok(Ended::Replaced);
            }
            let old = self.slot().take_serving();
            if let Some(old) = &old {
                orders.gives_way(old.record(), record);
            }
            (self.slot().take_previous(), old)
        };
        // Orders that come meanwhile change nothing of what a failure brings back.
        let before = old.as_ref().map(|served| (served.record().clone(), served.loaded.digest.clone()));
        for served in [third, old].into_iter().flatten() {
            self.let_go(served, LET_GO).await;
        }
        match self.load(record, folder, timing, job).await {
            Ok(loaded) => Ok(self.flip(loaded, job)),
            Err(failure) => {
                tracing::warn!(model = record.title(), error = %failure, "the model before is loaded again");
                if let Some((old, digest)) = before {
                    self.bring_back(&old, digest, job).await?;
                }
                Err(failure)
            }
        }
    }

    /// Loads what gave its place, and serves it again. By its digest it is
    /// found in the store, even if its source is away or has another model now.
    async fn bring_back(
        &self,
        old: &ModelRecord,
        digest: String,
        job: &Arc<Job>,
    ) -> Result<(), ModelFailure> {
        let mut exact = old.clone();
        if let Some(source) = &mut exact.source {
            source.digest.get_or_insert(digest);
        }
        let folder = self.models.sources.stage(&exact, &StageProgress::default()).await?;
        let loaded = self.load(old, folder, Timing::default(), job).await?;
        let _orders = self.orders();
        self.slot().flip(loaded);
        Ok(())
    }

    /// The model's folder, verified; none if a newer order has come meanwhile.
    async fn bring(
        self: &Arc<Self>,
        record: &ModelRecord,
        job: &Job,
    ) -> Result<Option<(ModelFolder, Timing)>, ModelFailure> {
        let started = Instant::now();
        let was_here = self.models.sources.staged().contains(record);
        tracing::info!(model = record.title(), "staging");
        let folder = tokio::select! {
            folder = self.stage_with_room(record, &job.progress) => folder?,
            () = job.replaced() => return Ok(None),
        };
        self.orders().passed(record, Step::Staging);
        let staged_bytes = if was_here { 0 } else { job.progress.done.load(Relaxed) };
        let stage_ms = started.elapsed().as_millis() as u64;
        tracing::info!(
            model = record.title(),
            digest = folder.digest(),
            ms = stage_ms,
            "staged and verified"
        );
        Ok(Some((folder, Timing { staged_bytes, stage_ms, ..Timing::default() })))
    }

    /// Where there is no room otherwise, what nobody waits for makes way, and
    /// what could be gone back to.
    async fn stage_with_room(
        self: &Arc<Self>,
        record: &ModelRecord,
        progress: &StageProgress,
    ) -> Result<ModelFolder, LoadError> {
        let staged = self.models.sources.stage(record, progress).await;
        if !matches!(staged, Err(LoadError::Full { .. })) {
            return staged;
        }
        let (keeper, wanted) = (Arc::clone(self), record.clone());
        _ = spawn_blocking(move || keeper.make_room_for(&wanted)).await;
        self.models.sources.stage(record, progress).await
    }

    /// No request is in progress and none comes in, for as long as what is
    /// answered is held. None if a newer order has come meanwhile.
    async fn drain(&self, job: &Job) -> Result<Option<Paused<'_>>, ModelFailure> {
        let patience = self.app.limits.drain;
        tracing::info!(seconds = patience.as_secs(), "finishing the requests in progress");
        let paused = tokio::select! {
            paused = self.app.admission.pause(patience) => paused,
            () = job.replaced() => return Ok(None),
        };
        paused.map(Some).map_err(|left| ModelFailure {
            step: Step::Draining,
            message: format!("{left} requests were not finished in {} s", patience.as_secs_f32()),
            transient: true,
        })
    }

    async fn load(
        &self,
        record: &ModelRecord,
        folder: ModelFolder,
        timing: Timing,
        job: &Arc<Job>,
    ) -> Result<Arc<Loaded>, ModelFailure> {
        job.set_step(Step::Loading);
        tracing::info!(model = record.title(), "loading");
        let (digest, make) = (folder.digest(), Arc::clone(&self.models.make));
        let noted = Arc::clone(job);
        let warming = move || noted.set_step(Step::WarmingUp);
        let warm = loading::load(make, folder, self.models.load_limit, warming).await?;
        let (load_ms, warm_up_ms) = (warm.load.as_millis() as u64, warm.warm_up.as_millis() as u64);
        tracing::info!(model = record.title(), load_ms, warm_up_ms, bytes = warm.cost, "loaded and warm");
        Ok(Arc::new(Loaded {
            record: record.clone(),
            model: warm.model,
            digest,
            timing: Timing { load_ms, warm_up_ms, ..timing },
            cost: warm.cost,
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64),
        }))
    }

    /// Serves a model, unless a newer order has come and another is served.
    fn flip(&self, loaded: Arc<Loaded>, job: &Job) -> Ended {
        let mut orders = self.orders();
        let is_alone = self.slot().serving().is_none();
        if job.is_replaced() && !is_alone {
            return Ended::Replaced;
        }
        orders.passed(&loaded.record, Step::WarmingUp);
        orders.served(&loaded.record);
        self.slot().flip(loaded);
        if !is_alone {
            orders.given_up = None;
        }
        let how = if orders.has_served { Swap::Swapped } else { Swap::First };
        orders.has_served = true;
        self.flipped(how);
        Ended::Flipped
    }

    fn report(&self, record: &ModelRecord, failure: &ModelFailure) {
        let ModelFailure { step, message, transient } = failure.clone();
        tracing::error!(model = record.title(), ?step, transient, error = message, "no new model");
        let is_load = matches!(step, Step::Loading | Step::WarmingUp);
        if is_load {
            self.app.metrics.failed_loads.inc();
        }
        if is_load || !transient {
            self.failed_loads.fetch_add(1, Relaxed);
        }
        self.orders().error = Some(ModelError { record: record.clone(), step, message, transient });
    }
}
