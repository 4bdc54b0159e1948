//! Variants of the voice, served inside a cluster: where the fleets shown and
//! tested there fetch their models from.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::command::write;
use crate::image::{self, Content, Image, ImageFile, ImageSpec};
use crate::progress::Progress;
use crate::target::Target;
use crate::tools::{self, cache_dir};
use crate::variants::{self, Variant};

/// Name of the Deployment and of its Service.
const NAME: &str = "voices";
/// The Service has the pods' own port, so that a policy which opens the port in
/// a model's address opens the right one, wherever it is applied.
const PORT: u16 = 8000;

/// Voices, packed to be served.
#[derive(Debug)]
pub struct Voices {
    /// The voices.
    pub variants: Vec<Variant>,
    image: Image,
}

impl Voices {
    /// Makes voices of these versions and the image that serves them.
    ///
    /// # Errors
    /// When a version is unknown, or a file cannot be written.
    pub fn build(versions: &[&str], progress: &dyn Progress) -> Result<Self> {
        let variants = variants::write_folders(versions, &cache_dir()?.join(NAME))?;
        let image = voices_image(&variants, progress)?;
        Ok(Self { variants, image })
    }

    /// Serves them in a namespace.
    ///
    /// # Errors
    /// When the image does not get there, or its pod does not become ready.
    pub fn serve(&self, target: &dyn Target, namespace: &str) -> Result<()> {
        let manifest = manifest(namespace, &target.publish(&self.image)?);
        let file = cache_dir()?.join(NAME).join(format!("{namespace}.json"));
        write(&file, manifest.to_string())?;
        target.kubectl(&["apply", "-f", &file.to_string_lossy()])?;
        let deployment = format!("deployment/{NAME}");
        target.kubectl(&["-n", namespace, "rollout", "status", &deployment, "--timeout=120s"])?;
        Ok(())
    }

    /// What a pool's `model` says to have one of them.
    ///
    /// # Errors
    /// When it was not built.
    pub fn model(&self, version: &str, namespace: &str) -> Result<Value> {
        let variant = self.variants.iter().find(|variant| variant.version == version);
        let variant = variant.with_context(|| format!("there is no voice {version}"))?;
        Ok(variant.model(&format!("http://{NAME}.{namespace}.svc:{PORT}")))
    }
}

/// An image that serves folders of voices over HTTP.
fn voices_image(variants: &[Variant], progress: &dyn Progress) -> Result<Image> {
    let mut files = vec![ImageFile::program("testbox", &tools::ensure_testbox(progress)?)];
    for Variant { version, folder, .. } in variants {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = format!("{NAME}/{version}/{}", entry.file_name().to_string_lossy());
            files.push(ImageFile { path, mode: 0o644, content: Content::File(entry.path()) });
        }
    }
    let command = ["/testbox", "serve-files", &format!(":{PORT}"), &format!("/{NAME}")].map(str::to_owned);
    let spec = ImageSpec {
        repository: format!("ttsfleet.dev/{NAME}"),
        files,
        entrypoint: command.to_vec(),
        env: vec![],
    };
    image::build(&spec, &cache_dir()?.join("images"))
}

fn manifest(namespace: &str, image: &str) -> Value {
    let labels = json!({"app.kubernetes.io/name": NAME});
    let metadata = json!({"name": NAME, "namespace": namespace, "labels": labels});
    let resources = json!({"cpu": "100m", "memory": "64Mi"});
    let container = json!({
        "name": NAME,
        "image": image,
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": resources},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    });
    let pod = json!({
        "automountServiceAccountToken": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": image::USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    });
    let deployment = json!({
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod},
    });
    let service = json!({"selector": labels, "ports": [{"name": "http", "port": PORT}]});
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_meet_the_restricted_standard_and_the_service_finds_them() {
        let list = manifest("space", "ttsfleet.dev/voices:1");
        let [deployment, service] = [0, 1].map(|index| &list["items"][index]);
        let pod = &deployment["spec"]["template"];
        assert_eq!(pod["spec"]["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["spec"]["containers"][0]["securityContext"]["capabilities"]["drop"][0], "ALL");
        assert_eq!(service["spec"]["selector"], pod["metadata"]["labels"]);
    }
}
