//! What the operator remembers of the cluster: its own objects, cut down to
//! what decisions need.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::{Writer, WriterDropped};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use ttsfleet_crds::TtsDeployment;

use crate::backoff::Pauses;
use crate::fleet::build::labels;
use crate::fleet::{identity, ownership};
use crate::kinds::{ChildWriters, Children, Kind, Live};

const OUR_ANNOTATIONS: &str = "ttsfleet.dev/";

/// The objects as last seen.
#[derive(Clone)]
pub struct Caches {
    pub(crate) fleets: Store<TtsDeployment>,
    children: Children,
    /// What carries the fleets' labels, made by them or not: pods, without their
    /// specs,
    pods: Store<Pod>,
    /// the ReplicaSets that tell which of them are theirs,
    replica_sets: Store<PartialObjectMeta<ReplicaSet>>,
    /// and what their Services lead to.
    endpoints: Store<EndpointSlice>,
    /// Whether every kind has been listed once.
    listed: watch::Receiver<bool>,
}

/// The writing ends of [`Caches`].
pub(crate) struct Writers {
    pub(crate) fleets: Writer<TtsDeployment>,
    pub(crate) children: ChildWriters,
    pub(crate) pods: Writer<Pod>,
    pub(crate) replica_sets: Writer<PartialObjectMeta<ReplicaSet>>,
    pub(crate) endpoints: Writer<EndpointSlice>,
    pub(crate) listed: watch::Sender<bool>,
}

impl Caches {
    pub(crate) fn new() -> (Self, Writers) {
        let (fleets, fleets_writer) = reflector::store();
        let (children, children_writers) = Children::new();
        let (pods, pods_writer) = reflector::store();
        let (replica_sets, replica_sets_writer) = reflector::store();
        let (endpoints, endpoints_writer) = reflector::store();
        let (listed_sender, listed) = watch::channel(false);
        let writers = Writers {
            fleets: fleets_writer,
            children: children_writers,
            pods: pods_writer,
            replica_sets: replica_sets_writer,
            endpoints: endpoints_writer,
            listed: listed_sender,
        };
        (Self { fleets, children, pods, replica_sets, endpoints, listed }, writers)
    }

    /// Resolves when every kind has been listed once. Deciding on less would
    /// make what is there look missing. The fleets themselves are listed before
    /// there is anything to decide.
    pub(crate) async fn ready(&self) -> Result<(), watch::error::RecvError> {
        self.listed.clone().wait_for(|listed| *listed).await.map(drop)
    }

    /// Waits for the first lists and lets all that wait in [`Caches::ready`] go.
    /// A store wakes only one of the tasks that wait for it, so that this has to
    /// be the only one.
    pub(crate) async fn await_lists(self, listed: watch::Sender<bool>) -> Result<(), WriterDropped> {
        self.children.ready().await?;
        self.pods.wait_until_ready().await?;
        self.replica_sets.wait_until_ready().await?;
        self.endpoints.wait_until_ready().await?;
        listed.send_replace(true);
        Ok(())
    }

    /// Everything about a fleet.
    pub(crate) fn gather(&self, fleet: &TtsDeployment) -> Live {
        let live = self.children.of_fleet(fleet);
        let replica_sets = of_fleet(fleet, &self.replica_sets);
        let labelled = of_fleet(fleet, &self.pods);
        let pods = identity::own_pods(fleet, &live.deployments, &replica_sets, labelled);
        Live { pods, endpoints: of_fleet(fleet, &self.endpoints), ..live }
    }
}

/// All fleets' objects of one kind, as last seen.
#[derive(Clone)]
pub(crate) struct Cache<K: Kind> {
    objects: Store<K>,
    /// Whether the cluster lacks the kind: that of an add-on, say.
    missing: watch::Receiver<bool>,
}

/// The writing end of a [`Cache`].
pub(crate) struct CacheWriter<K: Kind> {
    objects: Writer<K>,
    missing: watch::Sender<bool>,
}

/// An empty cache.
pub(crate) fn new<K: Kind>() -> (Cache<K>, CacheWriter<K>) {
    let (store, writer) = reflector::store();
    let (sender, receiver) = watch::channel(false);
    (Cache { objects: store, missing: receiver }, CacheWriter { objects: writer, missing: sender })
}

impl<K: Kind> Cache<K> {
    /// Resolves when the kind has been listed, or is known to be missing.
    pub(crate) async fn ready(&self) -> Result<(), WriterDropped> {
        let mut missing = self.missing.clone();
        tokio::select! {
            listed = self.objects.wait_until_ready() => listed,
            Ok(_) = missing.wait_for(|missing| *missing) => Ok(()),
        }
    }

    /// Those of one fleet.
    pub(crate) fn of_fleet(&self, fleet: &TtsDeployment) -> Vec<Arc<K>> {
        of_fleet(fleet, &self.objects)
    }
}

fn of_fleet<K>(fleet: &TtsDeployment, store: &Store<K>) -> Vec<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let uid = fleet.metadata.uid.as_deref();
    let (name, namespace) = (fleet.metadata.name.as_deref(), fleet.metadata.namespace.as_deref());
    store.state_filter(|object| {
        let labelled = object.labels().get(labels::INSTANCE).map(String::as_str) == name;
        let owned = object.owner_references().iter().any(|owner| Some(owner.uid.as_str()) == uid);
        object.meta().namespace.as_deref() == namespace && (labelled || owned)
    })
}

/// The fleets that an object speaks of, by its label and its owner: somebody may
/// have taken either away. Whose it is is looked at in the pass.
pub(crate) fn fleets_of<K: Resource>(object: K) -> Vec<ObjectRef<TtsDeployment>> {
    let namespace = object.meta().namespace.as_deref();
    let labelled = object.labels().get(labels::INSTANCE).zip(namespace);
    let labelled = labelled.map(|(fleet, namespace)| ObjectRef::new(fleet).within(namespace));
    let owned =
        object.owner_references().iter().filter_map(|owner| ObjectRef::from_owner_ref(namespace, owner, ()));
    owned.chain(labelled).collect()
}

/// Objects of the kind that belong to fleets, in one namespace or all.
pub(crate) fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Watches children of one kind into a cache. If the cluster lacks the kind,
/// that is asked again and again, quietly.
pub(crate) fn children<K: Kind>(
    api: Api<K>,
    writer: CacheWriter<K>,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + 'static {
    let CacheWriter { objects, missing } = writer;
    let config = watcher::Config::default().labels(labels::SELECTOR);
    let watched = watch(api, objects, config, |object: &mut K| ownership::keep_intruders(object.meta_mut()));
    watched.filter_map(move |item| {
        let lacking = matches!(&item, Err(error) if is_missing(error));
        if lacking {
            missing.send_replace(true);
        }
        std::future::ready((!lacking).then_some(item))
    })
}

fn is_missing(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::InitialListFailed(kube::Error::Api(status)) if status.code == 404)
}

/// Watches what carries the fleets' labels as pods into a cache.
pub(crate) fn pods(
    api: Api<Pod>,
    writer: Writer<Pod>,
) -> impl Stream<Item = Result<Pod, watcher::Error>> + Send {
    watch(api, writer, watcher::Config::default().labels(labels::OF_ANY_FLEET), |pod: &mut Pod| {
        pod.metadata.managed_fields = None;
        pod.metadata.annotations = None;
        pod.spec = None;
    })
}

/// Watches whose the ReplicaSets are. That they count their pods is no news.
pub(crate) fn replica_sets(
    api: Api<PartialObjectMeta<ReplicaSet>>,
    writer: Writer<PartialObjectMeta<ReplicaSet>>,
) -> impl Stream<Item = Result<PartialObjectMeta<ReplicaSet>, watcher::Error>> + Send {
    let config = watcher::Config::default().labels(labels::OF_ANY_FLEET);
    let sets = watch(api, writer, config, |set: &mut PartialObjectMeta<ReplicaSet>| {
        set.metadata.managed_fields = None;
        set.metadata.annotations = None;
    });
    sets.predicate_filter(whose, Default::default())
}

fn whose(set: &PartialObjectMeta<ReplicaSet>) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    identity::maker(set).hash(&mut hasher);
    Some(hasher.finish())
}

/// Watches what the fleets' Services lead to into a cache.
pub(crate) fn endpoints(
    api: Api<EndpointSlice>,
    writer: Writer<EndpointSlice>,
) -> impl Stream<Item = Result<EndpointSlice, watcher::Error>> + Send {
    let config = watcher::Config::default().labels(labels::OF_ANY_FLEET);
    watch(api, writer, config, |slice: &mut EndpointSlice| {
        slice.metadata.managed_fields = None;
        slice.metadata.annotations = None;
    })
}

/// Watches the fleets into a cache.
pub(crate) fn fleets(
    api: Api<TtsDeployment>,
    writer: Writer<TtsDeployment>,
) -> impl Stream<Item = Result<TtsDeployment, watcher::Error>> + Send {
    watch(api, writer, watcher::Config::default(), |fleet: &mut TtsDeployment| {
        fleet.metadata.managed_fields = None;
        // Commands; what others write there may be long.
        if let Some(annotations) = &mut fleet.metadata.annotations {
            annotations.retain(|key, _| key.starts_with(OUR_ANNOTATIONS));
        }
    })
}

fn watch<K>(
    api: Api<K>,
    writer: Writer<K>,
    config: watcher::Config,
    cut_down: impl Fn(&mut K) + Send + 'static,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Send + Sync + 'static,
{
    let events = watcher(api, config).backoff(Pauses::of_watch()).modify(cut_down);
    with_missed_deletes(events, writer.as_reader()).reflect(writer).touched_objects().boxed()
}

/// Tells of what was deleted while the watch was interrupted: a new list does not
/// hold it, and says nothing more of it.
fn with_missed_deletes<K, E>(
    events: impl Stream<Item = Result<Event<K>, E>>,
    known: Store<K>,
) -> impl Stream<Item = Result<Event<K>, E>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let mut listed = HashSet::new();
    events.flat_map(move |event| {
        let missed = match &event {
            Ok(Event::InitApply(object)) => {
                listed.insert(ObjectRef::from_obj(object));
                Vec::new()
            }
            Ok(Event::InitDone) => {
                let listed = std::mem::take(&mut listed);
                known.state_filter(|object| !listed.contains(&ObjectRef::from_obj(object)))
            }
            Ok(Event::Init) => {
                listed.clear();
                Vec::new()
            }
            _ => Vec::new(),
        };
        let missed = missed.into_iter().map(|object| Ok(Event::Delete(K::clone(&object))));
        stream::iter(missed.chain([event]).collect::<Vec<_>>())
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn object(name: &str) -> ConfigMap {
        let owner = json!([{"apiVersion": "ttsfleet.dev/v1alpha1", "kind": "TtsDeployment", "name": "old", "uid": "1"}]);
        let labels = json!({"app.kubernetes.io/instance": "narrator"});
        let metadata =
            json!({"name": name, "namespace": "studio", "labels": labels, "ownerReferences": owner});
        serde_json::from_value(json!({"metadata": metadata})).expect("an object")
    }

    #[tokio::test]
    async fn what_a_new_list_does_not_hold_any_more_is_told_as_deleted_once() {
        let list = |names: &'static [&'static str]| {
            let listed = names.iter().map(|name| Event::InitApply(object(name)));
            [Event::Init].into_iter().chain(listed).chain([Event::InitDone])
        };
        let events = list(&["a", "b"]).chain(list(&["b"])).chain(list(&["b"]));
        let (known, writer) = reflector::store();
        let events = stream::iter(events.map(Ok::<_, watcher::Error>));
        let told = with_missed_deletes(events, known.clone()).reflect(writer);
        let deleted = told.filter_map(|event| {
            let deleted = match event {
                Ok(Event::Delete(object)) => Some(object.name_any()),
                _ => None,
            };
            std::future::ready(deleted)
        });
        assert_eq!(deleted.collect::<Vec<_>>().await, ["a"]);
        assert_eq!(known.state().iter().map(|object| object.name_any()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn an_object_speaks_of_the_fleets_of_its_owner_and_its_label() {
        let told = |object| {
            let fleets = fleets_of::<ConfigMap>(object);
            fleets.into_iter().map(|fleet| (fleet.name, fleet.namespace)).collect::<Vec<_>>()
        };
        let fleet = |name: &str| (name.to_owned(), Some("studio".to_owned()));
        let mut object = object("a");
        assert_eq!(told(object.clone()), [fleet("old"), fleet("narrator")]);
        object.metadata.owner_references = None;
        assert_eq!(told(object.clone()), [fleet("narrator")]);
        object.metadata.labels = None;
        assert_eq!(told(object), []);
    }
}
