//! Makes the live objects what they shall be, with as few writes as possible.

mod drift;
mod error;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use super::build::{Wanted, labels};
use super::identity::{self, Owner};
use super::validate::Fleet;
use super::{models::Memory, ownership, repairs::Repairs};
use crate::FIELD_MANAGER;
use crate::kinds::{Child, Kind, Live};
use crate::metrics::Metrics;

use drift::Drift;
pub use error::ApplyError;
use error::{classify, describe};

/// Older than anything that the API server keeps.
const VERSION_OF_NOTHING: &str = "1";

/// An object that the API server makes something else of than was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjusted {
    /// Kind and name.
    pub object: String,
    /// What differs.
    pub fields: Vec<String>,
}

/// What was written.
#[derive(Debug, Default)]
pub struct Changes {
    /// Objects made.
    pub created: Vec<String>,
    /// Objects put right.
    pub updated: Vec<String>,
    /// Objects no longer wanted.
    pub removed: Vec<String>,
    /// Objects that are not as written, and are left so.
    pub adjusted: Vec<Adjusted>,
}

/// An object that is not as it shall be.
#[derive(Debug)]
pub struct Unwritten {
    /// Whether nobody's request depends on it.
    pub is_of_trial: bool,
    /// Why.
    pub error: ApplyError,
}

/// Writes one fleet's objects.
pub struct Applier<'a> {
    /// Where to.
    pub client: &'a Client,
    /// Bounds the writes.
    pub repairs: &'a Repairs,
    /// Counts them.
    pub metrics: &'a Metrics,
    /// Knows what came back of them.
    pub memory: &'a Memory,
    /// The time of this pass.
    pub now: Timestamp,
    /// The fleet.
    pub fleet: &'a Fleet,
    /// What was written so far.
    pub changes: Changes,
}

impl Applier<'_> {
    /// Makes all objects what they shall be, and `live` what they are then. Each
    /// is tried, whatever became of the others; gives what could not be written,
    /// what callers depend on first.
    pub async fn apply(&mut self, wanted: &Wanted, live: &mut Live) -> Vec<Unwritten> {
        let (mut failed, mut routed) = (Vec::new(), true);
        let is_new = live.deployments.is_empty();
        let route = ("ConfigMap", labels::gateway_object(&self.fleet.name));
        for child in &wanted.serving {
            let conflict = |failed: &Unwritten| matches!(failed.error, ApplyError::NameConflict { .. });
            // Nothing is started in the first place that could not be reached.
            if is_new && matches!(child, Child::Deployment(_)) && failed.iter().any(conflict) {
                continue;
            }
            if let Err(error) = child.ensure(self, live).await {
                routed &= child.identity() != route;
                failed.push(Unwritten { is_of_trial: false, error });
            }
        }
        // Pods go after the gateway was told to leave them alone.
        if routed {
            let identities: Vec<_> = wanted.all().map(Child::identity).collect();
            let errors = live.prune(self, &identities).await;
            failed.extend(errors.into_iter().map(|error| Unwritten { is_of_trial: false, error }));
        }
        for (children, is_of_trial) in [(&wanted.exposing, false), (&wanted.trying, true)] {
            for child in children {
                if let Err(error) = child.ensure(self, live).await {
                    failed.push(Unwritten { is_of_trial, error });
                }
            }
        }
        failed
    }

    /// Keeps what is there as it shall be although the pools' next records could
    /// not be written: nothing that follows from them may happen, so that no pool
    /// begins to serve, and nothing is tried or removed.
    pub async fn maintain(&mut self, wanted: &Wanted, live: &mut Live, error: ApplyError) -> Vec<Unwritten> {
        let mut failed = vec![Unwritten { is_of_trial: false, error }];
        let there: Vec<String> = live.deployments.iter().map(|deployment| deployment.name_any()).collect();
        let is_of_pool = |name: &str| {
            let pools = &self.fleet.pools;
            pools.iter().any(|pool| labels::pool_object(&self.fleet.name, &pool.name) == name)
        };
        let follows = |child: &&Child| match child.identity() {
            ("ConfigMap", name) => is_of_pool(&name),
            ("Deployment", name) => there.is_empty() || (is_of_pool(&name) && !there.contains(&name)),
            _ => false,
        };
        let kept: Vec<&Child> =
            wanted.serving.iter().chain(&wanted.exposing).filter(|child| !follows(child)).collect();
        for child in kept {
            if let Err(error) = child.ensure(self, live).await {
                failed.push(Unwritten { is_of_trial: false, error });
            }
        }
        failed
    }

    /// Writes what is on record of a pool, over the version that it was decided
    /// from and no other. It is ours alone to change, and may change often, so
    /// that no write of it counts as a repair.
    pub(crate) async fn record(
        &mut self,
        mut wanted: ConfigMap,
        known: Option<Arc<ConfigMap>>,
        live: &mut Live,
    ) -> Result<Arc<ConfigMap>, ApplyError> {
        let object = describe::<ConfigMap>(&wanted.name_any());
        match &known {
            Some(known) => {
                self.check_owner(&object, known.as_ref())?;
                wanted.metadata.resource_version = known.resource_version();
            }
            None => wanted.metadata.resource_version = Some(VERSION_OF_NOTHING.to_owned()),
        }
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.fleet.namespace);
        let now = self.patch(&api, &wanted).await?;
        if known.is_none() {
            self.changes.created.push(object);
        }
        live.config_maps.retain(|known| known.name_any() != now.name_any());
        live.config_maps.push(Arc::clone(&now));
        Ok(now)
    }

    pub(crate) async fn ensure<K: Kind>(&mut self, wanted: &K, live: &mut Live) -> Result<(), ApplyError> {
        let known = K::of(live).iter().find(|candidate| candidate.name_any() == wanted.name_any());
        let now = self.ensure_object(wanted, known.cloned()).await?;
        let objects = K::of_mut(live);
        objects.retain(|object| object.name_any() != now.name_any());
        objects.push(now);
        Ok(())
    }

    async fn ensure_object<K: Kind>(
        &mut self,
        wanted: &K,
        known: Option<Arc<K>>,
    ) -> Result<Arc<K>, ApplyError> {
        let name = wanted.name_any();
        let object = describe::<K>(&name);
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.fleet.namespace);
        let current = match known {
            Some(known) => known,
            // Not among the objects with our labels: it may still be there
            // without them, and then it must not be overwritten.
            None => match self.create(&api, wanted).await? {
                Some(created) => {
                    self.changes.created.push(object);
                    return Ok(created);
                }
                None => api.get(&name).await.map(Arc::new).map_err(|error| classify::<K>(&name, error))?,
            },
        };
        self.check_owner(&object, current.as_ref())?;
        let drift = Drift::of(wanted, current.as_ref());
        if drift.is_none() {
            return Ok(current);
        }
        let accepted = self.memory.accepted(&self.fleet.owner.uid, &object);
        if drift.intruder.is_none() && accepted == Some(drift.digest(wanted)) {
            self.changes.adjusted.push(Adjusted { object, fields: drift.paths() });
            return Ok(current);
        }
        let by = drift.by();
        if !self.repairs.allow(&format!("{}/{object}", self.fleet.namespace), self.now) {
            return Err(ApplyError::Overridden { object, by });
        }
        tracing::info!(
            fleet = self.fleet.name,
            namespace = self.fleet.namespace,
            object,
            by,
            "putting right"
        );
        if drift.intruder.is_some() {
            self.take_over(&api, &name).await?;
        }
        self.put_right(&api, wanted, object, &drift).await
    }

    /// Writes an object until it is as wanted, or has come back the same twice:
    /// then the API server makes that of it, by a webhook or a policy, and more
    /// writes would make nothing else.
    async fn put_right<K: Kind>(
        &mut self,
        api: &Api<K>,
        wanted: &K,
        object: String,
        found: &Drift,
    ) -> Result<Arc<K>, ApplyError> {
        let mut answer = self.patch(api, wanted).await?;
        let first = Drift::of(wanted, answer.as_ref());
        if first.intruder.is_some() {
            return Err(ApplyError::Overridden { object, by: first.by() });
        }
        // What was added may be left from somebody who is gone.
        let is_same = first == *found && !first.differences.iter().any(|difference| difference.is_added);
        if !first.is_none() && !is_same {
            answer = self.overwrite(api, wanted).await?;
        }
        let last = Drift::of(wanted, answer.as_ref());
        if last.is_none() {
            self.changes.updated.push(object);
        } else if last == first {
            self.memory.accept(&self.fleet.owner.uid, &object, last.digest(wanted));
            self.changes.adjusted.push(Adjusted { object, fields: last.paths() });
        } else {
            return Err(ApplyError::Overridden { object, by: last.by() });
        }
        Ok(answer)
    }

    /// Removes objects of the fleet that are not among the wanted ones; gives what
    /// could not be removed.
    pub(crate) async fn prune<K: Kind>(
        &mut self,
        live: &[Arc<K>],
        wanted: &[(&'static str, String)],
    ) -> Vec<ApplyError> {
        let mut failed = Vec::new();
        let api: Api<K> = Api::namespaced(self.client.clone(), &self.fleet.namespace);
        let kind = K::kind(&());
        let unwanted = live.iter().filter(|object| {
            let owned = identity::owner(object.as_ref(), &self.fleet.owner) == Owner::Fleet;
            let stays = wanted.iter().any(|(other, name)| *other == kind && *name == object.name_any());
            owned && !stays && object.meta().deletion_timestamp.is_none()
        });
        for object in unwanted {
            let name = object.name_any();
            let preconditions = Preconditions { uid: object.uid(), resource_version: None };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
            match api.delete(&name, &params).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => {
                    failed.push(classify::<K>(&name, error));
                    continue;
                }
                Ok(_) => {}
            }
            self.metrics.wrote(&kind, "delete");
            self.changes.removed.push(describe::<K>(&name));
        }
        failed
    }

    /// Makes an object; gives none where one of its name is there. An apply over
    /// a version that no object can have is refused then, and makes one otherwise,
    /// so that what somebody makes at the same time is never taken over.
    async fn create<K: Kind>(&self, api: &Api<K>, wanted: &K) -> Result<Option<Arc<K>>, ApplyError> {
        let mut wanted = wanted.clone();
        wanted.meta_mut().resource_version = Some(VERSION_OF_NOTHING.to_owned());
        match self.patch(api, &wanted).await {
            Ok(created) => Ok(Some(created)),
            Err(error) if error.is_outdated() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn patch<K: Kind>(&self, api: &Api<K>, wanted: &K) -> Result<Arc<K>, ApplyError> {
        let name = wanted.name_any();
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let result = api.patch(&name, &params, &Patch::Apply(wanted)).await;
        self.metrics.wrote(&K::kind(&()), "apply");
        result.map(Arc::new).map_err(|error| classify::<K>(&name, error))
    }

    /// Writes the whole object anew. An apply removes only what somebody is on
    /// record for, and a webhook that is gone may have left something behind that
    /// nobody is.
    async fn overwrite<K: Kind>(&self, api: &Api<K>, wanted: &K) -> Result<Arc<K>, ApplyError> {
        let name = wanted.name_any();
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let result = api.patch(&name, &params, &Patch::Merge(wanted)).await;
        self.metrics.wrote(&K::kind(&()), "overwrite");
        result.map_err(|error| classify::<K>(&name, error))?;
        self.take_over(api, &name).await?;
        self.patch(api, wanted).await
    }

    /// Records as ours what others wrote, so that the next apply removes it.
    async fn take_over<K: Kind>(&self, api: &Api<K>, name: &str) -> Result<(), ApplyError> {
        let transient = |error| classify::<K>(name, error);
        let current = api.get(name).await.map_err(transient)?;
        if ownership::intruder(current.meta()).is_none() {
            return Ok(());
        }
        let entries =
            ownership::taken_over(current.managed_fields()).into_iter().map(|entry| ManagedFieldsEntry {
                // Of the kind's own version, should an older one have been used.
                api_version: Some(K::api_version(&()).into_owned()),
                ..entry
            });
        let patch = json!({"metadata": {
            "resourceVersion": current.resource_version(),
            "managedFields": entries.collect::<Vec<_>>(),
        }});
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let result = api.patch(name, &params, &Patch::Merge(&patch)).await;
        self.metrics.wrote(&K::kind(&()), "take-over");
        result.map(|_| ()).map_err(transient)
    }

    fn check_owner<K: Kind>(&self, object: &str, current: &K) -> Result<(), ApplyError> {
        let conflict = |owner| Err(ApplyError::NameConflict { object: object.to_owned(), owner });
        match identity::owner(current, &self.fleet.owner) {
            Owner::Fleet | Owner::Orphan => {}
            Owner::Predecessor => return Err(ApplyError::Leaving(object.to_owned())),
            Owner::Other(owner) => return conflict(format!("{} {}", owner.kind, owner.name)),
            Owner::Nobody => return conflict("no TtsDeployment".to_owned()),
        }
        match current.meta().deletion_timestamp {
            Some(_) => Err(ApplyError::Leaving(object.to_owned())),
            None => Ok(()),
        }
    }
}
