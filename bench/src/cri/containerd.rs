//! A containerd of our own: root, state and socket in one folder.
//!
//! In: an empty folder. Out: pods and containers. Never: anything left when it is dropped, also on a failure:
//! pods are stopped, shims and the daemon ended by their ids, mounts taken away.

use super::client::Client;
use super::image::{self, IMAGE};
use super::messages as m;
use super::{find_program, missing};
use crate::clock;
use crate::pods::SamplePod;
use crate::sample::terminate;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How long the daemon may take to start or to end.
const DAEMON_PATIENCE: Duration = Duration::from_secs(30);

/// A folder or file of the machine inside a container.
#[derive(Clone, Debug)]
pub struct Mounted {
    /// Where it is on the machine.
    pub host: PathBuf,
    /// Where the container sees it.
    pub container: String,
    /// Whether the container may not write to it.
    pub readonly: bool,
}

/// The daemon.
#[derive(Debug)]
pub struct Containerd {
    folder: PathBuf,
    daemon: Child,
    client: Option<Client>,
    /// Id and cgroup of each pod.
    pods: RefCell<Vec<(String, String)>>,
}

/// A pod that runs.
#[derive(Clone, Debug)]
pub struct RunningPod {
    id: String,
    config: m::PodSandboxConfig,
    container: String,
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
        let image = image::make(&this.folder.join("image"))?;
        let ctr = find_program("ctr").context("ctr is not installed")?;
        let mut import = Command::new(ctr);
        import.arg("--address").arg(this.socket()).args(["--namespace", "k8s.io", "images", "import"]).arg(image);
        image::output(&mut import)?;
        Ok(this)
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

    fn call<A: prost::Message + Default + 'static>(
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

    /// Starts a pod in the network of the node, its logs under `pods_root` in the kubelet's layout.
    ///
    /// # Errors
    /// What containerd says.
    pub fn run_pod(&self, pod: &SamplePod, pods_root: &Path) -> Result<RunningPod> {
        let folder = pod.log_folder(pods_root);
        for container in &pod.containers {
            fs::create_dir_all(folder.join(container))?;
        }
        // As the kubelet names the cgroup of a pod without requests and limits.
        let cgroup = format!("/kubepods/besteffort/pod{}", pod.uid);
        let security = m::LinuxSandboxSecurityContext { namespace_options: Some(node_network()) };
        let config = m::PodSandboxConfig {
            metadata: Some(m::PodSandboxMetadata {
                name: pod.name.clone(),
                uid: pod.uid.clone(),
                namespace: pod.namespace.clone(),
                attempt: 0,
            }),
            log_directory: folder.to_string_lossy().into_owned(),
            labels: pod.labels.clone().into_iter().collect(),
            linux: Some(m::LinuxPodSandboxConfig { cgroup_parent: cgroup.clone(), security_context: Some(security) }),
        };
        let request = m::RunPodSandboxRequest { config: Some(config.clone()) };
        let answer: m::PodSandboxId = self.call("RunPodSandbox", request)?;
        let id = answer.pod_sandbox_id;
        self.pods.borrow_mut().push((id.clone(), cgroup));
        Ok(RunningPod { id, config, container: pod.containers[0].clone() })
    }

    /// Starts run `attempt` of the pod's first container. Returns the container's id.
    ///
    /// # Errors
    /// What containerd says.
    pub fn start_container(
        &self,
        pod: &RunningPod,
        attempt: u32,
        command: Vec<String>,
        mounts: &[Mounted],
    ) -> Result<String> {
        let mounts = mounts.iter().map(|mounted| m::Mount {
            container_path: mounted.container.clone(),
            host_path: mounted.host.to_string_lossy().into_owned(),
            readonly: mounted.readonly,
        });
        let security = m::LinuxContainerSecurityContext { namespace_options: Some(node_network()) };
        let config = m::ContainerConfig {
            metadata: Some(m::ContainerMetadata { name: pod.container.clone(), attempt }),
            image: Some(m::ImageSpec { image: IMAGE.into() }),
            command,
            mounts: mounts.collect(),
            log_path: format!("{}/{attempt}.log", pod.container),
            linux: Some(m::LinuxContainerConfig { security_context: Some(security) }),
        };
        let request = m::CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        let id: m::ContainerId = self.call("CreateContainer", request)?;
        let _: m::Empty = self.call("StartContainer", id.clone())?;
        Ok(id.container_id)
    }

    /// Runs a command in a container, as an exec probe does, and returns what it says.
    ///
    /// # Errors
    /// What containerd says; another exit code than 0; it takes longer than `seconds`.
    pub fn exec(&self, id: &str, command: &[&str], seconds: i64) -> Result<Vec<u8>> {
        let cmd = command.iter().map(ToString::to_string).collect();
        let request = m::ExecSyncRequest { container_id: id.into(), cmd, timeout: seconds };
        let answer: m::ExecSyncResponse = self.call("ExecSync", request)?;
        ensure!(answer.exit_code == 0, "{command:?} in container {id} ended with exit code {}", answer.exit_code);
        Ok(answer.stdout)
    }

    /// Its exit code once it has ended.
    ///
    /// # Errors
    /// What containerd says.
    pub fn exit_code(&self, id: &str) -> Result<Option<i32>> {
        let answer: m::ContainerStatusResponse =
            self.call("ContainerStatus", m::ContainerId { container_id: id.into() })?;
        let status = answer.status.context("a container without status")?;
        Ok((status.state == m::CONTAINER_EXITED).then_some(status.exit_code))
    }

    /// Waits until it has ended by itself, with exit code 0.
    ///
    /// # Errors
    /// Another exit code, or it still runs after `patience`.
    pub fn wait(&self, id: &str, patience: Duration) -> Result<()> {
        let begun = clock::monotonic();
        while clock::monotonic() - begun < patience {
            if let Some(code) = self.exit_code(id)? {
                ensure!(code == 0, "container {id} ended with exit code {code}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("container {id} still runs after {patience:?}")
    }

    /// SIGTERM, and SIGKILL after `seconds`.
    ///
    /// # Errors
    /// What containerd says.
    pub fn stop_container(&self, id: &str, seconds: i64) -> Result<()> {
        let request = m::StopContainerRequest { container_id: id.into(), timeout: seconds };
        self.call::<m::Empty>("StopContainer", request).map(drop)
    }

    /// Removes a container that has ended; its log files stay, they are the kubelet's business.
    ///
    /// # Errors
    /// What containerd says.
    pub fn remove_container(&self, id: &str) -> Result<()> {
        self.call::<m::Empty>("RemoveContainer", m::ContainerId { container_id: id.into() }).map(drop)
    }

    /// Tells containerd that the log file was renamed.
    ///
    /// # Errors
    /// What containerd says; it refuses when the container does not run.
    pub fn reopen_log(&self, id: &str) -> Result<()> {
        self.call::<m::Empty>("ReopenContainerLog", m::ContainerId { container_id: id.into() }).map(drop)
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

fn node_network() -> m::NamespaceOption {
    m::NamespaceOption { network: m::NAMESPACE_NODE, ..Default::default() }
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
