//! Repositories on a model hub. A hub serves the files of a repository at
//! plain addresses, `{hub}/{owner}/{repository}/resolve/{revision}/{path}`, and
//! redirects to where large ones lie; no client of its own is needed for that.

use reqwest::{Client, Url};

use super::{
    origin::Fault,
    secret::Secret,
    web::{Access, Web},
};

const PUBLIC_HUB: &str = "https://huggingface.co";

/// Opens `owner/repository@revision/folder`; none if it is not like that.
pub(super) fn open(client: Client, place: &str, secret: &Secret) -> Option<Result<Web, Fault>> {
    let place = Place::parse(place)?;
    let hub = secret.get("HF_ENDPOINT").unwrap_or(PUBLIC_HUB);
    let base = Url::parse(hub).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(base) = base.and_then(|hub| place.below(hub)) else {
        return Some(Err(Fault::lasting("HF_ENDPOINT in the Secret is not an http:// or https:// address")));
    };
    let access =
        secret.get("HF_TOKEN").map_or_else(|| Access::of(secret), |token| Access::Token(token.into()));
    Some(Ok(Web::titled(client, base, access, place.title())))
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    owner: String,
    repository: String,
    revision: String,
    folder: Vec<String>,
}

impl Place {
    fn parse(place: &str) -> Option<Self> {
        let (owner, rest) = place.split_once('/')?;
        let (named, folder) = rest.split_once('/').unwrap_or((rest, ""));
        let (repository, revision) = named.split_once('@').unwrap_or((named, "main"));
        let parts = [owner, repository, revision];
        if parts.iter().any(|part| part.is_empty() || part.contains(['@', '?', '#'])) {
            return None;
        }
        let folder = folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let [owner, repository, revision] = parts.map(str::to_owned);
        // A branch such as refs/pr/1 is written with %2F.
        Some(Self { owner, repository, revision: revision.replace("%2F", "/"), folder })
    }

    fn below(&self, mut hub: Url) -> Option<Url> {
        let mut segments = hub.path_segments_mut().ok()?;
        segments.pop_if_empty().extend([&self.owner, &self.repository, "resolve", &self.revision]);
        segments.extend(&self.folder);
        drop(segments);
        Some(hub)
    }

    fn title(&self) -> String {
        let Self { owner, repository, revision, folder } = self;
        let folder: String = folder.iter().map(|part| format!("/{part}")).collect();
        format!("hf://{owner}/{repository}@{revision}{folder}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_the_hub_has_an_address() {
        let at = |place: &str| Place::parse(place)?.below(Url::parse("https://hub/").ok()?).map(String::from);
        let expected = [
            ("me/voice@v1/a/b", Some("https://hub/me/voice/resolve/v1/a/b")),
            ("me/voice", Some("https://hub/me/voice/resolve/main")),
            ("me/voice@refs%2Fpr%2F1/", Some("https://hub/me/voice/resolve/refs%2Fpr%2F1")),
            ("me", None),
            ("me/@v1", None),
            ("me/voice@", None),
            ("/voice@v1", None),
            ("me:token@hub/voice@v1", None),
        ];
        for (place, address) in expected {
            assert_eq!(at(place).as_deref(), address, "{place}");
        }
        assert_eq!(Place::parse("me/voice@v1/a").unwrap().title(), "hf://me/voice@v1/a");
    }
}
