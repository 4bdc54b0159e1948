//! Names of the headers that carry facts about a request or its answer.

/// The request's id: the caller's, or one made for it.
pub const REQUEST_ID: &str = "x-request-id";
/// W3C Trace Context.
pub const TRACE_PARENT: &str = "traceparent";
/// `true` if the text was cut because it was too long.
pub const TRUNCATED: &str = "x-tts-truncated";
/// Unicode characters of the text as sent. In a request from the gateway to a
/// pod: the text has been cut from this length.
pub const INPUT_CHARS: &str = "x-tts-input-chars";
/// Unicode characters of the text as spoken.
pub const SPOKEN_CHARS: &str = "x-tts-spoken-chars";
/// Letters of the text that the voice cannot speak and has left out, if there are any.
pub const SKIPPED_CHARS: &str = "x-tts-skipped-chars";
/// `true` if the text has no words, so that the audio is nothing but silence.
pub const NO_WORDS: &str = "x-tts-no-words";
/// Why the answer is not all it should be: `backup`, `empty-audio`.
pub const DEGRADED: &str = "x-tts-degraded";
/// In a request to the gateway: what its caller wants when every attempt has
/// failed, [`EMPTY_AUDIO`] or [`ERROR`], whatever the fleet says.
pub const ON_EXHAUSTED: &str = "x-tts-on-exhausted";
/// A valid file without sound: a value of [`ON_EXHAUSTED`] and of [`DEGRADED`].
pub const EMPTY_AUDIO: &str = "empty-audio";
/// A value of [`ON_EXHAUSTED`].
pub const ERROR: &str = "error";
/// In a request from the gateway to a pod: the caller's tier, which shares the
/// pod with others by its [`WEIGHT`].
pub const TIER: &str = "x-tts-tier";
/// In a request from the gateway to a pod: the tier's weight, 1 to 100.
pub const WEIGHT: &str = "x-tts-weight";
/// In a request from the gateway to a pod: tells one caller of a tier from the
/// others; nothing that could be used as a key.
pub const CALLER: &str = "x-tts-caller";
/// In a request from the gateway to a pod: `true` if the text is longer than the
/// fleet's `limits.maxInputChars`, so that it waits for shorter ones.
pub const LONG: &str = "x-tts-long";
/// In a request from the gateway to a pod: milliseconds for which it may wait for
/// a synthesis thread. What would wait for longer is refused, as it would come too
/// late and keep others waiting.
pub const PATIENCE_MS: &str = "x-tts-patience-ms";
/// In a request from the gateway to a pod: `served` if the model's name in the body
/// is one of the fleet's for whatever is served.
pub const MODEL_MEANT: &str = "x-tts-model-meant";
/// A value of [`MODEL_MEANT`].
pub const SERVED: &str = "served";
/// In a request from the gateway to a pod: the voice that the one in the body means
/// if the model has none of that name; empty for the model's first.
pub const VOICE_MEANT: &str = "x-tts-voice-meant";
/// In a request from the gateway to a pod: when the text came, in seconds since 1970,
/// which is what the audio says of its time; the same for each pod that is asked.
pub const CAME_AT: &str = "x-tts-came-at";
/// In a request from the gateway to a pod: `true` if another pod has begun to speak
/// it. The bytes must be those that it would have sent, so that nothing is held back
/// until the length is known.
pub const RESUMED: &str = "x-tts-resumed";
/// Fields of the request that mean nothing here, divided by commas.
pub const IGNORED: &str = "x-tts-ignored";
/// In a pod's refusal: `true` if it is this caller who has more than its share of
/// the pod; others are still let in.
pub const OVER_SHARE: &str = "x-tts-over-share";
/// `name@version` of the model that spoke.
pub const MODEL: &str = "x-tts-model";
/// `sha256:…` of the manifest of the model that spoke.
pub const DIGEST: &str = "x-tts-digest";
/// Samples per second of the audio, which bare samples do not say.
pub const SAMPLE_RATE: &str = "x-tts-sample-rate";
/// Says that the audio is synthetic speech, by whom, by which model and when: a
/// JSON object in ASCII. Absent where the fleet's marking is off.
pub const SYNTHETIC: &str = "x-tts-synthetic";
/// The pool that answered.
pub const POOL: &str = "x-tts-pool";
/// Milliseconds that the request waited for a synthesis thread.
pub const QUEUE_MS: &str = "x-tts-queue-ms";
/// In the trailer of a pod's answer, or in its head where all of it is known then:
/// milliseconds of audio.
pub const AUDIO_MS: &str = "x-tts-audio-ms";
/// Requests that the caller may send in a minute.
pub const LIMIT_REQUESTS: &str = "x-ratelimit-limit-requests";
/// How many of them are left.
pub const REMAINING_REQUESTS: &str = "x-ratelimit-remaining-requests";
/// When all of them are there again if no more are sent, as in `1m20s`.
pub const RESET_REQUESTS: &str = "x-ratelimit-reset-requests";
/// Characters that the caller may have spoken in a day.
pub const LIMIT_CHARACTERS: &str = "x-ratelimit-limit-characters";
/// How many of them are left.
pub const REMAINING_CHARACTERS: &str = "x-ratelimit-remaining-characters";
/// When all of them are there again, as in `5h0m0s`.
pub const RESET_CHARACTERS: &str = "x-ratelimit-reset-characters";
/// `false` if the same request fails again however soon it is sent; OpenAI's
/// clients heed it.
pub const SHOULD_RETRY: &str = "x-should-retry";
/// Attempts that it took.
pub const ATTEMPTS: &str = "x-tts-attempts";
