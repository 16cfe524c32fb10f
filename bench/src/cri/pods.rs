//! Pods and containers of a containerd: started, asked, ended.
//!
//! In: what to run, and with which rights. Out: containers that run, their exit codes, what they say. Never: the daemon's own
//! life (that is [`super::containerd`]).

use super::containerd::Containerd;
use super::image::IMAGE;
use super::messages as m;
use crate::clock;
use crate::pods::SamplePod;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder or file of the machine inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Where it is on the machine.
    pub host: PathBuf,
    /// Where the container sees it.
    pub container: String,
    /// Whether the container may not write to it.
    pub readonly: bool,
}

/// What a container may. Nothing said: what the runtime gives everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// It sees the node's processes.
    pub sees_node: bool,
    /// It may do everything.
    pub is_privileged: bool,
    /// Capabilities added, without `CAP_`.
    pub add: Vec<String>,
    /// Capabilities taken away; `ALL` is all.
    pub drop: Vec<String>,
    /// Who it is.
    pub user: Option<i64>,
    /// It cannot write to its own root file system.
    pub has_readonly_root: bool,
    /// No program of it may gain rights.
    pub has_no_new: bool,
    /// The runtime's own filter of system calls holds.
    pub is_filtered: bool,
}

/// A container to start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Name of its image.
    pub image: String,
    /// Instead of the image's entrypoint.
    pub command: Vec<String>,
    /// Instead of the image's command.
    pub args: Vec<String>,
    /// Variables and their values.
    pub environment: Vec<(String, String)>,
    /// What of the machine it sees.
    pub mounts: Vec<Mounted>,
    /// What it may.
    pub rights: Rights,
}

/// A pod that runs.
#[derive(Clone, Debug)]
pub struct RunningPod {
    id: String,
    config: m::PodSandboxConfig,
    container: String,
}

impl Containerd {
    /// Starts a pod in the network of the node, its logs under `pods_root` in the kubelet's layout.
    ///
    /// # Errors
    /// What containerd says.
    pub fn run_pod(&self, pod: &SamplePod, pods_root: &Path) -> Result<RunningPod> {
        self.run_pod_with(pod, pods_root, &Rights::default())
    }

    /// As above, with what the pod as a whole may: the node's processes in sight, everything.
    ///
    /// # Errors
    /// What containerd says.
    pub fn run_pod_with(&self, pod: &SamplePod, pods_root: &Path, rights: &Rights) -> Result<RunningPod> {
        let folder = pod.log_folder(pods_root);
        for container in &pod.containers {
            fs::create_dir_all(folder.join(container))?;
        }
        // As the kubelet names the cgroup of a pod without requests and limits.
        let cgroup = format!("/kubepods/besteffort/pod{}", pod.uid);
        let security = m::LinuxSandboxSecurityContext {
            namespace_options: Some(namespaces(rights)),
            privileged: rights.is_privileged,
        };
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

    /// Starts run `attempt` of the pod's first container, of the tests' image. Returns the container's id.
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
        let image = IMAGE.to_owned();
        let spec = ContainerSpec { image, command, mounts: mounts.to_vec(), ..ContainerSpec::default() };
        self.start_container_with(pod, attempt, &spec)
    }

    /// As above, of any kind.
    ///
    /// # Errors
    /// What containerd says.
    pub fn start_container_with(&self, pod: &RunningPod, attempt: u32, spec: &ContainerSpec) -> Result<String> {
        let mounts = spec.mounts.iter().map(|mounted| m::Mount {
            container_path: mounted.container.clone(),
            host_path: mounted.host.to_string_lossy().into_owned(),
            readonly: mounted.readonly,
        });
        let variable = |(key, value): &(String, String)| m::KeyValue { key: key.clone(), value: value.clone() };
        let config = m::ContainerConfig {
            metadata: Some(m::ContainerMetadata { name: pod.container.clone(), attempt }),
            image: Some(m::ImageSpec { image: spec.image.clone() }),
            command: spec.command.clone(),
            args: spec.args.clone(),
            envs: spec.environment.iter().map(variable).collect(),
            mounts: mounts.collect(),
            log_path: format!("{}/{attempt}.log", pod.container),
            linux: Some(m::LinuxContainerConfig { security_context: Some(security(&spec.rights)) }),
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
}

/// Of the node: the network, and the processes where it may see them.
fn namespaces(rights: &Rights) -> m::NamespaceOption {
    let pid = if rights.sees_node { m::NAMESPACE_NODE } else { m::NAMESPACE_POD };
    m::NamespaceOption { network: m::NAMESPACE_NODE, pid, ..Default::default() }
}

fn security(rights: &Rights) -> m::LinuxContainerSecurityContext {
    let capabilities = m::Capability { add_capabilities: rights.add.clone(), drop_capabilities: rights.drop.clone() };
    let profile = if rights.is_filtered { m::PROFILE_RUNTIME_DEFAULT } else { m::PROFILE_UNCONFINED };
    m::LinuxContainerSecurityContext {
        capabilities: Some(capabilities),
        privileged: rights.is_privileged,
        namespace_options: Some(namespaces(rights)),
        run_as_user: rights.user.map(|value| m::Int64Value { value }),
        readonly_rootfs: rights.has_readonly_root,
        no_new_privs: rights.has_no_new,
        seccomp: Some(m::SecurityProfile { profile_type: profile }),
    }
}
