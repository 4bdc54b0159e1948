//! What kind of cluster this is, as far as pods have to differ for it.

use kube::Client;

/// The API of OpenShift's security context constraints.
const CONSTRAINTS: &str = "security.openshift.io";

/// Whether the cluster gives each namespace's pods their user and group, and
/// refuses any other, as OpenShift does.
///
/// # Errors
/// When the API server does not answer.
pub async fn assigns_users(client: &Client) -> kube::Result<bool> {
    let served = client.list_api_groups().await?;
    Ok(served.groups.iter().any(|group| group.name == CONSTRAINTS))
}
