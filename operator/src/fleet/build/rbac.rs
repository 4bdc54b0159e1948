//! What the gateway may ask of the API server.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::children::gateway_meta;
use super::labels;
use crate::fleet::validate::Fleet;

/// Reading its own route table, and where the pools' pods are.
pub(super) fn role(fleet: &Fleet) -> Role {
    Role {
        metadata: gateway_meta(fleet),
        rules: Some(vec![
            PolicyRule {
                resource_names: Some(vec![labels::gateway_object(&fleet.name)]),
                ..reading("", "configmaps")
            },
            reading("discovery.k8s.io", "endpointslices"),
        ]),
    }
}

/// Gives the gateway that role.
pub(super) fn binding(fleet: &Fleet) -> RoleBinding {
    let name = labels::gateway_object(&fleet.name);
    RoleBinding {
        metadata: gateway_meta(fleet),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name,
            namespace: Some(fleet.namespace.clone()),
            api_group: None,
        }]),
    }
}

fn reading(group: &str, resource: &str) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        verbs: ["get", "list", "watch"].map(str::to_owned).into(),
        ..PolicyRule::default()
    }
}
