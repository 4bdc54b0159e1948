//! What runs inside every cluster: its DNS.

use serde_json::{Value, json};

use crate::network::Plan;

/// CoreDNS with the rights it needs, as one list to apply.
pub(crate) fn dns(plan: Plan, image: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": [
        object("v1", "ServiceAccount", json!({})),
        cluster_role(),
        cluster_role_binding(),
        object("v1", "ConfigMap", json!({"data": {"Corefile": CONFIG}})),
        object("apps/v1", "Deployment", json!({"spec": deployment(image)})),
        object("v1", "Service", json!({"spec": {
            "clusterIP": plan.dns(),
            "selector": {"k8s-app": "coredns"},
            "ports": [
                {"name": "dns", "port": 53, "targetPort": 5353, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "targetPort": 5353, "protocol": "TCP"},
            ],
        }})),
    ]})
}

const CONFIG: &str = "\
.:5353 {
    errors
    health :8080
    ready :8181
    cache 5
    kubernetes cluster.local in-addr.arpa ip6.arpa
}
";

fn object(api: &str, kind: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "coredns"}},
    });
    if let (Some(object), Value::Object(rest)) = (object.as_object_mut(), rest) {
        object.extend(rest);
    }
    object
}

fn cluster_role() -> Value {
    let read = |group: &str, resources: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": ["list", "watch"]});
    object(
        "rbac.authorization.k8s.io/v1",
        "ClusterRole",
        json!({"rules": [
            read("", &["endpoints", "services", "pods", "namespaces"]),
            read("discovery.k8s.io", &["endpointslices"]),
        ]}),
    )
}

fn cluster_role_binding() -> Value {
    object(
        "rbac.authorization.k8s.io/v1",
        "ClusterRoleBinding",
        json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "coredns"},
            "subjects": [{"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}],
        }),
    )
}

fn deployment(image: &str) -> Value {
    json!({
        "selector": {"matchLabels": {"k8s-app": "coredns"}},
        "template": {
            "metadata": {"labels": {"k8s-app": "coredns"}},
            "spec": {
                "serviceAccountName": "coredns",
                "priorityClassName": "system-cluster-critical",
                "containers": [{
                    "name": "coredns",
                    "image": image,
                    "args": ["-conf", "/etc/coredns/Corefile"],
                    "resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "64Mi"}},
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
                }],
                "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
            },
        },
    })
}
