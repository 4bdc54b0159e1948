//! For each rule of the TtsDeployment kind, a spec that it accepts and one that
//! it refuses.

use serde_json::{Value, json};

/// A rule, told by a piece of its message, with specs it accepts and refuses.
pub(crate) struct Rule {
    pub(crate) message: &'static str,
    pub(crate) accepted: Value,
    pub(crate) refused: Value,
}

fn pool(fields: Value) -> Value {
    let mut pool = json!({"name": "main"});
    for (key, value) in fields.as_object().into_iter().flatten() {
        pool[key] = value.clone();
    }
    json!({"pools": [pool]})
}

fn resources(fields: Value) -> Value {
    pool(json!({"resources": fields}))
}

fn gpu(fields: Value) -> Value {
    resources(json!({"gpu": fields}))
}

fn model(name: &str, version: &str) -> Value {
    pool(json!({"model": {"name": name, "version": version, "source": {"uri": "file:///models/a"}}}))
}

fn source(uri: &str, digest: Option<&str>) -> Value {
    let mut source = json!({"uri": uri});
    if let Some(digest) = digest {
        source["digest"] = digest.into();
    }
    pool(json!({"model": {"name": "hibari", "version": "1", "source": source}}))
}

fn with_secret(uri: &str, digest: Option<&str>) -> Value {
    let mut spec = source(uri, digest);
    spec["pools"][0]["model"]["source"]["secretRef"] = json!({"name": "voices"});
    spec
}

/// Samples that differ in one field.
fn pair(path: &[&str], message: &'static str, accepted: &str, refused: &str) -> Rule {
    let spec = |value: &str| path.iter().rev().fold(json!(value), |inner, field| json!({*field: inner}));
    Rule { message, accepted: spec(accepted), refused: spec(refused) }
}

/// All rules but those about names and changes.
pub(crate) fn rules() -> Vec<Rule> {
    [
        pools(),
        resource_rules(),
        model_rules(),
        rollout_rules(),
        routing(),
        durations(),
        patience(),
        exposure(),
        traces(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn rule(message: &'static str, accepted: Value, refused: Value) -> Rule {
    Rule { message, accepted, refused }
}

fn pools() -> Vec<Rule> {
    vec![
        rule("a pool's name must be", json!({"pools": [{"name": "a-1"}]}), json!({"pools": [{"name": "A"}]})),
        rule(
            "a pool cannot be named gateway",
            json!({"pools": [{"name": "gateway-2"}, {"name": "shadow-2"}]}),
            json!({"pools": [{"name": "main"}, {"name": "main-shadow"}]}),
        ),
        rule(
            "capacity.maxConcurrency must be at least",
            pool(json!({"capacity": {"workers": 4, "maxConcurrency": 4, "maxQueueDepth": 1}})),
            pool(json!({"capacity": {"workers": 4, "maxConcurrency": 3, "maxQueueDepth": 1}})),
        ),
        rule(
            "capacity.maxQueueDepth must be below",
            pool(json!({"capacity": {"maxConcurrency": 21}})),
            pool(json!({"capacity": {"maxConcurrency": 20}})),
        ),
    ]
}

fn resource_rules() -> Vec<Rule> {
    vec![
        rule(
            "resources.memory must be",
            resources(json!({"memory": 8_589_934_592_u64})),
            resources(json!({"memory": "63Mi"})),
        ),
        rule("resources.cpu must be", resources(json!({"cpu": "1.5"})), resources(json!({"cpu": "1.5Gi"}))),
        rule(
            "resources.ephemeralStorage must be",
            resources(json!({"ephemeralStorage": "128Mi"})),
            resources(json!({"ephemeralStorage": "lots"})),
        ),
        rule(
            "gateway.resources.memory must be",
            json!({"gateway": {"replicas": 50, "resources": {"memory": "64Mi"}}}),
            json!({"gateway": {"resources": {"memory": "65Gi"}}}),
        ),
        rule(
            "gateway.resources.cpu must be",
            json!({"gateway": {"resources": {"cpu": 2}}}),
            json!({"gateway": {"resources": {"cpu": "10m"}}}),
        ),
        rule(
            "gpu.count goes with",
            gpu(json!({"mode": "Exclusive", "count": 2})),
            gpu(json!({"mode": "None", "count": 2})),
        ),
        rule(
            "gpu.memoryLimit goes with",
            gpu(json!({"mode": "Mps", "memoryLimit": "6Gi"})),
            gpu(json!({"mode": "Exclusive", "memoryLimit": "6Gi"})),
        ),
        rule(
            "gpu.activeThreadPercent goes with",
            gpu(json!({"mode": "Mps", "memoryLimit": "6Gi", "activeThreadPercent": 100})),
            gpu(json!({"mode": "Exclusive", "activeThreadPercent": 50})),
        ),
        rule(
            "gpu.mode: Mps needs",
            gpu(json!({"mode": "Mps", "memoryLimit": "1Gi"})),
            gpu(json!({"mode": "Mps"})),
        ),
        rule(
            "gpu.memoryLimit must be",
            gpu(json!({"mode": "Mps", "memoryLimit": "64Mi"})),
            gpu(json!({"mode": "Mps", "memoryLimit": "1"})),
        ),
    ]
}

fn model_rules() -> Vec<Rule> {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let digest = Some(digest.as_str());
    vec![
        rule("model.name must be", model("hibari", "1"), model("-hibari", "1")),
        rule("model.version must be", model("hibari", "2026-02"), model("hibari", "a b")),
        rule(
            "source.digest is required",
            source("file:///models/a", None),
            source("https://models.example/a", None),
        ),
        rule(
            "source.digest must be",
            source("https://models.example/a", digest),
            source("https://models.example/a", Some("sha256:1234")),
        ),
        rule("source.uri must be", source("s3://models/a", digest), source("ftp://models.example/a", digest)),
        rule(
            "source.uri must not hold a user name",
            source("https://models.example/a@1", digest),
            source("https://user:secret@models.example/a", digest),
        ),
        rule(
            "source.uri must not have . or ..",
            source("pvc://voices/..a/b", digest),
            source("pvc://voices/a/../b", digest),
        ),
        rule(
            "source.secretRef goes with",
            with_secret("s3://models/a", digest),
            with_secret("pvc://voices/a", digest),
        ),
    ]
}

/// Samples that differ in one field of the rollout.
fn of_rollout(path: &[&str], message: &'static str, accepted: &str, refused: &str) -> Rule {
    pair(&[&["rollout"], path].concat(), message, accepted, refused)
}

fn recogniser(fields: Value) -> Value {
    json!({"rollout": {"judge": {"recogniser": fields}}})
}

fn whisper(uri: &str) -> Value {
    let digest = format!("sha256:{}", "0a".repeat(32));
    recogniser(json!({"kind": "Whisper", "source": {"uri": uri, "digest": digest}}))
}

fn traces() -> Vec<Rule> {
    let to = |endpoint: &str| json!({"observability": {"traces": {"endpoint": endpoint}}});
    let message = "observability.traces.endpoint must be http://";
    vec![rule(message, to("http://collector.observability:4318"), to("https://collector:4318"))]
}

fn rollout_rules() -> Vec<Rule> {
    let judge = |field, message, accepted, refused| {
        of_rollout(&["judge", "resources", field], message, accepted, refused)
    };
    let gate = |gate, field, message, accepted, refused| {
        of_rollout(&["gates", gate, field], message, accepted, refused)
    };
    let drain_first = |replicas: i32| json!({"pools": [{"name": "main", "replicas": replicas}], "rollout": {"swap": {"headroom": "DrainFirst"}}});
    vec![
        rule("rollout.swap.headroom: DrainFirst", drain_first(2), drain_first(1)),
        of_rollout(&["shadow", "deadline"], "rollout.shadow.deadline must be", "24h", "59s"),
        of_rollout(
            &["shadow", "promptsFrom", "configMapRef", "name"],
            "configMapRef.name must be",
            "prompts.en",
            "Prompts",
        ),
        gate("cer", "maxIncreasePoints", "gates.cer.maxIncreasePoints must be", "0.01", "2,0"),
        gate("mos", "maxDecrease", "gates.mos.maxDecrease must be", "4", "0"),
        gate("prosody", "maxDistance", "gates.prosody.maxDistance must be", "0.250", "-1"),
        gate("loudness", "maxDifferenceDb", "gates.loudness.maxDifferenceDb must be", "0.1", "0"),
        gate("treble", "maxDifferenceDb", "gates.treble.maxDifferenceDb must be", "20", "20.1"),
        gate("errors", "maxIncreasePoints", "gates.errors.maxIncreasePoints must be", "100", "100.1"),
        gate("firstSound", "maxP95Ratio", "gates.firstSound.maxP95Ratio must be", "1.5", "0"),
        gate("latency", "maxP95Ratio", "gates.latency.maxP95Ratio must be", "1", "0.99"),
        rule(
            "recogniser.source goes with",
            recogniser(json!({"kind": "Whisper", "source": {"uri": "file:///models/whisper"}})),
            recogniser(json!({"kind": "Whisper"})),
        ),
        rule(
            "recogniser.source.uri must be pvc",
            whisper("pvc://ears/whisper"),
            whisper("https://models/whisper"),
        ),
        judge("memory", "rollout.judge.resources.memory must be", "256Mi", "255Mi"),
        judge("cpu", "rollout.judge.resources.cpu must be", "100m", "99m"),
        of_rollout(&["swap", "soak"], "rollout.swap.soak must be", "0s", "25h"),
    ]
}

fn tier(name: &str, pools: &[&str]) -> Value {
    json!({"routing": {"tiers": [{"name": name, "pools": pools}]}})
}

fn tier_from(fields: Value) -> Value {
    json!({"routing": {"tierFrom": fields}})
}

fn routing() -> Vec<Rule> {
    vec![
        rule("routing.tiers[].pools must name", tier("premium", &["main"]), tier("premium", &["spare"])),
        rule("a tier's name must be", tier("premium", &["main"]), tier("Premium", &["main"])),
        rule("a tier's pools must name each pool once", tier("a", &["main"]), tier("a", &["main", "main"])),
        rule(
            "routing.defaultTier must be",
            json!({"routing": {"defaultTier": "standard"}}),
            json!({"routing": {"tiers": [{"name": "premium", "pools": ["main"]}], "defaultTier": "standard"}}),
        ),
        rule(
            "routing.tierFrom takes",
            tier_from(json!({"apiKeySecretRef": {"name": "keys"}})),
            tier_from(json!({"apiKeySecretRef": {"name": "keys"}, "header": "x-tier"})),
        ),
        rule(
            "the Secret's name must be",
            tier_from(json!({"apiKeySecretRef": {"name": "a.b"}})),
            tier_from(json!({"apiKeySecretRef": {"name": "A"}})),
        ),
        rule(
            "routing.tierFrom.header must be",
            tier_from(json!({"header": "x-tier"})),
            tier_from(json!({"header": "X-Tier"})),
        ),
        pair(
            &["limits", "onOverflow"],
            "limits.onOverflow must be Auto, Truncate or Reject; Enqueue comes with asynchronous jobs",
            "Reject",
            "Enqueue",
        ),
        rule(
            "limits.maxInputChars must not be above limits.hardLimit",
            json!({"limits": {"maxInputChars": 600, "hardLimit": 600}}),
            json!({"limits": {"maxInputChars": 600, "hardLimit": 599}}),
        ),
        rule(
            "api.aliases.voices takes names of at most 128 characters",
            json!({"api": {"aliases": {"voices": {"alloy": "heart", "echo": ""}}}}),
            json!({"api": {"aliases": {"voices": {"alloy": "h".repeat(129)}}}}),
        ),
        rule(
            "lexicon.entries takes words of 1 to 64 characters",
            json!({"lexicon": {"entries": {"C#": "see sharp", "w".repeat(64): "x".repeat(256)}}}),
            json!({"lexicon": {"entries": {"kubectl": ""}}}),
        ),
        rule(
            "api.cors.origins must be origins without a path",
            json!({"api": {"cors": {"origins": ["https://app.example.com:8443", "*", "app://local"]}}}),
            json!({"api": {"cors": {"origins": ["https://app.example.com/page"]}}}),
        ),
    ]
}

/// Durations by themselves; the other ones stay as they are by default.
fn durations() -> Vec<Rule> {
    let timeout = |field, message, accepted, refused| {
        pair(&["resilience", "timeouts", field], message, accepted, refused)
    };
    let retry = |field, message, accepted, refused| {
        pair(&["resilience", "retries", field], message, accepted, refused)
    };
    let slow_call = |field, message, accepted, refused| {
        pair(&["resilience", "breaker", "slowCall", field], message, accepted, refused)
    };
    vec![
        pair(&["drainTimeout"], "drainTimeout must be", "1m30s", "2h"),
        timeout("attempt", "timeouts.attempt must be", "2s500ms", "50ms"),
        timeout("total", "timeouts.total must be", "10s", "6m"),
        timeout("idle", "timeouts.idle must be", "1m", "61s"),
        timeout("client", "timeouts.client must be", "30s", "soon"),
        timeout("ingress", "timeouts.ingress must be", "1h", "61m"),
        retry("initialBackoff", "retries.initialBackoff must be", "10ms", "9ms"),
        retry("maxBackoff", "retries.maxBackoff must be", "30s", "31s"),
        slow_call("threshold", "breaker.slowCall.threshold must be a duration", "10ms", "-1s"),
        slow_call("recovery", "breaker.slowCall.recovery must be", "100ms", "1 s"),
        pair(&["resilience", "breaker", "queue", "openFor"], "breaker.queue.openFor must be", "10m", "500ms"),
    ]
}

/// Durations that depend on each other.
fn patience() -> Vec<Rule> {
    let resilience = |fields: Value| json!({"resilience": fields});
    vec![
        rule(
            "timeouts must get shorter from outside in",
            resilience(json!({"timeouts": {"total": "14s999ms"}})),
            resilience(json!({"timeouts": {"total": "15s"}})),
        ),
        rule(
            "retries.attempts times timeouts.attempt must fit",
            resilience(json!({"retries": {"attempts": 4}, "timeouts": {"attempt": "2250ms"}})),
            resilience(json!({"retries": {"attempts": 4}, "timeouts": {"attempt": "2251ms"}})),
        ),
        rule(
            "breaker.slowCall.threshold must be below",
            resilience(json!({"breaker": {"slowCall": {"threshold": "2999ms"}}})),
            resilience(json!({"breaker": {"slowCall": {"threshold": "3s"}}})),
        ),
        rule(
            "retries.initialBackoff must not be above",
            resilience(json!({"retries": {"initialBackoff": "2s"}})),
            resilience(json!({"retries": {"initialBackoff": "2001ms"}})),
        ),
    ]
}

fn ingress(fields: Value) -> Value {
    let mut ingress = json!({"host": "speech.example.com"});
    for (key, value) in fields.as_object().into_iter().flatten() {
        ingress[key] = value.clone();
    }
    json!({"expose": {"ingress": ingress}})
}

fn http_route(parent: Value, hostnames: Value) -> Value {
    json!({"expose": {"httpRoute": {"parentRefs": [parent], "hostnames": hostnames}}})
}

fn exposure() -> Vec<Rule> {
    let parent = |fields: Value| http_route(fields, json!([]));
    vec![
        rule(
            "expose.ingress.host must be",
            ingress(json!({"host": "*.example.com"})),
            ingress(json!({"host": "https://speech.example.com"})),
        ),
        rule(
            "expose.ingress.ingressClassName must be",
            ingress(json!({"ingressClassName": "nginx"})),
            ingress(json!({"ingressClassName": "Nginx"})),
        ),
        rule(
            "expose.ingress.tlsSecretName must be",
            ingress(json!({"tlsSecretName": "speech-tls"})),
            ingress(json!({"tlsSecretName": "speech_tls"})),
        ),
        rule(
            "expose.httpRoute.hostnames must be",
            http_route(json!({"name": "edge"}), json!(["speech.example.com", "*.example.com"])),
            http_route(json!({"name": "edge"}), json!(["speech.example.com:443"])),
        ),
        rule("parentRefs[].name must be", parent(json!({"name": "edge"})), parent(json!({"name": "Edge"}))),
        rule(
            "parentRefs[].namespace must be",
            parent(json!({"name": "edge", "namespace": "gateways"})),
            parent(json!({"name": "edge", "namespace": "Gateways"})),
        ),
        rule(
            "parentRefs[].sectionName must be",
            parent(json!({"name": "edge", "sectionName": "https"})),
            parent(json!({"name": "edge", "sectionName": "https_"})),
        ),
    ]
}
