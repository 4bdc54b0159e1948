//! What the cluster says: the route table and the pods, as they change. If the
//! API server is away, or says something unusable, what was known stays.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{core::v1::ConfigMap, discovery::v1::EndpointSlice};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt,
        reflector::{self, Store},
        watcher,
    },
};
use ttsfleet_wire::route::ROUTE_KEY;

use crate::{
    endpoint::Endpoint,
    gateway::Gateway,
    pool::Pool,
    route::Route,
    sight::{Sight, Watched},
};

/// Label of an EndpointSlice with the name of its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// Name of the port that takes requests, where there are others beside it.
const PORT_NAME: &str = "http";

/// Where to look.
#[derive(Debug, Clone)]
pub struct Place {
    /// The fleet's namespace.
    pub namespace: String,
    /// Name of the ConfigMap with the route table.
    pub route: String,
    /// Label selector of the pools' EndpointSlices.
    pub endpoints: String,
}

/// Follows the route table, for ever.
pub async fn follow_route(client: Client, place: Place, gateway: Arc<Gateway>, slices: Store<EndpointSlice>) {
    let api: Api<ConfigMap> = Api::namespaced(client, &place.namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={}", place.route));
    let mut changes = watcher(api, config).default_backoff().applied_objects().boxed();
    loop {
        match changes.try_next().await {
            Ok(Some(object)) => {
                see(&gateway.watches.route);
                take_route(&object, &gateway);
                take_endpoints(&slices, &gateway);
            }
            Ok(None) => return,
            Err(error) => miss(&gateway.watches.route, &error),
        }
    }
}

/// The API server has told something.
fn see(watched: &Watched) {
    if watched.note(Sight::Clear, Instant::now()) {
        tracing::info!(watch = watched.name, "the watch is well again");
    }
}

/// A watch has failed. It is tried again and again, but told once.
fn miss(watched: &Watched, error: &watcher::Error) {
    let sight = Sight::of(error);
    let watch = watched.name;
    match (watched.note(sight, Instant::now()), sight) {
        (false, _) => tracing::debug!(%error, watch, "the watch fails again"),
        (true, Sight::Refused) => {
            tracing::error!(%error, watch, "the API server refuses the watch; what was known holds");
        }
        (true, _) => tracing::warn!(%error, watch, "the watch fails; what was known holds"),
    }
}

fn take_route(object: &ConfigMap, gateway: &Gateway) {
    let text = object.data.as_ref().and_then(|data| data.get(ROUTE_KEY)).map_or("", String::as_str);
    match Route::parse(text) {
        Ok(route) => {
            tracing::info!(pools = route.pools.len(), "route table taken");
            gateway.set_route(route);
        }
        Err(error) => tracing::error!(%error, "unusable route table; the last one holds"),
    }
}

/// Follows the pods, for ever.
pub async fn follow_endpoints(
    client: Client,
    place: Place,
    gateway: Arc<Gateway>,
    writer: reflector::store::Writer<EndpointSlice>,
) {
    let slices = writer.as_reader();
    let api: Api<EndpointSlice> = Api::namespaced(client, &place.namespace);
    let config = watcher::Config::default().labels(&place.endpoints);
    let mut changes = watcher(api, config).default_backoff().reflect(writer).boxed();
    loop {
        match changes.try_next().await {
            // In the middle of a list the store holds what was known before.
            Ok(Some(watcher::Event::Init | watcher::Event::InitApply(_))) => {}
            Ok(Some(_)) => {
                see(&gateway.watches.pods);
                take_endpoints(&slices, &gateway);
            }
            Ok(None) => return,
            Err(error) => miss(&gateway.watches.pods, &error),
        }
    }
}

fn take_endpoints(slices: &Store<EndpointSlice>, gateway: &Gateway) {
    let Ok(route) = gateway.route() else { return };
    let slices = slices.state();
    let take = |pool: Arc<Pool>, service: &String| {
        let of_pool = slices.iter().filter(|slice| service_of(slice) == Some(service));
        pool.set_endpoints(of_pool.flat_map(|slice| endpoints(slice)).collect());
    };
    for (name, service) in &route.pools {
        if let Some(pool) = gateway.pools.get(name) {
            take(pool, service);
        }
    }
    let fleet = slices.iter().filter(|slice| service_of(slice) == Some(&route.fleet));
    gateway
        .usage
        .set_gateways(fleet.flat_map(|slice| endpoints(slice)).map(|one| one.address.ip()).collect());
    for service in route.mirrors.iter().map(|mirror| &mirror.judge) {
        if let Some(pool) = gateway.mirrors.services.get(service) {
            take(pool, service);
        }
    }
}

fn service_of(slice: &EndpointSlice) -> Option<&String> {
    slice.metadata.labels.as_ref()?.get(SERVICE)
}

/// The pods of a slice. Those that are not ready get no requests; what is known
/// of them is kept until they are ready again, and what they have taken goes on.
fn endpoints(slice: &EndpointSlice) -> Vec<Endpoint> {
    let ports = || slice.ports.iter().flatten();
    let named = ports().find(|port| port.name.as_deref() == Some(PORT_NAME)).or_else(|| ports().next());
    let port = named.and_then(|port| port.port);
    let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { return Vec::new() };
    let of = |one: &k8s_openapi::api::discovery::v1::Endpoint| {
        let ip = one.addresses.first()?.parse().ok()?;
        let uid = one.target_ref.as_ref().and_then(|pod| pod.uid.clone());
        let endpoint = Endpoint::new(SocketAddr::new(ip, port), uid.unwrap_or_default());
        let ready = one.conditions.as_ref().and_then(|conditions| conditions.ready);
        endpoint.offer(ready.unwrap_or(true));
        Some(endpoint)
    };
    slice.endpoints.iter().flatten().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_with_an_address_are_taken_and_those_that_are_not_ready_get_no_requests() {
        let slice: EndpointSlice = serde_json::from_value(json!({
            "addressType": "IPv4",
            "ports": [{"name": "health", "port": 8081}, {"name": "http", "port": 8080}],
            "endpoints": [
                {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"uid": "a"}},
                {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}},
                {"addresses": ["nowhere"]},
                {"addresses": []},
                {"addresses": ["10.0.0.3"]},
            ],
        }))
        .unwrap();
        let found: Vec<_> = endpoints(&slice)
            .iter()
            .map(|one| (one.address.to_string(), one.uid.clone(), one.is_offered()))
            .collect();
        let expected =
            [("10.0.0.1:8080", "a", true), ("10.0.0.2:8080", "", false), ("10.0.0.3:8080", "", true)];
        let expected = expected.map(|(address, uid, offered)| (address.to_owned(), uid.to_owned(), offered));
        assert_eq!(found, expected);
    }
}
