//! Real containers: a private containerd, spoken to through the CRI API, as the kubelet does.
//!
//! In: pods and commands. Out: containers that run, their log files in the kubelet's layout. Never: a touch on
//! the machine's own containerd, a container, shim, mount or folder left behind.

pub mod client;
pub mod containerd;
pub mod image;
pub mod messages;
pub mod pods;

pub use containerd::Containerd;
pub use pods::Mounted;

use std::path::{Path, PathBuf};

/// What keeps this machine from running real containers; `cargo xtask setup` installs it.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root".into());
    }
    let missing: Vec<_> =
        ["containerd", "ctr", "runc", "busybox"].into_iter().filter(|name| find_program(name).is_none()).collect();
    (!missing.is_empty()).then(|| format!("{} not installed", missing.join(", ")))
}

/// Looks for a program where Debian puts them; root's search path often lacks `sbin`.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}
