//! From a verified folder to a model that has spoken, on a thread of its own:
//! however it goes wrong there, the server goes on.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use ttsfleet_models::{FolderError, ModelFolder, SpeechModel};
use ttsfleet_wire::admin::Step;

use crate::{memory, source::LoadError, warm_up::warm_up};

/// Turns a verified folder into a model.
pub type MakeModel = Arc<dyn Fn(&ModelFolder) -> Result<Box<dyn SpeechModel>, FolderError> + Send + Sync>;

/// The thread yields to those that speak: callers wait for them, and only the
/// operator for this one.
const NICENESS: i32 = 5;
/// Longest message taken over from a panic, in characters.
const PANIC_CHARS: usize = 300;
/// Longest message of a failure, in characters: a folder's own words may be in
/// it, and it is in every answer of the admin API.
const MESSAGE_CHARS: usize = 1000;

/// Why a model is not there, and where it failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelFailure {
    pub(crate) step: Step,
    pub(crate) message: String,
    pub(crate) transient: bool,
}

impl ModelFailure {
    pub(crate) fn lasting(step: Step, message: impl Into<String>) -> Self {
        Self { step, message: cut(message.into()), transient: false }
    }
}

impl From<LoadError> for ModelFailure {
    fn from(error: LoadError) -> Self {
        Self { step: Step::Staging, transient: error.is_transient(), message: cut(error.to_string()) }
    }
}

fn cut(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARS) {
        message.truncate(end);
        message.push('…');
    }
    message
}

/// A model that has spoken well.
pub(crate) struct WarmModel {
    pub(crate) model: Box<dyn SpeechModel>,
    pub(crate) load: Duration,
    pub(crate) warm_up: Duration,
    /// Memory it took, in bytes.
    pub(crate) cost: u64,
}

/// Loads the model and warms it up, for at most `limit`; `warming` is called
/// between the two. A thread that takes longer is left to itself.
pub(crate) async fn load(
    make: MakeModel,
    folder: ModelFolder,
    limit: Duration,
    warming: impl FnOnce() + Send + 'static,
) -> Result<WarmModel, ModelFailure> {
    let (sender, receiver) = oneshot::channel();
    let loaded = Arc::new(AtomicBool::new(false));
    let step_of = |loaded: &AtomicBool| if loaded.load(Relaxed) { Step::WarmingUp } else { Step::Loading };
    let noted = Arc::clone(&loaded);
    let work = move || {
        // Refused, as in a sandbox, it loads just as well.
        _ = rustix::process::nice(NICENESS);
        let between = || {
            noted.store(true, Relaxed);
            warming();
        };
        let done = catch_unwind(AssertUnwindSafe(|| load_here(&make, folder, between)));
        let done = done.unwrap_or_else(|panic| {
            let message = format!("the model's code panicked: {}", words(&*panic));
            Err(ModelFailure::lasting(step_of(&noted), message))
        });
        // Who gave up waiting takes no model; it is dropped here.
        _ = sender.send(done);
    };
    let step = Step::Loading;
    thread::Builder::new().name("model-load".to_owned()).spawn(work).map_err(|error| ModelFailure {
        step,
        message: format!("no thread to load the model: {error}"),
        transient: true,
    })?;
    match tokio::time::timeout(limit, receiver).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(ModelFailure::lasting(step_of(&loaded), "the model's thread broke off")),
        Err(_) => {
            let message = format!(
                "the model was not ready after {} s; its thread is left to itself, and restarting the pod ends it",
                limit.as_secs_f32()
            );
            Err(ModelFailure::lasting(step_of(&loaded), message))
        }
    }
}

fn load_here(
    make: &MakeModel,
    folder: ModelFolder,
    warming: impl FnOnce(),
) -> Result<WarmModel, ModelFailure> {
    let (started, before) = (Instant::now(), memory::resident());
    let model = make(&folder).map_err(|error| ModelFailure::lasting(Step::Loading, error.to_string()))?;
    let (load, cost) = (started.elapsed(), memory::resident().saturating_sub(before));
    drop(folder);
    warming();
    let started = Instant::now();
    warm_up(&*model).map_err(|reason| ModelFailure::lasting(Step::WarmingUp, reason))?;
    Ok(WarmModel { model, load, warm_up: started.elapsed(), cost })
}

/// What a panic says. Only the program's own words are in it: no caller's text
/// has been near this thread.
fn words(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().copied();
    let said = literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    said.unwrap_or("no message").chars().take(PANIC_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_words_but_no_more_than_are_read() {
        let short = ModelFailure::from(LoadError::Address("s3://…".into()));
        assert_eq!(short.message, LoadError::Address("s3://…".into()).to_string());
        for long in [
            ModelFailure::from(LoadError::Address("ä".repeat(100_000))),
            ModelFailure::lasting(Step::Loading, "ä".repeat(100_000)),
        ] {
            assert_eq!(long.message.chars().count(), MESSAGE_CHARS + 1);
            assert!(long.message.ends_with("ä…"), "{long}");
        }
    }
}
