//! Why an object is not as it shall be.

use kube::Resource;
use ttsfleet_crds::conditions::Reason;

use crate::fleet::status::Problem;
use crate::kinds::Kind;

/// Why an object could not be made what it shall be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It belongs to somebody else.
    #[error(
        "{object} exists and belongs to {owner}, so the fleet leaves it alone; remove it or rename the fleet"
    )]
    NameConflict {
        /// Kind and name.
        object: String,
        /// Who it belongs to.
        owner: String,
    },
    /// It is on its way out.
    #[error("{0} is being deleted; the fleet continues when it is gone")]
    Leaving(String),
    /// The API server says no, and would again.
    #[error("the API server refuses {object}: {message}")]
    Refused {
        /// Kind and name.
        object: String,
        /// The server's words.
        message: String,
    },
    /// The cluster has no such kind.
    #[error(
        "the cluster has no kind {kind} ({version}), so {object} cannot be made; install the definition, or remove \
         from spec.expose what asks for it"
    )]
    KindMissing {
        /// The kind.
        kind: String,
        /// Its group and version.
        version: String,
        /// Kind and name.
        object: String,
    },
    /// Somebody undoes every write.
    #[error(
        "something in the cluster ({by}) keeps changing {object}; stop it, or let it leave this object out"
    )]
    Overridden {
        /// Kind and name.
        object: String,
        /// Who, or which field.
        by: String,
    },
    /// Worth another try soon.
    #[error("cannot write {object}")]
    Transient {
        /// Kind and name.
        object: String,
        /// What happened.
        source: kube::Error,
    },
}

impl ApplyError {
    /// Whether another try may succeed without anybody acting.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// Whether the object has changed since it was read, so that nothing which was
    /// decided from it holds any more.
    pub fn is_outdated(&self) -> bool {
        matches!(self, Self::Transient { source: kube::Error::Api(status), .. } if status.is_conflict())
    }

    /// How the fleet's status puts it.
    pub fn problem(&self) -> Problem {
        let reason = match self {
            Self::NameConflict { .. } => Reason::NameConflict,
            Self::Leaving(_) => Reason::WaitingForCleanup,
            Self::Refused { .. } | Self::Transient { .. } => Reason::ChangeRefused,
            Self::KindMissing { .. } => Reason::ExposeUnavailable,
            Self::Overridden { .. } => Reason::Overridden,
        };
        let message = match self {
            Self::Transient { source, .. } => format!("{self}, and it is tried again: {source}"),
            _ => self.to_string(),
        };
        Problem { reason, message, until: None }
    }
}

/// Kind and name.
pub(super) fn describe<K: Resource<DynamicType = ()>>(name: &str) -> String {
    format!("{} {name}", K::kind(&()))
}

/// What an answer of the API server means for an object.
pub(super) fn classify<K: Kind>(name: &str, error: kube::Error) -> ApplyError {
    let object = describe::<K>(name);
    match error {
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 405 | 413 | 422) => {
            ApplyError::Refused { object, message: status.message.clone() }
        }
        // An answer about an object or its namespace names it; this one is
        // about the path.
        kube::Error::Api(status) if status.code == 404 && status.details.is_none() => {
            let (kind, version) = (K::kind(&()).into_owned(), K::api_version(&()).into_owned());
            ApplyError::KindMissing { kind, version, object }
        }
        source => ApplyError::Transient { object, source },
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::Status;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::changed_meanwhile(409, true, true)]
    #[case::a_server_that_is_busy(500, true, false)]
    #[case::forbidden(403, false, false)]
    fn what_may_be_tried_again_is_told_from_what_has_to_be_decided_anew(
        #[case] code: u16,
        #[case] transient: bool,
        #[case] outdated: bool,
    ) {
        let reason = if code == 409 { "Conflict" } else { "Other" };
        let status = Status { code, ..Status::failure("no", reason) };
        let error = classify::<ConfigMap>("narrator-main", kube::Error::Api(Box::new(status)));
        assert_eq!((error.is_transient(), error.is_outdated()), (transient, outdated));
    }
}
