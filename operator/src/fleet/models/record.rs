//! The record in the pool's model ConfigMap: finding and writing it.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt};
use ttsfleet_wire::model::MODEL_KEY;

use super::PoolPass;
use super::memory::Written;
use crate::fleet::apply::{Applier, ApplyError};
use crate::fleet::build::labels;
use crate::fleet::identity::{self, Owner};
use crate::fleet::reconcile::{Context, Error};
use crate::fleet::validate::{Fleet, FleetPool};
use crate::kinds::Live;
use crate::rollout::{PoolRecord, ROLLOUT_KEY};

/// A record, and the object that it was found in.
pub(super) struct OnRecord {
    pub(super) record: PoolRecord,
    /// Nothing was found, and the record is what a new pool's is.
    pub(super) is_first: bool,
    pub(super) object: Option<Arc<ConfigMap>>,
}

/// The newest record of a pool. The cache may lag behind our own writes, and
/// what others make of the object, or that they delete it, does not change what
/// the operator remembers to have written.
pub(super) async fn find(
    context: &Context,
    fleet: &Fleet,
    pool: &FleetPool,
    live: &Live,
) -> Result<OnRecord, Error> {
    let name = labels::pool_object(&fleet.name, &pool.name);
    let cached = live.config_maps.iter().find(|object| object.name_any() == name).cloned();
    let written = context.memory.written(&fleet.owner.uid, &pool.name);
    let object = match (cached, &written) {
        (Some(cached), Some(written)) if version(&written.object) > version(&cached) => {
            Some(Arc::clone(&written.object))
        }
        (Some(cached), _) => Some(cached),
        // Made a moment ago, without our labels, or not there.
        (None, _) => {
            let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &fleet.namespace);
            api.get_opt(&name).await.map_err(Error::Read)?.map(Arc::new)
        }
    };
    let remembered = written.map(|written| written.record);
    // Whose it is comes before what it says: a stranger's word is none of ours.
    let is_ours = |object: &&Arc<ConfigMap>| {
        matches!(identity::owner(object.as_ref(), &fleet.owner), Owner::Fleet | Owner::Orphan)
    };
    let ours = object.as_ref().filter(is_ours);
    let found = remembered.or_else(|| ours.and_then(|object| read(object)));
    let is_first = found.is_none();
    let record = found.unwrap_or_else(|| PoolRecord::first(pool.model.clone()));
    if let (Some(object), false) = (ours, is_first) {
        let written = Written { object: Arc::clone(object), record: record.clone() };
        context.memory.wrote(&fleet.owner.uid, &pool.name, written);
    }
    Ok(OnRecord { record, is_first, object })
}

fn read(object: &ConfigMap) -> Option<PoolRecord> {
    let value = |key| object.data.as_ref()?.get(key).map(String::as_str);
    PoolRecord::read(value(MODEL_KEY), value(ROLLOUT_KEY))
}

/// Grows with every write.
fn version(object: &ConfigMap) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Writes what follows, if it differs from what was found.
pub(super) async fn write(
    context: &Context,
    applier: &mut Applier<'_>,
    pool: &FleetPool,
    pass: &PoolPass,
    live: &mut Live,
) -> Result<(), ApplyError> {
    let (before, record) = (&pass.before, &pass.decision.record);
    if *record == before.record && before.object.is_some() {
        return Ok(());
    }
    let wanted = pass.config.clone();
    let object = applier.record(wanted, before.object.clone(), live).await?;
    let written = Written { object, record: record.clone() };
    context.memory.wrote(&applier.fleet.owner.uid, &pool.name, written);
    let ended = record.history.first().filter(|entry| before.record.history.first() != Some(*entry));
    if let Some(entry) = ended {
        context.metrics.rollout_ended(format!("{:?}", entry.outcome));
    }
    Ok(())
}
