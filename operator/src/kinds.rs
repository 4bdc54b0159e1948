//! The kinds of objects that fleets consist of. They are listed here, and only
//! here.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::runtime::Controller;
use kube::runtime::reflector::store::WriterDropped;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ttsfleet_crds::TtsDeployment;

use crate::cache::{self, Cache, CacheWriter};
use crate::fleet::apply::{Applier, ApplyError};
use crate::fleet::pods::VolumeTrouble;
use crate::gateway_api::HTTPRoute;

/// A kind of object that fleets consist of.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The live objects of this kind.
    fn of(live: &Live) -> &[Arc<Self>];
    /// The same, to be changed.
    fn of_mut(live: &mut Live) -> &mut Vec<Arc<Self>>;
}

macro_rules! kinds {
    ($($field:ident: $kind:ident,)+) => {
        /// An object that a fleet shall have.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Child {
            $(#[doc = stringify!($kind)] $kind(Box<$kind>),)+
        }

        $(
            impl From<$kind> for Child {
                fn from(object: $kind) -> Self {
                    Self::$kind(Box::new(object))
                }
            }

            impl Kind for $kind {
                fn of(live: &Live) -> &[Arc<Self>] {
                    &live.$field
                }

                fn of_mut(live: &mut Live) -> &mut Vec<Arc<Self>> {
                    &mut live.$field
                }
            }
        )+

        impl Child {
            /// Kind and name.
            pub fn identity(&self) -> (&'static str, String) {
                match self {
                    $(Self::$kind(object) => (stringify!($kind), object.name_any()),)+
                }
            }

            pub(crate) async fn ensure(
                &self,
                applier: &mut Applier<'_>,
                live: &mut Live,
            ) -> Result<(), ApplyError> {
                match self {
                    $(Self::$kind(object) => applier.ensure(object.as_ref(), live).await,)+
                }
            }
        }

        /// The live objects of one fleet: all that it controls, wanted or not.
        /// An object of a child's name that it does not control is there too,
        /// so that the conflict is seen.
        #[derive(Clone, Debug, Default)]
        pub struct Live {
            $(#[doc = stringify!($kind)] pub $field: Vec<Arc<$kind>>,)+
            /// The pods that its Deployments have made.
            pub pods: Vec<Arc<Pod>>,
            /// What its Services lead to.
            pub endpoints: Vec<Arc<EndpointSlice>>,
            /// What keeps pods from having their volumes.
            pub volumes: VolumeTrouble,
        }

        impl Live {
            pub(crate) async fn prune(
                &self,
                applier: &mut Applier<'_>,
                wanted: &[(&'static str, String)],
            ) -> Vec<ApplyError> {
                let mut failed = Vec::new();
                $(failed.extend(applier.prune(&self.$field, wanted).await);)+
                failed
            }
        }

        /// The objects of all fleets, as last seen.
        #[derive(Clone)]
        pub(crate) struct Children {
            $($field: Cache<$kind>,)+
        }

        /// The writing ends of [`Children`].
        pub(crate) struct ChildWriters {
            $($field: CacheWriter<$kind>,)+
        }

        impl Children {
            pub(crate) fn new() -> (Self, ChildWriters) {
                $(let $field = cache::new();)+
                (Self { $($field: $field.0,)+ }, ChildWriters { $($field: $field.1,)+ })
            }

            /// Resolves when every kind has been listed once.
            pub(crate) async fn ready(&self) -> Result<(), WriterDropped> {
                $(self.$field.ready().await?;)+
                Ok(())
            }

            /// The objects of one fleet.
            pub(crate) fn of_fleet(&self, fleet: &TtsDeployment) -> Live {
                Live { $($field: self.$field.of_fleet(fleet),)+ ..Live::default() }
            }
        }

        impl ChildWriters {
            /// Has the controller watch every kind.
            pub(crate) fn watched_by(
                self,
                controller: Controller<TtsDeployment>,
                client: &Client,
                namespace: Option<&str>,
            ) -> Controller<TtsDeployment> {
                $(let controller =
                    controller.watches_stream(
                        cache::children(cache::api(client, namespace), self.$field),
                        cache::fleets_of,
                    );)+
                controller
            }
        }
    };
}

kinds! {
    service_accounts: ServiceAccount,
    roles: Role,
    role_bindings: RoleBinding,
    network_policies: NetworkPolicy,
    config_maps: ConfigMap,
    services: Service,
    disruption_budgets: PodDisruptionBudget,
    deployments: Deployment,
    ingresses: Ingress,
    http_routes: HTTPRoute,
}
