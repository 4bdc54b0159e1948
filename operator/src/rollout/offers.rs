//! What a candidate would take from callers: pods refuse a voice, a language or a
//! model that they do not have, and raw PCM of another rate is played wrongly by
//! callers who have asked for none, and know the stable model's.

use ttsfleet_wire::admin::LoadedModel;

/// What callers may ask of the stable model and not of the candidate, in words;
/// nothing where a pod does not say what it offers.
pub(super) fn missing(stable: &LoadedModel, candidate: &LoadedModel) -> Vec<String> {
    let (old, new) = (&stable.offers, &candidate.offers);
    if old.sample_rate == 0 || new.sample_rate == 0 {
        return Vec::new();
    }
    let mut missing = Vec::new();
    if stable.name != candidate.name {
        missing.push(format!("model {}", stable.name));
    }
    let voices = old.voices.iter().filter(|voice| !new.voices.contains(voice));
    missing.extend(voices.map(|voice| format!("voice {voice}")));
    let languages = old.languages.iter().filter(|language| !new.languages.contains(language));
    missing.extend(languages.map(|language| format!("language {language}")));
    if old.sample_rate != new.sample_rate {
        missing.push(format!("pcm at {} samples a second (it has {})", old.sample_rate, new.sample_rate));
    }
    missing
}
