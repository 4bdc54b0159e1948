//! From a source into the store. Nothing that comes is believed before its
//! digest is checked, and nothing larger than announced is read.

use std::{sync::Arc, sync::atomic::Ordering::Relaxed, time::Duration, time::Instant};

use futures::StreamExt;
use ttsfleet_models::{
    FileEntry, FolderError, MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, ModelFolder, sha256_hex,
};

use super::{
    LoadError, StageProgress,
    arrival::Arrival,
    blocking,
    origin::{Fault, Opened, Origin},
    secret::Secret,
    store::{Store, Unfinished},
};

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Room on the store's file system besides the files: folders, the manifest.
const SPARE_BYTES: u64 = 1 << 20;

/// How often and how long to try.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts for one file in which nothing of it comes.
    pub attempts: u32,
    /// Pause after the first attempt; it doubles with each. Each is half as
    /// long or half again, at random, so that pods do not come together.
    pub first_pause: Duration,
    /// All attempts for all files together.
    pub overall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let (first_pause, overall) = (Duration::from_millis(500), Duration::from_secs(1800));
        Self { attempts: 6, first_pause, overall }
    }
}

/// One folder on its way here.
pub(super) struct Staging<'a> {
    pub(super) origin: Box<dyn Origin>,
    pub(super) pinned: Option<String>,
    pub(super) store: Arc<Store>,
    pub(super) secret: Secret,
    pub(super) patience: Patience,
    pub(super) progress: &'a StageProgress,
}

impl Staging<'_> {
    /// Fetches the folder into the store, in the time there is for it.
    pub(super) async fn run(&self) -> Result<ModelFolder, LoadError> {
        let overall = self.patience.overall;
        tokio::time::timeout(overall, self.fetch()).await.unwrap_or_else(|_| {
            let fault = Fault::passing(format!("it took longer than {} s", overall.as_secs_f32()));
            Err(self.error(MANIFEST_NAME, fault))
        })
    }

    async fn fetch(&self) -> Result<ModelFolder, LoadError> {
        let (started, source) = (Instant::now(), self.origin.title(MANIFEST_NAME));
        let bytes = self.retrying(|| self.fetch_manifest()).await?;
        let digest = format!("sha256:{}", sha256_hex(&bytes));
        if let Some(pinned) = self.pinned.clone().filter(|pinned| !same_digest(pinned, &digest)) {
            return Err(FolderError::WrongDigest { actual: digest, pinned }.into());
        }
        let manifest = Manifest::parse(&bytes)?;
        if let Some(folder) = Store::look_up(&self.store, Some(digest.clone())).await? {
            return Ok(folder);
        }
        let total = total_size(&manifest);
        let mut unfinished = self.store.begin(&digest, self.pinned.is_some())?;
        self.progress.total.store(total, Relaxed);
        tracing::info!(source, digest, bytes = total, "staging a model");
        let fetched = self.fetch_files(&manifest, &unfinished, total).await;
        if let Err(error) = fetched {
            if !error.is_transient() {
                unfinished.give_up();
            }
            // It may be large: not on a thread that others wait for.
            _ = blocking(move || {
                drop(unfinished);
                Ok(())
            })
            .await;
            return Err(error);
        }
        let store = Arc::clone(&self.store);
        let kept = digest.clone();
        let kept = blocking(move || store.keep(unfinished, &manifest.files, &bytes, &kept)).await;
        let folder = kept.map_err(|error| self.in_full_words(error, total))?;
        tracing::info!(
            source,
            digest,
            bytes = total,
            seconds = started.elapsed().as_secs_f32(),
            "model staged"
        );
        Ok(folder)
    }

    async fn fetch_files(
        &self,
        manifest: &Manifest,
        unfinished: &Unfinished,
        total: u64,
    ) -> Result<(), LoadError> {
        let here: u64 = manifest.files.iter().map(|entry| unfinished.has(entry)).sum();
        let (needed, free) = (total - here.min(total), self.store.free()?);
        if needed > 0 && needed.saturating_add(SPARE_BYTES) > free {
            return Err(self.full(needed, free));
        }
        let mut before = 0;
        for entry in &manifest.files {
            let fetched = self.retrying(|| self.fetch_file(unfinished, entry, before)).await;
            fetched.map_err(|error| self.in_full_words(error, total))?;
            before += entry.size;
        }
        Ok(())
    }

    /// A full disk is told as such, whatever else was promised at the start.
    fn in_full_words(&self, error: LoadError, total: u64) -> LoadError {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match error {
            LoadError::Store { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded) => {
                let needed = total.saturating_sub(self.progress.done.load(Relaxed));
                self.full(needed, self.store.free().unwrap_or(0))
            }
            other => other,
        }
    }

    fn full(&self, needed: u64, free: u64) -> LoadError {
        LoadError::Full { path: self.store.root().display().to_string(), needed, free }
    }

    /// Tries again what may pass, and begins to count anew when bytes came.
    async fn retrying<T, F: Future<Output = Result<T, LoadError>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, LoadError> {
        let (mut failures, mut pause) = (0, self.patience.first_pause);
        loop {
            let before = self.progress.done.load(Relaxed);
            let error = match attempt().await {
                Err(error) if error.is_transient() => error,
                result => {
                    self.progress.set_trouble(None);
                    return result;
                }
            };
            if self.progress.done.load(Relaxed) > before {
                (failures, pause) = (0, self.patience.first_pause);
            }
            failures += 1;
            if failures >= self.patience.attempts {
                return Err(error);
            }
            tracing::warn!(%error, "trying again");
            self.progress.set_trouble(Some(error.to_string()));
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn fetch_manifest(&self) -> Result<Vec<u8>, LoadError> {
        let mut opened = self.open(MANIFEST_NAME, 0).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = opened.bytes.next().await {
            bytes.extend_from_slice(&piece.map_err(|fault| self.error(MANIFEST_NAME, fault))?);
            if bytes.len() as u64 > MAX_MANIFEST_BYTES {
                let fault = Fault::lasting(format!("it is larger than {MAX_MANIFEST_BYTES} bytes"));
                return Err(self.error(MANIFEST_NAME, fault));
            }
        }
        match opened.total {
            Some(total) if (bytes.len() as u64) < total => {
                Err(self.cut_short(MANIFEST_NAME, bytes.len(), total))
            }
            _ => self.vouched(opened.sha256, bytes),
        }
    }

    /// The source's own word on the manifest, where it gives one.
    fn vouched(&self, sha256: Option<String>, bytes: Vec<u8>) -> Result<Vec<u8>, LoadError> {
        let actual = sha256_hex(&bytes);
        match sha256 {
            Some(sha256) if sha256 != actual => {
                let what = format!("sha256 {actual} instead of {sha256}");
                Err(self.error(MANIFEST_NAME, Fault::lasting(what)))
            }
            _ => Ok(bytes),
        }
    }

    /// Fetches what is missing of a file, `before` bytes of others being here.
    async fn fetch_file(
        &self,
        unfinished: &Unfinished,
        entry: &FileEntry,
        before: u64,
    ) -> Result<(), LoadError> {
        let mut arrival = Arrival::open(unfinished.path(), entry).await?;
        if arrival.length() < entry.size {
            let opened = self.open(&entry.path, arrival.length()).await?;
            arrival = self.receive(arrival, opened, entry, before).await?;
        }
        self.progress.reach(before + arrival.length());
        if arrival.finish(entry).await? {
            return Ok(());
        }
        self.progress.done.store(before, Relaxed);
        let reason = "what was left of an earlier attempt does not belong to it; fetching all of it again";
        Err(self.error(&entry.path, Fault::passing(reason)))
    }

    async fn receive(
        &self,
        mut arrival: Arrival,
        mut opened: Opened,
        entry: &FileEntry,
        before: u64,
    ) -> Result<Arrival, LoadError> {
        check_announced(&opened, entry)?;
        if opened.start == 0 && arrival.length() > 0 {
            arrival = arrival.restart().await?;
        } else if opened.start != arrival.length() {
            return Err(
                self.error(&entry.path, Fault::passing("the server sent another part than asked for"))
            );
        }
        while let Some(piece) = opened.bytes.next().await {
            let piece = piece.map_err(|fault| self.error(&entry.path, fault))?;
            if arrival.length() + piece.len() as u64 > entry.size {
                return Err(altered(entry, format!("more than its {} bytes", entry.size)));
            }
            arrival = arrival.write(piece).await?;
            self.progress.reach(before + arrival.length());
        }
        if arrival.length() < entry.size {
            // As when a proxy gave up half-way.
            return Err(self.cut_short(&entry.path, arrival.length(), entry.size));
        }
        Ok(arrival)
    }

    async fn open(&self, path: &str, offset: u64) -> Result<Opened, LoadError> {
        self.origin.open(path, offset).await.map_err(|fault| self.error(path, fault))
    }

    fn cut_short(&self, path: &str, came: impl std::fmt::Display, size: u64) -> LoadError {
        self.error(path, Fault::passing(format!("{came} bytes came instead of {size}")))
    }

    fn error(&self, path: &str, fault: Fault) -> LoadError {
        fault.about(self.origin.title(path), &self.secret)
    }
}

/// What the source says of a file before it sends any of it.
fn check_announced(opened: &Opened, entry: &FileEntry) -> Result<(), LoadError> {
    if opened.total.is_some_and(|total| total > entry.size) {
        return Err(altered(entry, format!("more than its {} bytes", entry.size)));
    }
    match &opened.sha256 {
        Some(sha256) if !sha256.eq_ignore_ascii_case(&entry.sha256) => {
            Err(altered(entry, format!("sha256 {sha256} instead of {}", entry.sha256)))
        }
        _ => Ok(()),
    }
}

/// Cannot overflow: a manifest that names more than is read is no manifest.
fn total_size(manifest: &Manifest) -> u64 {
    manifest.files.iter().map(|entry| entry.size).sum()
}

fn altered(entry: &FileEntry, what: String) -> LoadError {
    FolderError::Altered { path: entry.path.clone(), what }.into()
}

fn same_digest(pinned: &str, actual: &str) -> bool {
    let plain = |digest: &str| digest.trim_start_matches("sha256:").to_ascii_lowercase();
    plain(pinned) == plain(actual)
}
