//! A rendered DaemonSet's pod in the words of the runtime, as the kubelet would say it.
//!
//! In: manifests. Out: image, arguments, environment, mounts, rights. Never: a field that is passed over: what is not
//! translated here, and matters, is an error.

use crate::cri::Mounted;
use crate::cri::pods::{ContainerSpec, Rights};
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVar, PodSpec, Probe, Volume};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The chart's pod, and the configuration that is mounted into it.
pub(super) struct Deployed {
    spec: PodSpec,
    config_maps: Vec<ConfigMap>,
}

impl Deployed {
    /// Looks for the one DaemonSet.
    ///
    /// # Errors
    /// There is none, or a manifest is not of its type.
    pub(super) fn read(manifests: &[Value]) -> Result<Self> {
        let of = |kind: &'static str| manifests.iter().filter(move |manifest| manifest["kind"] == kind);
        let set = of("DaemonSet").next().context("no DaemonSet among the manifests")?;
        let set: DaemonSet = serde_json::from_value(set.clone())?;
        let template = set.spec.context("a DaemonSet without spec")?.template;
        let config_maps = of("ConfigMap").map(|map| Ok(serde_json::from_value(map.clone())?));
        Ok(Self {
            spec: template.spec.context("a pod without spec")?,
            config_maps: config_maps.collect::<Result<_>>()?,
        })
    }

    /// Seconds that Kubernetes gives it to end.
    #[must_use]
    pub(super) fn grace_seconds(&self) -> i64 {
        self.spec.termination_grace_period_seconds.unwrap_or(30)
    }

    /// The pages for which its probes ask.
    ///
    /// # Errors
    /// A probe is missing, or asks otherwise.
    pub(super) fn probes(&self) -> Result<Vec<String>> {
        let container = self.container_spec()?;
        let probes = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe];
        let page = |probe: &Option<Probe>| probe.as_ref()?.http_get.as_ref()?.path.clone();
        probes.into_iter().map(|probe| page(probe).context("not every probe asks for a page")).collect()
    }

    /// The container, on a node, its ConfigMaps as files below `folder`.
    ///
    /// # Errors
    /// A volume, variable or setting that is not translated here; the files cannot be written.
    pub(super) fn container(&self, node: &str, folder: &Path) -> Result<ContainerSpec> {
        let container = self.container_spec()?;
        let volumes = self.spec.volumes.iter().flatten();
        let hosts = volumes.map(|volume| Ok((volume.name.as_str(), self.host(volume, folder)?)));
        let hosts = hosts.collect::<Result<std::collections::BTreeMap<_, _>>>()?;
        let mounts = container.volume_mounts.iter().flatten().map(|mount| {
            ensure!(mount.sub_path.is_none(), "{}: a mount with subPath is not translated", mount.name);
            Ok(Mounted {
                host: hosts.get(mount.name.as_str()).with_context(|| format!("no volume {}", mount.name))?.clone(),
                container: mount.mount_path.clone(),
                readonly: mount.read_only == Some(true),
            })
        });
        Ok(ContainerSpec {
            image: container.image.clone().context("a container without image")?,
            command: container.command.clone().unwrap_or_default(),
            args: container.args.clone().unwrap_or_default(),
            environment: container.env.iter().flatten().map(|env| variable(env, node)).collect::<Result<_>>()?,
            mounts: mounts.collect::<Result<_>>()?,
            rights: self.rights(container)?,
        })
    }

    fn container_spec(&self) -> Result<&Container> {
        match &*self.spec.containers {
            [only] if self.spec.init_containers.is_none() => Ok(only),
            _ => bail!("a pod with more than one container is not translated"),
        }
    }

    /// Where a volume is on the machine.
    fn host(&self, volume: &Volume, folder: &Path) -> Result<PathBuf> {
        if let Some(host) = &volume.host_path {
            if host.type_.as_deref() == Some("DirectoryOrCreate") {
                fs::create_dir_all(&host.path)?;
            }
            ensure!(Path::new(&host.path).exists(), "{} is not there, as {:?} demands", host.path, host.type_);
            return Ok(host.path.clone().into());
        }
        let Some(name) = volume.config_map.as_ref().map(|map| &map.name) else {
            bail!("volume {} is not translated", volume.name);
        };
        let map = self.config_maps.iter().find(|map| map.metadata.name.as_ref() == Some(name));
        let map = map.with_context(|| format!("no ConfigMap {name} among the manifests"))?;
        let folder = folder.join(&volume.name);
        fs::create_dir_all(&folder)?;
        for (key, text) in map.data.iter().flatten() {
            fs::write(folder.join(key), text)?;
        }
        Ok(folder)
    }

    fn rights(&self, container: &Container) -> Result<Rights> {
        let security = container.security_context.as_ref().context("a container without securityContext")?;
        let capabilities = security.capabilities.clone().unwrap_or_default();
        let profile = security.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
        Ok(Rights {
            sees_node: self.spec.host_pid == Some(true),
            is_privileged: security.privileged == Some(true),
            add: capabilities.add.unwrap_or_default(),
            drop: capabilities.drop.unwrap_or_default(),
            user: security.run_as_user,
            has_readonly_root: security.read_only_root_filesystem == Some(true),
            has_no_new: security.allow_privilege_escalation == Some(false),
            is_filtered: profile == Some("RuntimeDefault"),
        })
    }
}

fn variable(variable: &EnvVar, node: &str) -> Result<(String, String)> {
    let name = variable.name.clone();
    if let Some(value) = &variable.value {
        return Ok((name, value.clone()));
    }
    let field = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
    match field.map(|field| field.field_path.as_str()) {
        Some("spec.nodeName") => Ok((name, node.to_owned())),
        _ => bail!("variable {name} is not translated"),
    }
}
