//! Labels of a fleet's objects, by which they are found.

/// Label of every object of every fleet, with its value.
pub const NAME: (&str, &str) = ("app.kubernetes.io/name", "ttsfleet");
/// Label with the fleet's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// Label with the part of the fleet.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Label with the pool's name.
pub const POOL: &str = "ttsfleet.dev/pool";
/// Label of what is there while a model is tried, with the name of the pool
/// that it is meant for. Not [`POOL`], by which the pool's own pods are found.
pub const TRIAL_OF: &str = "ttsfleet.dev/trial-of";

/// [`COMPONENT`] of the pools.
pub const INFERENCE: &str = "inference";
/// [`COMPONENT`] of the gateway.
pub const GATEWAY: &str = "gateway";
/// [`COMPONENT`] of pods that a model is tried in.
pub const SHADOW: &str = "shadow";
/// [`COMPONENT`] of pods with the model before, which it is compared with.
pub const BASELINE: &str = "baseline";
/// [`COMPONENT`] of what compares the two.
pub const JUDGE: &str = "judge";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_in_immutable_selectors_stay_as_they_are() {
        assert_eq!(NAME, ("app.kubernetes.io/name", "ttsfleet"));
        let keys = [INSTANCE, COMPONENT, POOL, TRIAL_OF];
        let expected = [
            "app.kubernetes.io/instance",
            "app.kubernetes.io/component",
            "ttsfleet.dev/pool",
            "ttsfleet.dev/trial-of",
        ];
        assert_eq!(keys, expected);
        let parts = [INFERENCE, GATEWAY, SHADOW, BASELINE, JUDGE];
        assert_eq!(parts, ["inference", "gateway", "shadow", "baseline", "judge"]);
    }
}
