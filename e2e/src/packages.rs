//! Debian packages that nodes and tests need.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::run;
use crate::progress::Progress;

/// Name, the version this was tested with, and a file that shows it is there.
pub type Package = (&'static str, &'static str, &'static str);

/// What a node runs on.
pub(crate) const NODE: [Package; 7] = [
    ("containerd", "1.6.20~ds1-1+deb12u3", "/usr/bin/containerd"),
    ("runc", "1.1.5+ds1-1+deb12u1", "/usr/sbin/runc"),
    ("containernetworking-plugins", "1.1.1+ds1-3+b5", "/usr/lib/cni/bridge"),
    ("nftables", "1.0.6-2+deb12u2", "/usr/sbin/nft"),
    ("iproute2", "6.1.0-3", "/sbin/ip"),
    ("util-linux", "2.38.1-5+deb12u3", "/usr/bin/nsenter"),
    ("e2fsprogs", "1.47.0-2+b2", "/sbin/mkfs.ext4"),
];
/// What [`crate::recogniser`] runs.
pub(crate) const RECOGNISER: [Package; 3] = [
    ("pocketsphinx", "0.8+5prealpha+1-15", "/usr/bin/pocketsphinx_continuous"),
    ("pocketsphinx-en-us", "0.8+5prealpha+1-15", "/usr/share/pocketsphinx/model/en-us/en-us/mdef"),
    ("sox", "14.4.2+git20190427-3.5", "/usr/bin/sox"),
];
/// What pushes images to a registry.
pub(crate) const PUSHER: [Package; 1] = [("skopeo", "1.9.3+ds1-1+b10", "/usr/bin/skopeo")];
/// What the gateway is measured beside.
pub const PROXIES: [Package; 2] = [
    ("haproxy", "2.6.12-1+deb12u4", "/usr/sbin/haproxy"),
    ("nginx-light", "1.22.1-9+deb12u11", "/usr/sbin/nginx"),
];
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing; says clearly why when it cannot.
pub fn ensure(packages: &[Package], progress: &dyn Progress) -> Result<()> {
    let missing: Vec<_> = packages.iter().filter(|(_, _, file)| !Path::new(file).exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|(name, _, _)| *name).collect();
    let names = names.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("these Debian packages are missing: {names}; run as root, or install them with apt-get");
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("these programs are missing, and this is no Debian to install them on: {names}");
    }
    progress.note(&format!("installing Debian packages: {names}"));
    run(apt().args(["update"])).context("cannot refresh the package lists")?;
    let mut wanted = Vec::new();
    for (name, version, _) in missing {
        wanted.push(choose(name, version, progress)?);
    }
    let _quiet = NoServices::start()?;
    let had_containerd = Path::new("/lib/systemd/system/containerd.service").exists();
    run(apt().args(["install", "-y", "--no-install-recommends"]).args(wanted))
        .context("cannot install the Debian packages")?;
    if !had_containerd && Path::new("/run/systemd/system").exists() {
        // The nodes run containerd themselves; the machine must not at boot.
        run(Command::new("systemctl").args(["disable", "containerd.service"]))?;
    }
    Ok(())
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("-q");
    command
}

/// The tested version where the archive still has it, else the newest.
fn choose(name: &str, version: &str, progress: &dyn Progress) -> Result<String> {
    let offered = run(Command::new("apt-cache").args(["madison", name]))?;
    let versions: Vec<&str> =
        offered.lines().filter_map(|line| line.split('|').nth(1)).map(str::trim).collect();
    match versions.first() {
        None => bail!("the Debian package {name} is not on offer; check /etc/apt/sources.list"),
        Some(_) if versions.contains(&version) => Ok(format!("{name}={version}")),
        Some(newest) => {
            progress.note(&format!(
                "{name} {version} is gone from the archive; taking {newest}, which is untested"
            ));
            Ok(format!("{name}={newest}"))
        }
    }
}

/// While it lives, packages start no services. A machine that already has such
/// a policy keeps its own.
struct NoServices {
    made: bool,
}

impl NoServices {
    fn start() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        if Path::new(POLICY).exists() {
            return Ok(NoServices { made: false });
        }
        std::fs::write(POLICY, "#!/bin/sh\nexit 101\n").context("cannot keep services from starting")?;
        std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755))?;
        Ok(NoServices { made: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.made {
            // Nothing better to do than leave it.
            let _ = std::fs::remove_file(POLICY);
        }
    }
}
