//! The model that is served, and the one kept to go back to. Requests take one
//! snapshot and end on it; changing the model is storing one pointer, so that
//! no request waits for it or sees half of it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use ttsfleet_models::SpeechModel;
use ttsfleet_serving::Failure;
use ttsfleet_wire::{
    admin::{self, LoadedModel, Offers, Timing},
    error::{ErrorClass, ErrorCode},
    model::ModelRecord,
};

/// A model in memory.
pub(crate) struct Loaded {
    /// As it was asked for.
    pub(crate) record: ModelRecord,
    /// The model.
    pub(crate) model: Box<dyn SpeechModel>,
    /// `sha256:…` of its manifest.
    pub(crate) digest: String,
    /// How long the ways to it took.
    pub(crate) timing: Timing,
    /// Memory that loading it took, in bytes.
    pub(crate) cost: u64,
    /// When it was loaded, in Unix seconds.
    pub(crate) created: i64,
}

/// A model while it is the one served, from one change to the next.
pub(crate) struct Served {
    pub(crate) loaded: Arc<Loaded>,
    requests: AtomicU64,
    failed: AtomicU64,
    first_audio_us: AtomicU64,
}

impl Served {
    fn new(loaded: Arc<Loaded>) -> Arc<Self> {
        let zero = AtomicU64::default;
        Arc::new(Self { loaded, requests: zero(), failed: zero(), first_audio_us: zero() })
    }

    pub(crate) fn model(&self) -> &dyn SpeechModel {
        &*self.loaded.model
    }

    pub(crate) fn record(&self) -> &ModelRecord {
        &self.loaded.record
    }

    /// `name@version`.
    pub(crate) fn id(&self) -> String {
        let manifest = self.model().manifest();
        format!("{}@{}", manifest.name, manifest.version)
    }

    /// Counts a request that has all its audio.
    pub(crate) fn answered(&self, first_audio: Duration) {
        self.requests.fetch_add(1, Relaxed);
        self.first_audio_us.fetch_add(first_audio.as_micros() as u64, Relaxed);
    }

    /// Counts a request that failed, unless that says nothing of the model.
    pub(crate) fn failed(&self, failure: &Failure) {
        let refused = [ErrorCode::Draining, ErrorCode::SystemBusy].contains(&failure.code);
        if refused || failure.code.entry().class == ErrorClass::Business {
            return;
        }
        self.requests.fetch_add(1, Relaxed);
        self.failed.fetch_add(1, Relaxed);
    }

    /// What the admin API says of it.
    pub(crate) fn status(&self) -> LoadedModel {
        let manifest = self.model().manifest();
        LoadedModel {
            record: self.loaded.record.clone(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: self.loaded.digest.clone(),
            served: admin::Served {
                requests: self.requests.load(Relaxed),
                failed: self.failed.load(Relaxed),
                first_audio_us: self.first_audio_us.load(Relaxed),
            },
            timing: self.loaded.timing,
            offers: Offers {
                voices: manifest.voices.clone(),
                languages: manifest.languages.clone(),
                sample_rate: manifest.sample_rate,
            },
        }
    }
}

/// What came of asking for the previous model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reverted {
    Now,
    Before,
    /// There is none in memory.
    Impossible,
}

/// The place of the model that is served.
#[derive(Default)]
pub(crate) struct Slot {
    serving: ArcSwapOption<Served>,
    /// Also taken for every change of what is served.
    previous: Mutex<Option<Previous>>,
}

struct Previous {
    served: Arc<Served>,
    /// Not so after a revert: what is kept then is the model reverted from.
    is_older: bool,
}

impl Slot {
    /// What is served at this moment.
    pub(crate) fn serving(&self) -> Option<Arc<Served>> {
        self.serving.load_full()
    }

    /// What is served, and what is kept.
    pub(crate) fn both(&self) -> (Option<Arc<Served>>, Option<Arc<Served>>) {
        let previous = self.previous();
        (self.serving(), previous.as_ref().map(|previous| Arc::clone(&previous.served)))
    }

    /// Serves a model, and keeps the one served so far.
    pub(crate) fn flip(&self, loaded: Arc<Loaded>) {
        self.exchange(&mut self.previous(), loaded, true);
    }

    /// Serves the kept model as a new one, if it is the one asked for.
    pub(crate) fn flip_back(&self, record: &ModelRecord) -> bool {
        let mut previous = self.previous();
        let kept = previous.as_ref().filter(|previous| previous.served.record() == record);
        let Some(loaded) = kept.map(|previous| Arc::clone(&previous.served.loaded)) else { return false };
        self.exchange(&mut previous, loaded, true);
        true
    }

    /// Serves the model again that was served before this one.
    pub(crate) fn revert(&self) -> Reverted {
        let mut previous = self.previous();
        match &*previous {
            None => Reverted::Impossible,
            Some(previous) if !previous.is_older => Reverted::Before,
            Some(Previous { served, .. }) => {
                let loaded = Arc::clone(&served.loaded);
                self.exchange(&mut previous, loaded, false);
                Reverted::Now
            }
        }
    }

    /// Takes out what is kept.
    pub(crate) fn take_previous(&self) -> Option<Arc<Served>> {
        self.previous().take().map(|previous| previous.served)
    }

    /// Takes out what is served. Nothing is, then.
    pub(crate) fn take_serving(&self) -> Option<Arc<Served>> {
        let _changing = self.previous();
        self.serving.swap(None)
    }

    fn exchange(&self, previous: &mut Option<Previous>, loaded: Arc<Loaded>, is_older: bool) {
        let old = self.serving.swap(Some(Served::new(loaded)));
        *previous = old.map(|served| Previous { served, is_older });
    }

    fn previous(&self) -> MutexGuard<'_, Option<Previous>> {
        self.previous.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ttsfleet_models::{AudioSink, Manifest, Part, Script, SpeechError, Utterance};

    use super::*;

    struct Silent(Manifest);

    impl SpeechModel for Silent {
        fn manifest(&self) -> &Manifest {
            &self.0
        }

        fn read(&self, _utterance: &Utterance<'_>) -> Result<Script, SpeechError> {
            let parts = vec![Part::Pause(Duration::from_secs(1))];
            Ok(Script { parts, voice: "v".into(), skipped_chars: 0 })
        }

        fn say(&self, _script: &Script, _sink: &mut AudioSink<'_>) -> Result<(), SpeechError> {
            Ok(())
        }
    }

    pub(crate) fn record(version: &str) -> ModelRecord {
        ModelRecord { name: "m".into(), version: version.into(), source: None }
    }

    pub(crate) fn loaded(version: &str) -> Arc<Loaded> {
        let manifest = Manifest {
            family: "silent".into(),
            name: "m".into(),
            version: version.into(),
            sample_rate: 24_000,
            languages: vec!["en".into()],
            voices: vec!["v".into()],
            licence: String::new(),
            files: vec![],
        };
        Arc::new(Loaded {
            record: record(version),
            model: Box::new(Silent(manifest)),
            digest: format!("sha256:{version}"),
            timing: Timing::default(),
            cost: 0,
            created: 0,
        })
    }

    fn versions(slot: &Slot) -> (Option<String>, Option<String>) {
        let version = |served: Option<Arc<Served>>| served.map(|served| served.record().version.clone());
        let (serving, previous) = slot.both();
        (version(serving), version(previous))
    }

    fn of(serving: &str, previous: &str) -> (Option<String>, Option<String>) {
        (Some(serving.to_owned()), Some(previous.to_owned()))
    }

    #[test]
    fn a_revert_sent_twice_goes_back_once() {
        let slot = Slot::default();
        assert_eq!(slot.revert(), Reverted::Impossible);
        slot.flip(loaded("1"));
        slot.flip(loaded("2"));
        assert_eq!((slot.revert(), slot.revert()), (Reverted::Now, Reverted::Before));
        assert_eq!(versions(&slot), of("1", "2"));
    }

    #[test]
    fn the_kept_model_is_served_again_without_loading() {
        let slot = Slot::default();
        slot.flip(loaded("1"));
        slot.flip(loaded("2"));
        assert!(!slot.flip_back(&record("3")));
        assert!(slot.flip_back(&record("1")));
        assert_eq!(versions(&slot), of("1", "2"));
        assert_eq!(slot.revert(), Reverted::Now, "this was a change, and not a revert");
        assert_eq!(versions(&slot), of("2", "1"));
    }

    #[test]
    fn a_model_says_what_it_offers() {
        let slot = Slot::default();
        slot.flip(loaded("1"));
        let offers = slot.serving().unwrap().status().offers;
        let expected = Offers { voices: vec!["v".into()], languages: vec!["en".into()], sample_rate: 24_000 };
        assert_eq!(offers, expected);
    }

    #[test]
    fn a_model_is_counted_from_zero_when_it_is_served_again() {
        let slot = Slot::default();
        slot.flip(loaded("1"));
        let snapshot = slot.serving().unwrap();
        snapshot.answered(Duration::from_millis(2));
        slot.flip(loaded("2"));
        snapshot.answered(Duration::from_millis(3));
        let (_, previous) = slot.both();
        let served = admin::Served { requests: 2, failed: 0, first_audio_us: 5000 };
        assert_eq!(previous.unwrap().status().served, served, "those under way count where they began");
        slot.revert();
        assert_eq!(slot.serving().unwrap().status().served, admin::Served::default());
    }

    #[test]
    fn only_what_says_something_of_the_model_is_counted() {
        let slot = Slot::default();
        slot.flip(loaded("1"));
        let served = slot.serving().unwrap();
        for code in ErrorCode::ALL {
            served.failed(&Failure::new(*code, "failed"));
        }
        let counted = ErrorCode::ALL
            .iter()
            .map(|code| code.entry())
            .filter(|entry| entry.status >= 500 && !["Draining", "SystemBusy"].contains(&entry.code));
        let counted = counted.count() as u64;
        assert_eq!(
            served.status().served,
            admin::Served { requests: counted, failed: counted, first_audio_us: 0 }
        );
    }
}
