//! What pods have to reach to fetch models.

use std::collections::BTreeSet;

use ttsfleet_wire::model::{ModelRecord, ModelSource};

/// What pods have to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// These TCP ports, wherever.
    Ports(BTreeSet<u16>),
    /// Any TCP port: the address of a store, hub or registry of one's own may
    /// be in a Secret, which is not for the operator to read.
    Anywhere,
}

/// What pods have to reach to fetch these models.
pub(super) fn reach<'a>(models: impl IntoIterator<Item = &'a ModelRecord>) -> Reach {
    let mut all = BTreeSet::new();
    for source in models.into_iter().filter_map(|model| model.source.as_ref()) {
        match source_ports(source) {
            Some(ports) => all.extend(ports),
            None => return Reach::Anywhere,
        }
    }
    Reach::Ports(all)
}

/// The ports that a model is fetched from; none if they are not known.
fn source_ports(source: &ModelSource) -> Option<Vec<u16>> {
    let Some((scheme, rest)) = source.uri.split_once("://") else { return Some(vec![]) };
    let own = |default| named_port(rest).unwrap_or(default);
    if source.secret.is_some() && matches!(scheme, "s3" | "gs" | "az" | "hf" | "oci") {
        return None;
    }
    match scheme {
        "http" => Some(vec![own(80)]),
        "https" => Some(vec![own(443)]),
        // A registry of one's own may send its readers to a store elsewhere.
        "oci" => Some(vec![own(443), 443]),
        "hf" | "s3" | "gs" | "az" => Some(vec![443]),
        _ => Some(vec![]),
    }
}

/// The port in `host:port/path`.
pub(super) fn named_port(rest: &str) -> Option<u16> {
    let authority = rest.split('/').next().unwrap_or_default();
    // The colons inside the brackets of an IPv6 address are no port.
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, after)| after);
    after_host.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn model(uri: &str, secret: Option<&str>) -> ModelRecord {
        let source = ModelSource { uri: uri.to_owned(), digest: None, secret: secret.map(str::to_owned) };
        ModelRecord { source: Some(source), ..ModelRecord::default() }
    }

    #[rstest]
    #[case("https://models.example/hibari", &[443])]
    #[case("http://models.example", &[80])]
    #[case("http://models.example:8000/hibari", &[8000])]
    #[case("https://[2001:db8::1]/hibari", &[443])]
    #[case("https://[2001:db8::1]:8443/hibari", &[8443])]
    #[case("oci://registry.example:5000/hibari@sha256:00", &[443, 5000])]
    #[case("hf://owner/hibari@main", &[443])]
    #[case("s3://models/hibari", &[443])]
    #[case("file:///models/hibari", &[])]
    #[case("pvc://models/hibari", &[])]
    fn the_ports_of_a_source_are_found(#[case] uri: &str, #[case] ports: &[u16]) {
        assert_eq!(reach([&model(uri, None)]), Reach::Ports(ports.iter().copied().collect()));
    }

    #[test]
    fn a_store_whose_address_may_be_in_a_secret_is_let_through() {
        let models = [model("https://models.example/a", None), model("s3://models/b", Some("store"))];
        assert_eq!(reach(&models), Reach::Anywhere);
        for own in ["hf://owner/hibari@main", "oci://registry.example/hibari@sha256:00"] {
            assert_eq!(reach([&model(own, Some("mine"))]), Reach::Anywhere, "{own}");
        }
        assert_eq!(reach([]), Reach::Ports(BTreeSet::new()));
    }
}
