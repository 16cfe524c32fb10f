//! kubectl and helm, for one namespace of one cluster.
//!
//! In: a kubeconfig. Out: what they print. Never: another namespace.

use crate::clock;
use crate::cri::image::output;
use crate::tools::Tool;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Both programs, and where they are to go.
pub struct Kubectl {
    kubectl: PathBuf,
    helm: PathBuf,
    kubeconfig: PathBuf,
    namespace: &'static str,
}

impl Kubectl {
    /// Looks for the programs.
    ///
    /// # Errors
    /// One is missing.
    pub fn new(kubeconfig: &Path, namespace: &'static str) -> Result<Self> {
        let (kubectl, helm) = (Tool::Kubectl.path()?, Tool::Helm.path()?);
        Ok(Self { kubectl, helm, kubeconfig: kubeconfig.to_path_buf(), namespace })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--namespace", self.namespace]);
        command
    }

    /// Runs a command of kubectl.
    ///
    /// # Errors
    /// What it says.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        output(self.command(&self.kubectl).args(args))
    }

    /// Runs a command of helm.
    ///
    /// # Errors
    /// What it says.
    pub fn helm(&self, args: &[&str]) -> Result<String> {
        output(self.command(&self.helm).args(args))
    }

    /// What the server calls itself.
    ///
    /// # Errors
    /// It does not answer.
    pub fn version(&self) -> Result<String> {
        let text = self.run(&["get", "--raw", "/version"])?;
        let version: Value = serde_json::from_str(&text)?;
        Ok(format!("Kubernetes {}", version["gitVersion"].as_str().unwrap_or_default()))
    }

    /// Makes what a list describes.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn apply(&self, list: &Value) -> Result<()> {
        let mut apply = self.command(&self.kubectl);
        let mut apply = apply.args(["apply", "--filename", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        apply.stdin.take().context("no stdin")?.write_all(list.to_string().as_bytes())?;
        anyhow::ensure!(apply.wait()?.success(), "kubectl apply failed");
        Ok(())
    }

    /// With all that is in it.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn delete_namespace(&self) -> Result<()> {
        self.run(&["delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=2m"]).map(drop)
    }

    /// Until the API server answers.
    ///
    /// # Errors
    /// It does not within `patience`.
    pub fn until_it_answers(&self, patience: Duration) -> Result<()> {
        let begun = clock::monotonic();
        while let Err(error) = self.run(&["get", "--raw", "/readyz"]) {
            if clock::monotonic() - begun > patience {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }

    /// Until these pods have ended by themselves.
    ///
    /// # Errors
    /// They have not within `patience`, or a signal came.
    pub fn until_ended(&self, pods: &[&str], patience: Duration, stop: &AtomicBool) -> Result<()> {
        let begun = clock::monotonic();
        let args = [&["get", "pods", "--output", "jsonpath={.items[*].status.phase}"][..]].concat();
        loop {
            let phases = self.run(&[&args[..1], &["pods"], pods, &args[2..]].concat())?;
            if phases.split(' ').all(|phase| phase == "Succeeded") {
                return Ok(());
            }
            if stop.load(Ordering::Relaxed) || clock::monotonic() - begun > patience {
                bail!("the pods {} are still {phases}", pods.join(", "));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// How often a pod's container was started again.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn restarts(&self, pod: &str) -> Result<u32> {
        let path = "jsonpath={.status.containerStatuses[0].restartCount}";
        let text = self.run(&["get", "pod", pod, "--output", path])?;
        text.trim().parse().with_context(|| format!("restarts of {pod}: {text}"))
    }

    /// What a metric of the agents counts, all nodes together, as the API server asks them.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn metric(&self, name: &str) -> Result<f64> {
        let names = ["get", "pods", "--selector=app.kubernetes.io/name=penstock", "--output=name"];
        let mut sum = 0.0;
        for pod in self.run(&names)?.lines().filter_map(|line| line.strip_prefix("pod/")) {
            let page = format!("/api/v1/namespaces/{}/pods/{pod}:9598/proxy/metrics", self.namespace);
            let text = self.run(&["get", "--raw", &page])?;
            let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok();
            sum += text.lines().find_map(value).unwrap_or(0.0);
        }
        Ok(sum)
    }

    /// How many rotated files a pod has on the node, where the node is this machine.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn rotations(&self, pod: &str) -> Result<usize> {
        let uid = self.run(&["get", "pod", pod, "--output", "jsonpath={.metadata.uid}"])?;
        let folder = format!("/var/log/pods/{}_{pod}_{}/main", self.namespace, uid.trim());
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        Ok(files.filter(|file| file.file_name() != "0.log").count())
    }
}
