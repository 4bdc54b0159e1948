//! Addresses and the bridge of a cluster.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::command::tool;

/// The address plan of a cluster: `10.B.0.0/16`, with B from its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    second: u8,
}

const FIRST: u8 = 201;
const CLUSTERS: u8 = 16;
/// Nodes of every cluster.
pub(crate) const NODES: u8 = 2;

impl Plan {
    pub(crate) fn of_index(index: u8) -> Self {
        Plan { second: FIRST + index % CLUSTERS }
    }

    fn address(self, third: u8, fourth: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second, third, fourth)
    }

    /// The machine itself, on the bridge; the API server listens here.
    pub(crate) fn host(self) -> Ipv4Addr {
        self.address(0, 1)
    }

    /// A node, counted from 1.
    pub(crate) fn node(self, number: u8) -> Ipv4Addr {
        self.address(0, 10 + number)
    }

    /// The pods of a node.
    pub(crate) fn pods(self, number: u8) -> String {
        format!("{}/24", self.address(64 + number, 0))
    }

    /// The pods of all nodes and nothing else: what comes from here is not
    /// rewritten on its way to a Service, what comes from the machine must be.
    pub(crate) fn all_pods(self) -> String {
        format!("{}/18", self.address(64, 0))
    }

    pub(crate) fn services(self) -> String {
        format!("{}/20", self.address(128, 0))
    }

    /// The Service of the API server: the first of the range.
    pub(crate) fn api_service(self) -> Ipv4Addr {
        self.address(128, 1)
    }

    pub(crate) fn dns(self) -> Ipv4Addr {
        self.address(128, 10)
    }

    pub(crate) fn bridge(self) -> String {
        format!("ttsf{}", self.second - FIRST)
    }

    /// The machine's end of a node's cable.
    pub(crate) fn cable(self, number: u8) -> String {
        format!("{}n{number}", self.bridge())
    }

    fn overlaps(self, route: &str) -> bool {
        let (address, bits) = route.split_once('/').unwrap_or((route, "32"));
        let (Ok(address), Ok(bits)) = (address.parse::<Ipv4Addr>(), bits.parse::<u32>()) else {
            return false;
        };
        if bits < 8 {
            // A default route in disguise; ours is more specific.
            return false;
        }
        let mask = u32::MAX << (32 - bits.min(16));
        u32::from(address) & mask == u32::from(self.address(0, 0)) & mask
    }
}

/// The first index that no stopped cluster holds and whose addresses nothing on
/// this machine uses.
pub(crate) fn free_index(held: &[u8]) -> Result<u8> {
    let routes: Value = serde_json::from_str(&tool(&["ip", "-4", "-j", "route", "show", "table", "all"])?)
        .context("unreadable routing table")?;
    let routes: Vec<&str> =
        routes.as_array().into_iter().flatten().filter_map(|route| route["dst"].as_str()).collect();
    choose_index(held, &routes)
        .context("no address range is free for the cluster: all of 10.201 to 10.216 is in use")
}

fn choose_index(held: &[u8], routes: &[&str]) -> Option<u8> {
    let free = |index: &u8| !routes.iter().any(|route| Plan::of_index(*index).overlaps(route));
    (0..CLUSTERS).filter(|index| !held.contains(index)).find(free)
}

/// Makes the bridge between the machine and the nodes.
pub(crate) fn create_bridge(plan: Plan) -> Result<()> {
    let (bridge, address) = (plan.bridge(), format!("{}/24", plan.host()));
    tool(&["ip", "link", "add", &bridge, "type", "bridge"])?;
    tool(&["ip", "address", "add", &address, "dev", &bridge])?;
    tool(&["ip", "link", "set", &bridge, "up"])?;
    Ok(())
}

/// Connects a node, whose network namespace belongs to process `keeper`.
pub(crate) fn connect_node(plan: Plan, number: u8, keeper: i32) -> Result<()> {
    let (bridge, cable, keeper) = (plan.bridge(), plan.cable(number), keeper.to_string());
    tool(&["ip", "link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &keeper])?;
    tool(&["ip", "link", "set", &cable, "master", &bridge, "up"])?;
    let inside = |line: &[&str]| tool(&[&["nsenter", "-t", &keeper, "-n", "ip"], line].concat());
    inside(&["link", "set", "lo", "up"])?;
    inside(&["address", "add", &format!("{}/24", plan.node(number)), "dev", "eth0"])?;
    inside(&["link", "set", "eth0", "up"])?;
    inside(&["route", "add", "default", "via", &plan.host().to_string()])?;
    for other in (1..=NODES).filter(|other| *other != number) {
        inside(&["route", "add", &plan.pods(other), "via", &plan.node(other).to_string()])?;
    }
    tool(&["ip", "route", "add", &plan.pods(number), "via", &plan.node(number).to_string()])?;
    Ok(())
}

/// Lets the machine reach Services through the first node, whose kube-proxy
/// sends them on.
pub(crate) fn route_services(plan: Plan) -> Result<()> {
    tool(&["ip", "route", "add", &plan.services(), "via", &plan.node(1).to_string()])?;
    Ok(())
}

/// Removes the bridge, and with it every route; the cables went with the
/// nodes' namespaces or go now.
pub(crate) fn destroy(plan: Plan) -> Result<()> {
    let names = (1..=NODES).map(|number| plan.cable(number)).chain([plan.bridge()]);
    for name in names.filter(|name| exists(name)) {
        let removed = tool(&["ip", "link", "delete", &name]);
        // A namespace that is just ending may take its cable along first.
        if exists(&name) {
            bail!("cannot remove the network device {name}: {:#}", removed.err().context("it came back")?);
        }
    }
    Ok(())
}

fn exists(device: &str) -> bool {
    std::path::Path::new("/sys/class/net").join(device).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_in_use_are_passed_over() {
        assert_eq!(choose_index(&[], &["default", "192.168.0.0/24"]), Some(0));
        assert_eq!(choose_index(&[], &["10.201.0.0/24", "10.202.3.4"]), Some(2));
        assert_eq!(choose_index(&[1], &["10.201.0.0/24"]), Some(2));
        assert_eq!(choose_index(&[], &["10.0.0.0/8"]), None);
    }

    #[test]
    fn a_default_route_takes_no_range() {
        for route in ["default", "0.0.0.0/0", "0.0.0.0/1"] {
            assert!(!Plan::of_index(0).overlaps(route), "{route}");
        }
    }

    #[test]
    fn pods_nodes_and_services_lie_apart() {
        let plan = Plan::of_index(1);
        assert_eq!(plan.node(2).to_string(), "10.202.0.12");
        assert_eq!(plan.pods(2), "10.202.66.0/24");
        assert_eq!(plan.services(), "10.202.128.0/20");
        assert!(plan.dns() > plan.api_service());
    }
}
