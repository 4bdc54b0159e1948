//! What people ask for by annotations of the TtsDeployment.

use std::collections::BTreeMap;

pub use ttsfleet_crds::{ABORT_ANNOTATION, PROMOTE_ANNOTATION, RETRY_ANNOTATION};
use ttsfleet_wire::model::ModelRecord;

use super::record::pinned;

/// The commands for one pool. They stay written on the fleet; each has its
/// effect once, and the record remembers those that have had it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    /// To swap in.
    pub promote: Vec<Command>,
    /// To call off.
    pub abort: Vec<Command>,
    /// To try again.
    pub retry: Vec<Command>,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Verb and words, which tell it from others.
    pub id: String,
    /// The model meant: `name@version`, or a digest.
    pub model: String,
}

impl Commands {
    /// Reads the commands for a pool. What is not of the form is left out.
    pub fn read(annotations: &BTreeMap<String, String>, pool: &str) -> Self {
        let read = |key, verb| annotations.get(key).map_or_else(Vec::new, |text| list(verb, text, pool));
        Self {
            promote: read(PROMOTE_ANNOTATION, "promote"),
            abort: read(ABORT_ANNOTATION, "abort"),
            retry: read(RETRY_ANNOTATION, "retry"),
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Command> {
        [&self.promote, &self.abort, &self.retry].into_iter().flatten()
    }

    /// Those that have not had their effect.
    pub(super) fn unspent(&self, spent: &[String]) -> Self {
        let keep = |commands: &[Command]| {
            commands.iter().filter(|command| !spent.contains(&command.id)).cloned().collect()
        };
        Self { promote: keep(&self.promote), abort: keep(&self.abort), retry: keep(&self.retry) }
    }
}

impl Command {
    /// Whether it speaks of this model, whose manifest has this digest if it is
    /// known.
    pub(super) fn is_about(&self, model: &ModelRecord, digest: Option<&str>) -> bool {
        let named =
            [Some(model.title().as_str()), pinned(model), digest].contains(&Some(self.model.as_str()));
        named && !self.model.is_empty()
    }
}

fn list(verb: &str, text: &str, pool: &str) -> Vec<Command> {
    let read = |word: &str| {
        let mut parts = word.trim().splitn(3, '/');
        let model = (parts.next() == Some(pool)).then(|| parts.next()).flatten()?;
        Some(Command { id: format!("{verb} {}", word.trim()), model: model.to_owned() })
    };
    text.split(',').filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use ttsfleet_crds::PoolModel;

    use super::*;

    #[test]
    fn a_command_names_the_built_in_voice_as_the_status_does() {
        let word = format!("main/{}/2026-11-24T17:00:00Z", PoolModel::built_in(None).title());
        let annotations = BTreeMap::from([(ABORT_ANNOTATION.to_owned(), word)]);
        let commands = Commands::read(&annotations, "main");
        assert_eq!(commands.abort.len(), 1);
        assert!(commands.abort[0].is_about(&ModelRecord::default(), None), "{commands:?}");
    }
}
