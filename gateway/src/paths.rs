//! The paths of the speech port.

use ttsfleet_wire::openapi;

/// What a path is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    Speech,
    List(List<'a>),
    /// For balancers that ask the port that they send traffic to.
    Health,
    /// The API's description.
    OpenApi,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List<'a> {
    Voices,
    Models,
    /// In the shape that Open WebUI reads.
    SpeechModels,
    /// The one of that name, which may be percent-encoded.
    Model(&'a str),
}

impl<'a> Place<'a> {
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/v1/audio/speech" => Self::Speech,
            "/v1/audio/voices" => Self::List(List::Voices),
            "/v1/audio/models" => Self::List(List::SpeechModels),
            "/v1/models" => Self::List(List::Models),
            "/health" | "/healthz" | "/readyz" => Self::Health,
            openapi::PATH => Self::OpenApi,
            _ => Self::List(List::Model(path.strip_prefix("/v1/models/").filter(|id| !id.is_empty())?)),
        })
    }

    /// What requests to it are called; there are few of these.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Speech => "/v1/audio/speech",
            Self::List(List::Voices) => "/v1/audio/voices",
            Self::List(List::SpeechModels) => "/v1/audio/models",
            Self::List(List::Models) => "/v1/models",
            Self::List(List::Model(_)) => "/v1/models/{id}",
            Self::Health => "/health",
            Self::OpenApi => openapi::PATH,
        }
    }

    /// The methods it takes, as the `allow` header has them.
    pub(crate) fn methods(self) -> &'static str {
        match self {
            Self::Speech => "POST,OPTIONS",
            Self::List(_) | Self::Health | Self::OpenApi => "GET,HEAD,OPTIONS",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_a_path_of_its_own() {
        let model = Place::of("/v1/models/hibari%401").unwrap();
        assert_eq!(model, Place::List(List::Model("hibari%401")));
        assert_eq!(model.name(), "/v1/models/{id}");
        for unknown in ["/v1/models/", "/v1/audio/speech/", "/", "", "//v1/models"] {
            assert_eq!(Place::of(unknown), None, "{unknown}");
        }
    }
}
