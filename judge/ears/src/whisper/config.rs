use serde::Deserialize;

use crate::HearError;

/// How large the network is; the fields' names are those of the published file.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    pub(super) vocab_size: usize,
    pub(super) num_mel_bins: usize,
    pub(super) d_model: usize,
    pub(super) encoder_layers: usize,
    pub(super) encoder_attention_heads: usize,
    pub(super) encoder_ffn_dim: usize,
    pub(super) decoder_layers: usize,
    pub(super) decoder_attention_heads: usize,
    pub(super) decoder_ffn_dim: usize,
    pub(super) max_source_positions: usize,
    pub(super) max_target_positions: usize,
    #[serde(default = "gelu")]
    activation_function: String,
    #[serde(flatten)]
    pub(super) suppressed: Suppressed,
}

/// Tokens that are never said. They are in one file or the other, by age.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Suppressed {
    /// Anywhere: sounds and signs that are no speech.
    pub(super) suppress_tokens: Option<Vec<i64>>,
    /// At the beginning.
    pub(super) begin_suppress_tokens: Option<Vec<i64>>,
}

fn gelu() -> String {
    "gelu".to_owned()
}

/// Tokens of the models that know English only.
const ENGLISH_ONLY: usize = 51_864;

impl Config {
    /// Reads `config.json` and refuses what no Whisper is like: what it says
    /// becomes sizes of memory.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, HearError> {
        let unusable = |what: String| HearError::Weights(format!("config.json: {what}"));
        let config: Self = serde_json::from_slice(bytes).map_err(|error| unusable(error.to_string()))?;
        if config.activation_function != "gelu" {
            return Err(unusable(format!("activation {:?}, not \"gelu\"", config.activation_function)));
        }
        if config.vocab_size == ENGLISH_ONLY {
            return Err(unusable("a model of English only; take one of many languages".to_owned()));
        }
        for (name, size, most) in [
            ("vocab_size", config.vocab_size, 100_000),
            ("num_mel_bins", config.num_mel_bins, 128),
            ("d_model", config.d_model, 2_048),
            ("encoder_layers", config.encoder_layers, 64),
            ("encoder_attention_heads", config.encoder_attention_heads, 64),
            ("encoder_ffn_dim", config.encoder_ffn_dim, 8_192),
            ("decoder_layers", config.decoder_layers, 64),
            ("decoder_attention_heads", config.decoder_attention_heads, 64),
            ("decoder_ffn_dim", config.decoder_ffn_dim, 8_192),
            ("max_target_positions", config.max_target_positions, 1_024),
        ] {
            if !(1..=most).contains(&size) {
                return Err(unusable(format!("{name} is {size}, not 1 to {most}")));
            }
        }
        if config.max_source_positions != super::FRAMES / 2 {
            let most = super::FRAMES / 2;
            return Err(unusable(format!(
                "max_source_positions is {}, not {most}",
                config.max_source_positions
            )));
        }
        for heads in [config.encoder_attention_heads, config.decoder_attention_heads] {
            if !config.d_model.is_multiple_of(heads) {
                return Err(unusable(format!("d_model {} does not part into {heads} heads", config.d_model)));
            }
        }
        Ok(config)
    }
}
