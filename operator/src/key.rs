//! The key to the pods' admin API.
//!
//! Each fleet's token is derived from the operator's own key and the fleet's
//! uid, so that nothing has to be kept for a fleet, and nothing secret lies in
//! its namespace: its pods know only the token's hash.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};

const LENGTH: usize = 32;
/// The Secret's only entry.
const ENTRY: &str = "key";

/// The operator's key. It cannot be printed.
#[derive(Clone, Debug)]
pub struct AdminKey(hmac::Key);

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The API server does not give or take the Secret.
    #[error("cannot read or make Secret {0}")]
    Api(String, #[source] kube::Error),
    /// It holds something else.
    #[error(
        "Secret {0} does not hold {LENGTH} bytes under {ENTRY:?}; delete it, and the operator makes another one \
         and restarts the fleets' pods with it"
    )]
    Malformed(String),
    /// The machine has no randomness to give.
    #[error("the machine gives no random bytes")]
    Random,
}

impl AdminKey {
    /// A key of these bytes.
    pub fn new(bytes: &[u8; LENGTH]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The token of the fleet of this uid.
    pub fn token(&self, fleet: &str) -> String {
        hex::encode(hmac::sign(&self.0, fleet.as_bytes()))
    }

    /// The hash by which its pods know it.
    pub fn token_hash(&self, fleet: &str) -> String {
        hex::encode(Sha256::digest(self.token(fleet)))
    }

    /// The key in the Secret, which is made if there is none. Of two that make
    /// it at once, both get the one that was first.
    pub async fn ensure(client: &Client, namespace: &str, name: &str) -> Result<Self, KeyError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let failed = |error| KeyError::Api(name.to_owned(), error);
        if let Some(secret) = api.get_opt(name).await.map_err(failed)? {
            return read(&secret, name);
        }
        match api.create(&PostParams::default(), &make(name)?).await {
            Ok(secret) => read(&secret, name),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                read(&api.get(name).await.map_err(failed)?, name)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

fn read(secret: &Secret, name: &str) -> Result<AdminKey, KeyError> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(ENTRY));
    let bytes = bytes.and_then(|bytes| <&[u8; LENGTH]>::try_from(bytes.0.as_slice()).ok());
    bytes.map(AdminKey::new).ok_or_else(|| KeyError::Malformed(name.to_owned()))
}

fn make(name: &str) -> Result<Secret, KeyError> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some([(ENTRY.to_owned(), ByteString(bytes.to_vec()))].into()),
        ..Secret::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_hmac_of_the_fleets_uid_and_pods_know_its_hash() {
        let key = AdminKey::new(&[0x0b; LENGTH]);
        // As Python's hmac module has it.
        let token = "1b44fa46028c727164131c134dd790168aefeb0e46979eb02e67654ba20e2f67";
        assert_eq!(key.token("0b0e"), token);
        assert_eq!(key.token_hash("0b0e"), hex::encode(Sha256::digest(token)));
        assert_ne!(key.token("0b0f"), token, "every fleet has its own");
    }

    #[test]
    fn a_new_secret_holds_a_key_and_no_two_are_alike() {
        let (one, other) = (make("key").unwrap(), make("key").unwrap());
        let token = |secret: &Secret| read(secret, "key").unwrap().token("0b0e");
        assert_ne!(token(&one), token(&other));
        assert!(read(&Secret::default(), "key").unwrap_err().to_string().contains("delete it"));
    }
}
