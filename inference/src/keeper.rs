//! Keeps the served model as ordered. Orders are taken at once and carried out
//! one at a time by [`Keeper::run`]; what needs no work is done as it is taken.

mod orders;
mod work;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, task::spawn_blocking};
use ttsfleet_wire::{
    admin::{LoadedModel, ModelStatus, SwapOrder},
    model::ModelRecord,
};

use orders::Orders;
pub(crate) use orders::Taken;

use crate::{
    loading::MakeModel,
    memory,
    metrics::Swap,
    slot::{Loaded, Reverted, Served, Slot},
    source::Sources,
    state::App,
};

/// How often to look whether the last request has let go of a model.
const LOOK: Duration = Duration::from_millis(5);

/// What models are made with.
pub struct Models {
    /// Where they come from.
    pub sources: Sources,
    /// Turns a folder into a model.
    pub make: MakeModel,
    /// How long loading one and warming it up may take.
    pub load_limit: Duration,
}

impl Models {
    /// Models of the families built in.
    pub fn new(sources: Sources) -> Self {
        Self { sources, make: Arc::new(ttsfleet_models::load), load_limit: Duration::from_secs(600) }
    }
}

/// Keeps the served model as ordered.
pub(crate) struct Keeper {
    app: Arc<App>,
    models: Models,
    /// Locked for every decision on what is served, and never for long.
    orders: Mutex<Orders>,
    ordered: Notify,
    /// The model being freed.
    freeing: Mutex<Option<LoadedModel>>,
    /// Models taken out of the slot, which requests may still use.
    leaving: Mutex<Vec<Weak<Loaded>>>,
    swaps: AtomicU64,
    failed_loads: AtomicU64,
    unreturned: AtomicU64,
}

impl Keeper {
    pub(crate) fn new(app: Arc<App>, models: Models) -> Self {
        Self {
            app,
            models,
            orders: Mutex::default(),
            ordered: Notify::new(),
            freeing: Mutex::default(),
            leaving: Mutex::default(),
            swaps: AtomicU64::new(0),
            failed_loads: AtomicU64::new(0),
            unreturned: AtomicU64::new(0),
        }
    }

    /// Have this model in the store.
    pub(crate) fn stage(&self, record: ModelRecord) -> Taken {
        let is_staged = self.models.sources.staged().contains(&record);
        let taken = self.orders().stage(record, is_staged);
        self.ordered.notify_one();
        taken
    }

    /// Serve this model.
    pub(crate) fn swap(&self, order: SwapOrder) -> Taken {
        let mut orders = self.orders();
        let serving = self.slot().serving();
        let serving = serving.as_ref().map(|served| served.record());
        if serving != Some(&order.record) && self.slot().flip_back(&order.record) {
            orders.stay();
            self.flipped(Swap::Swapped);
            return Taken::Holds;
        }
        let taken = orders.swap(order, serving);
        drop(orders);
        self.ordered.notify_one();
        taken
    }

    /// Serve the previous model. None if there is none to go back to.
    pub(crate) fn revert(&self) -> Option<Taken> {
        let mut orders = self.orders();
        if let Some(record) = orders.given_up.clone() {
            let serving = self.slot().serving();
            let serving = serving.as_ref().map(|served| served.record());
            let taken = orders.swap(orders::back_to(record), serving);
            drop(orders);
            self.ordered.notify_one();
            return Some(taken);
        }
        if !orders.has_served {
            // The first model is on its way, and nothing is behind it.
            return None;
        }
        let took_back = orders.stay();
        match self.slot().revert() {
            Reverted::Now => self.flipped(Swap::Reverted),
            Reverted::Before => {}
            Reverted::Impossible => return took_back.then_some(Taken::Holds),
        }
        Some(Taken::Holds)
    }

    /// Forget the previous model, and give its memory back. Without one, the
    /// store is tidied all the same: a model staged and never served is in it.
    pub(crate) fn free(self: &Arc<Self>) -> Taken {
        let mut orders = self.orders();
        orders.given_up = None;
        let Some(previous) = self.slot().take_previous() else {
            if self.freeing().is_some() {
                return Taken::Begun;
            }
            orders.forget_candidate();
            drop(orders);
            let keeper = Arc::clone(self);
            tokio::spawn(async move { keeper.tidy_apart().await });
            return Taken::Holds;
        };
        *self.freeing() = Some(previous.status());
        drop(orders);
        let keeper = Arc::clone(self);
        tokio::spawn(async move { keeper.free_now(previous).await });
        Taken::Begun
    }

    /// What the admin API says.
    pub(crate) fn status(&self) -> ModelStatus {
        let orders = self.orders();
        let (serving, previous) = self.slot().both();
        ModelStatus {
            serving: serving.map(|served| served.status()),
            previous: previous.map(|served| served.status()).or_else(|| self.freeing().clone()),
            staged: self.models.sources.staged(),
            task: orders.task(),
            error: orders.error.clone(),
            swaps: self.swaps.load(Relaxed),
            failed_loads: self.failed_loads.load(Relaxed),
            unreturned_bytes: self.unreturned.load(Relaxed),
        }
    }

    /// The text of `/metrics`.
    pub(crate) fn metrics_text(&self) -> Result<String, std::fmt::Error> {
        let task = self.orders().task();
        self.app.metrics.set_staging(task.map_or((0, 0), |task| (task.bytes_done, task.bytes_total)));
        self.app.metrics_text()
    }

    async fn free_now(self: &Arc<Self>, previous: Arc<Served>) {
        let (record, cost) = (previous.record().clone(), previous.loaded.cost);
        let gone = self.let_go(previous, self.app.limits.longest_request).await;
        let unreturned = gone.map_or(cost, |(before, after)| memory::unreturned(cost, before, after));
        let (before, after) = gone.unwrap_or_default();
        tracing::info!(model = record.title(), cost, before, after, unreturned, "freed the previous model");
        self.unreturned.store(unreturned, Relaxed);
        self.app.metrics.set_unreturned(unreturned);
        self.tidy_apart().await;
        *self.freeing() = None;
    }

    /// Drops a model once the last request has let go of it. Answers the
    /// resident memory before and after, or none if it still is in use when
    /// the time is up; then it goes with its last request.
    async fn let_go(&self, served: Arc<Served>, patience: Duration) -> Option<(u64, u64)> {
        let loaded = Arc::clone(&served.loaded);
        self.note_leaving(&loaded);
        drop(served);
        let last = async {
            while Arc::strong_count(&loaded) > 1 {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout(patience, last).await.is_err() {
            tracing::warn!(model = loaded.record.title(), "requests still use the model that is to go");
            return None;
        }
        let dropped = spawn_blocking(move || {
            let before = memory::resident();
            drop(loaded);
            memory::give_back();
            (before, memory::resident())
        });
        dropped.await.ok()
    }

    fn note_leaving(&self, loaded: &Arc<Loaded>) {
        let mut leaving = self.leaving();
        leaving.retain(|gone| gone.strong_count() > 0);
        leaving.push(Arc::downgrade(loaded));
    }

    /// Whether a model besides the one served and the one kept is in memory,
    /// or on its way out of it.
    fn is_leaving(&self) -> bool {
        self.freeing().is_some() || self.leaving().iter().any(|loaded| loaded.strong_count() > 0)
    }

    /// On a thread for it: files may be many and large. A panic there is
    /// logged by its hook.
    async fn tidy_apart(self: &Arc<Self>) {
        let keeper = Arc::clone(self);
        _ = spawn_blocking(move || keeper.tidy_store()).await;
    }

    /// Removes models from the store that nobody waits for.
    fn tidy_store(&self) {
        let needed = {
            let orders = self.orders();
            if orders.task().is_some() {
                return;
            }
            self.needed(&orders)
        };
        self.models.sources.forget_all_but(&needed);
    }

    /// As [`Self::tidy_store`], for the model that is being brought: what could
    /// be gone back to goes, too.
    fn make_room_for(&self, record: &ModelRecord) {
        let needed = {
            let mut orders = self.orders();
            orders.make_room_for(record);
            self.needed(&orders)
        };
        self.models.sources.forget_all_but(&needed);
    }

    /// Digests of the models that have to stay in the store.
    fn needed(&self, orders: &Orders) -> Vec<String> {
        let pinned = orders.pinned().filter_map(|record| self.models.sources.digest_of(record));
        let (serving, previous) = self.slot().both();
        let loaded = [serving, previous].into_iter().flatten().map(|served| served.loaded.digest.clone());
        pinned.chain(loaded).collect()
    }

    /// What is served has changed.
    fn flipped(&self, how: Swap) {
        let Some(served) = self.slot().serving() else { return };
        if how != Swap::First {
            self.swaps.fetch_add(1, Relaxed);
        }
        self.app.metrics.swapped(how);
        self.app.metrics.set_model(served.model().manifest(), &served.loaded.digest);
        let timing = served.loaded.timing;
        self.app.metrics.load_time.set((timing.load_ms + timing.warm_up_ms) as f64 / 1000.0);
        let (model, digest) = (served.id(), &served.loaded.digest);
        tracing::info!(model, digest, how = how.name(), "this model is served now");
    }

    fn slot(&self) -> &Slot {
        &self.app.slot
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn freeing(&self) -> MutexGuard<'_, Option<LoadedModel>> {
        self.freeing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leaving(&self) -> MutexGuard<'_, Vec<Weak<Loaded>>> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
