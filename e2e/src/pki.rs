//! Certificates and keys of a cluster, made once and kept in its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};

use crate::command::{read, write};

/// The cluster's certificate authority.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// Whom a certificate speaks for: Kubernetes reads user and group from it.
pub(crate) struct Subject<'a> {
    pub(crate) user: &'a str,
    pub(crate) group: &'a str,
    /// Addresses and names it serves under; none for a pure client.
    pub(crate) serves: &'a [String],
}

impl Authority {
    /// Opens the authority in a folder, or makes a new one.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let (certificate, key) = (folder.join("ca.crt"), folder.join("ca.key"));
        if !certificate.exists() {
            let pair = KeyPair::generate()?;
            let signed = authority_params().self_signed(&pair)?;
            write_secret(&key, pair.serialize_pem())?;
            write(&certificate, signed.pem())?;
        }
        let pair = KeyPair::from_pem(&read(&key)?).context("unreadable authority key")?;
        let issuer = Issuer::new(authority_params(), pair);
        Ok(Authority { folder: folder.to_owned(), issuer })
    }

    /// Makes `NAME.crt` and `NAME.key` unless they are there.
    pub(crate) fn certify(&self, name: &str, subject: &Subject<'_>) -> Result<()> {
        let certificate = self.folder.join(format!("{name}.crt"));
        if certificate.exists() {
            return Ok(());
        }
        let pair = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject.user);
        params.distinguished_name.push(DnType::OrganizationName, subject.group);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !subject.serves.is_empty() {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        for name in subject.serves {
            params.subject_alt_names.push(match name.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(name.as_str().try_into()?),
            });
        }
        let signed = params.signed_by(&pair, &self.issuer)?;
        write_secret(&self.folder.join(format!("{name}.key")), pair.serialize_pem())?;
        write(&certificate, signed.pem())
    }

    /// A kubeconfig for a certified user.
    pub(crate) fn kubeconfig(&self, name: &str, server: &str) -> Result<String> {
        let file = |name: &str| self.folder.join(name);
        Ok(serde_json::to_string_pretty(&serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "ttsfleet",
            "contexts": [{"name": "ttsfleet", "context": {"cluster": "ttsfleet", "user": name}}],
            "clusters": [{"name": "ttsfleet", "cluster": {
                "server": server,
                "certificate-authority": file("ca.crt"),
            }}],
            "users": [{"name": name, "user": {
                "client-certificate": file(&format!("{name}.crt")),
                "client-key": file(&format!("{name}.key")),
            }}],
        }))?)
    }
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "ttsfleet");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

/// Makes `NAME.key` and `NAME.pub`, which sign and prove service account tokens.
pub(crate) fn key_pair(folder: &Path, name: &str) -> Result<()> {
    let public = folder.join(format!("{name}.pub"));
    if public.exists() {
        return Ok(());
    }
    let pair = KeyPair::generate()?;
    write_secret(&folder.join(format!("{name}.key")), pair.serialize_pem())?;
    write(&public, pair.public_key_pem())
}

fn write_secret(path: &Path, content: String) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    write(path, content)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).context("cannot protect a key")
}
