//! The pods' identity.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::fleet_meta;
use crate::fleet::validate::Fleet;

/// An account without a token: the pods never talk to the API server.
pub(super) fn build(fleet: &Fleet) -> ServiceAccount {
    ServiceAccount {
        metadata: fleet_meta(fleet),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
