//! Identities.

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::children::{fleet_meta, gateway_meta};
use super::labels;
use crate::fleet::validate::Fleet;

/// The speech servers' account, without a token: they never talk to the API
/// server.
pub(super) fn of_pods(fleet: &Fleet) -> ServiceAccount {
    without_token(fleet_meta(fleet, labels::INFERENCE))
}

/// The gateway's account. Its pods ask for the token themselves, so that no
/// other pod gets it unasked.
pub(super) fn of_gateway(fleet: &Fleet) -> ServiceAccount {
    without_token(gateway_meta(fleet))
}

fn without_token(metadata: ObjectMeta) -> ServiceAccount {
    ServiceAccount { metadata, automount_service_account_token: Some(false), ..ServiceAccount::default() }
}
