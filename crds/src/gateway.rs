//! The fleet's gateway, and how it is reached from outside the cluster.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{Amount, rules};

/// The fleet's gateway: the pods behind the fleet's Service, which pass each
/// request on to a pool.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// Pods of the gateway. With one, a lost node means a short outage.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 50))]
    pub replicas: i32,

    /// What one pod of the gateway gets, and is held to.
    #[serde(default)]
    pub resources: GatewayResources,
}

/// What one pod of the gateway gets, and is held to. Each amount is request
/// and limit in one.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayResources {
    /// Memory, from 64Mi to 64Gi.
    #[serde(default = "default_memory")]
    #[x_kube(validation = rules::memory("gateway.resources.memory", "64Mi", "64Gi", "128Mi or 1Gi"))]
    pub memory: Amount,

    /// CPUs, from 50m (a twentieth) to 64.
    #[serde(default = "default_cpu")]
    #[x_kube(validation = rules::cpu("gateway.resources.cpu", "50m", "64"))]
    pub cpu: Amount,
}

/// How the fleet is reached from outside the cluster. Empty: not at all.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// Through an Ingress. Its patience is set by annotations that
    /// ingress-nginx reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// Through an HTTPRoute of the Gateway API, which the cluster must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRoute>,
}

/// An Ingress before the fleet.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Host name under which the fleet is reached.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::host("expose.ingress.host"))]
    pub host: String,

    /// The IngressClass; the cluster's default one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name("expose.ingress.ingressClassName"))]
    pub ingress_class_name: Option<String>,

    /// Secret of the fleet's namespace with the host's certificate; plain HTTP
    /// if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name("expose.ingress.tlsSecretName"))]
    pub tls_secret_name: Option<String>,
}

/// An HTTPRoute to the fleet.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// The Gateways that the route attaches to.
    #[schemars(length(min = 1, max = 8))]
    pub parent_refs: Vec<ParentRef>,

    /// Host names under which the fleet is reached; those of the Gateways if
    /// absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = rules::hosts("expose.httpRoute.hostnames"))]
    pub hostnames: Vec<String>,
}

/// A Gateway, or one of its listeners.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The Gateway's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name("parentRefs[].name"))]
    pub name: String,

    /// The Gateway's namespace; the fleet's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::object_name("parentRefs[].namespace"))]
    pub namespace: Option<String>,

    /// The Gateway's listener; all of them if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::object_name("parentRefs[].sectionName"))]
    pub section_name: Option<String>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self { replicas: default_replicas(), resources: GatewayResources::default() }
    }
}

impl Default for GatewayResources {
    fn default() -> Self {
        Self { memory: default_memory(), cpu: default_cpu() }
    }
}

fn default_replicas() -> i32 {
    2
}

fn default_memory() -> Amount {
    "128Mi".into()
}

fn default_cpu() -> Amount {
    "250m".into()
}
