//! Rules that several fields share.

use kube::core::Rule;

/// A duration with milliseconds, from `least` to `most`.
pub(crate) fn duration(field: &str, least: &str, most: &str, example: &str) -> Rule {
    rule(
        format!(
            "self.matches('^([0-9]{{1,5}}(ms|s|m|h)){{1,4}}$') && duration(self) >= duration('{least}') && \
             duration(self) <= duration('{most}')"
        ),
        &format!("{field} must be a duration from {least} to {most}, written like {example}"),
    )
}

/// A duration in whole seconds, from `least` to `most`.
pub(crate) fn seconds(field: &str, least: &str, most: &str, example: &str) -> Rule {
    rule(
        format!(
            "self.matches('^([0-9]{{1,5}}[smh]){{1,3}}$') && duration(self) >= duration('{least}') && \
             duration(self) <= duration('{most}')"
        ),
        &format!("{field} must be a duration from {least} to {most}, written like {example}"),
    )
}

/// An amount of memory or disk, from `least` to `most`.
pub(crate) fn memory(field: &str, least: &str, most: &str, example: &str) -> Rule {
    rule(
        format!(
            "string(self).matches('^[0-9]{{1,12}}([.][0-9]{{1,3}})?(Ki|Mi|Gi|Ti|k|M|G|T)?$') && \
             quantity(string(self)).compareTo(quantity('{least}')) >= 0 && \
             quantity(string(self)).compareTo(quantity('{most}')) <= 0"
        ),
        &format!("{field} must be from {least} to {most}, written like {example}"),
    )
}

/// An amount of CPU, from `least` to `most`.
pub(crate) fn cpu(field: &str, least: &str, most: &str) -> Rule {
    rule(
        format!(
            "string(self).matches('^[0-9]{{1,6}}m?$|^[0-9]{{1,3}}[.][0-9]{{1,3}}$') && \
             quantity(string(self)).compareTo(quantity('{least}')) >= 0 && \
             quantity(string(self)).compareTo(quantity('{most}')) <= 0"
        ),
        &format!("{field} must be from {least} to {most}, written like 500m, 2 or \"1.5\""),
    )
}

/// A decimal number in a string, from `least` to `most`.
pub(crate) fn decimal(field: &str, least: &str, most: &str, example: &str) -> Rule {
    rule(
        format!(
            "self.matches('^[0-9]{{1,4}}([.][0-9]{{1,3}})?$') && double(self) >= double('{least}') && \
             double(self) <= double('{most}')"
        ),
        &format!("{field} must be a number from {least} to {most}, written like {example}"),
    )
}

/// The name of a Kubernetes object.
pub(crate) fn object_name(field: &str) -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        &format!(
            "{field} must be the name of a Kubernetes object: a-z, 0-9, '-' and '.', with a letter or digit at \
             both ends"
        ),
    )
}

const HOST: &str = "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A host name, which may begin with a wildcard.
pub(crate) fn host(field: &str) -> Rule {
    rule(
        format!("self.matches('{HOST}')"),
        &format!("{field} must be a host name in lower case, such as speech.example.com or *.example.com"),
    )
}

/// Host names, each of which may begin with a wildcard.
pub(crate) fn hosts(field: &str) -> Rule {
    rule(
        format!("self.all(host, host.matches('{HOST}'))"),
        &format!("{field} must be host names in lower case, such as speech.example.com or *.example.com"),
    )
}

/// Origins as browsers send them, or `*`.
pub(crate) fn origins(field: &str) -> Rule {
    rule(
        "self.all(origin, origin == '*' || origin.matches('^[a-z][-a-z0-9+.]*://[^/?#@ ]+$'))",
        &format!("{field} must be origins without a path, such as https://app.example.com, or * for all"),
    )
}

fn rule(expression: impl Into<String>, message: &str) -> Rule {
    Rule::new(expression).message(message)
}
