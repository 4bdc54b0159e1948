//! Texts of the fleet's own that fill up a comparison.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use ttsfleet_wire::judge::PROMPTS_KEY;

use crate::fleet::build::Prompts;
use crate::fleet::reconcile::{Context, Error};
use crate::fleet::validate::Fleet;

/// Texts that are taken.
const MOST_TEXTS: usize = 1000;
/// Longest text, in Unicode characters; the rest is cut off.
const LONGEST_TEXT: usize = 600;
/// Bytes of all texts, so that they fit into a ConfigMap once more.
const MOST_BYTES: usize = 512 << 10;

/// The texts in the ConfigMap of this name.
pub(super) async fn read(context: &Context, fleet: &Fleet, name: &str) -> Result<Prompts, Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &fleet.namespace);
    let object = api.get_opt(name).await.map_err(Error::Read)?;
    let text = object.and_then(|object| object.data?.remove(PROMPTS_KEY));
    let texts = text.as_deref().map(texts).unwrap_or_default();
    Ok(match texts.is_empty() {
        true => Prompts::Missing(format!(
            "ConfigMap {name} with texts under {PROMPTS_KEY}, one a line, is not there; make it, or leave \
             rollout.shadow.promptsFrom out to take the built-in texts"
        )),
        false => Prompts::Given(texts),
    })
}

fn texts(text: &str) -> Vec<String> {
    let mut bytes = 0;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let cut = lines.map(|line| line.chars().take(LONGEST_TEXT).collect::<String>());
    let fits = cut.take_while(|line| {
        bytes += line.len();
        bytes <= MOST_BYTES
    });
    fits.take(MOST_TEXTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_lines_of_bounded_length_number_and_size() {
        assert_eq!(texts("One.\r\n\n  Two. \n"), ["One.", "Two."]);
        assert_eq!(texts(&"你".repeat(700))[0].chars().count(), LONGEST_TEXT);
        assert_eq!(texts(&"Hello.\n".repeat(2000)).len(), MOST_TEXTS);
        let long = format!("{}\n", "a".repeat(LONGEST_TEXT)).repeat(MOST_TEXTS);
        let bytes: usize = texts(&long).iter().map(String::len).sum();
        assert!(bytes <= MOST_BYTES);
    }
}
