//! The one kind of the Gateway API that fleets use, as far as they use it.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an HTTPRoute says.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    plural = "httproutes",
    namespaced,
    schema = "disabled",
    derive = "PartialEq",
    doc = "A route of the Gateway API."
)]
#[serde(rename_all = "camelCase", default)]
pub struct HTTPRouteSpec {
    /// The Gateways it attaches to.
    pub parent_refs: Vec<Value>,
    /// Host names it answers to.
    pub hostnames: Vec<String>,
    /// Where requests go, and for how long.
    pub rules: Vec<Value>,
}
