//! A containerd of our own: root, state and socket in one folder.
//!
//! In: an empty folder. Out: a daemon that answers, to which [`super::pods`] speaks. Never: anything left when it is dropped, also on a failure:
//! pods are stopped, shims and the daemon ended by their ids, mounts taken away.

use super::client::Client;
use super::image::{self, IMAGE};
use super::messages as m;
use super::{find_program, missing};
use crate::clock;
use crate::sample::terminate;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the daemon may take to start or to end.
const DAEMON_PATIENCE: Duration = Duration::from_secs(30);

/// The daemon.
#[derive(Debug)]
pub struct Containerd {
    folder: PathBuf,
    daemon: Child,
    client: Option<Client>,
    /// Id and cgroup of each pod.
    pub(super) pods: RefCell<Vec<(String, String)>>,
}

impl Containerd {
    /// Starts the daemon and gives it the image.
    ///
    /// # Errors
    /// Something is not installed, or the daemon does not come up; the message has the end of its log.
    pub fn start(folder: &Path) -> Result<Self> {
        if let Some(why) = missing() {
            bail!("no real containers: {why}; run `cargo xtask setup` as root");
        }
        let folder = folder.join("containerd");
        fs::create_dir_all(folder.join("image"))?;
        fs::write(folder.join("config.toml"), configuration(&folder))?;
        let log = File::create(folder.join("containerd.log"))?;
        let program = find_program("containerd").context("containerd is not installed")?;
        let daemon = Command::new(program)
            .arg("--config")
            .arg(folder.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("starting containerd")?;
        let mut this = Self { folder, daemon, client: None, pods: RefCell::default() };
        this.connect()?;
        this.import(&image::make(&this.folder.join("image"))?)?;
        Ok(this)
    }

    /// Takes an image from a tar.
    ///
    /// # Errors
    /// What `ctr` says.
    pub fn import(&self, tar: &Path) -> Result<()> {
        let ctr = find_program("ctr").context("ctr is not installed")?;
        let mut import = Command::new(ctr);
        import.arg("--address").arg(self.socket()).args(["--namespace", "k8s.io", "images", "import"]).arg(tar);
        image::output(&mut import).map(drop)
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    fn connect(&mut self) -> Result<()> {
        let begun = clock::monotonic();
        loop {
            let answered = Client::connect(&self.socket()).and_then(|client| {
                client.call::<_, m::VersionResponse>("Version", m::Empty {})?;
                Ok(client)
            });
            match answered {
                Ok(client) => {
                    self.client = Some(client);
                    return Ok(());
                }
                Err(error) => {
                    let ended = self.daemon.try_wait()?.is_some();
                    if ended || clock::monotonic() - begun > DAEMON_PATIENCE {
                        let log = fs::read_to_string(self.folder.join("containerd.log")).unwrap_or_default();
                        let lines: Vec<_> = log.lines().collect();
                        let last = lines[lines.len().saturating_sub(10)..].join("\n");
                        return Err(error.context(format!("containerd does not come up; its log ends with\n{last}")));
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn call<A: prost::Message + Default + 'static>(
        &self,
        method: &str,
        request: impl prost::Message + 'static,
    ) -> Result<A> {
        self.client.as_ref().context("containerd is not connected")?.call(method, request)
    }

    /// Name and version, for people.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub fn version(&self) -> Result<String> {
        let version: m::VersionResponse = self.call("Version", m::Empty {})?;
        Ok(format!("{} {}", version.runtime_name, version.runtime_version))
    }

    fn end_daemon(&mut self) -> Result<()> {
        terminate(&self.daemon)?;
        let begun = clock::monotonic();
        while self.daemon.try_wait()?.is_none() {
            if clock::monotonic() - begun > DAEMON_PATIENCE {
                self.daemon.kill()?;
                self.daemon.wait()?;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Ends shims that know our socket, by id. Normally there are none left.
    fn end_shims(&self) -> Result<()> {
        let socket = self.socket();
        let socket = socket.as_os_str().as_encoded_bytes();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
            else {
                continue;
            };
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if command.split(|byte| *byte == 0).any(|argument| argument == socket) {
                kill_process(pid, Signal::KILL)?;
            }
        }
        Ok(())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let pods = self.pods.take();
        for (id, _) in &pods {
            for method in ["StopPodSandbox", "RemovePodSandbox"] {
                if let Err(error) = self.call::<m::Empty>(method, m::PodSandboxId { pod_sandbox_id: id.clone() }) {
                    eprintln!("cleaning up: {error:#}");
                }
            }
        }
        self.client = None;
        pods.iter().for_each(|(_, cgroup)| remove_cgroup(cgroup));
        let ended = self.end_daemon().and_then(|()| self.end_shims()).and_then(|()| unmount_below(&self.folder));
        if let Err(error) = ended {
            eprintln!("cleaning up: {error:#}");
        }
    }
}

/// Removes a pod's cgroup from every hierarchy, and those above it that are empty then. One that is in use, as by
/// a kubelet of this machine, cannot be removed and stays.
fn remove_cgroup(cgroup: &str) {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for root in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        let path = root.join(cgroup.trim_start_matches('/'));
        for folder in path.ancestors().take_while(|folder| *folder != root) {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Takes away every mount below a folder, the deepest first.
fn unmount_below(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let targets = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    let mut targets: Vec<_> = targets.filter(|target| target.starts_with(folder)).collect();
    targets.sort_by_key(|target| std::cmp::Reverse(target.components().count()));
    for target in targets {
        rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH)
            .with_context(|| format!("unmounting {}", target.display()))?;
    }
    Ok(())
}

/// No snapshotter that needs a kernel feature, no network, limits as the kubelet's default.
fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  max_container_log_line_size = 16384
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{folder}/cni/bin"
  conf_dir = "{folder}/cni/net.d"
"#
    )
}
