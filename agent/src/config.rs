//! The configuration: types and built-in defaults here, reading and checking below.
//!
//! In: the YAML text and the environment. Out: [`Config`], or every error with its place. Never: a look at
//! anything else of the node (that is `doctor`), or a default that is not written in docs.

mod check;
mod environment;
mod error;
mod expand;
mod form;
mod loki;
mod performance;
mod read;
pub mod selector;
mod source;
#[cfg(test)]
mod tests;
mod value;
mod yaml;

pub use environment::variable;
pub use error::{ConfigError, ConfigErrors, Place, Problem};
pub use read::{load, read};

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The environment: a variable's value, where it is set.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// All settings, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Value of `node.name`, and the field selector of the pod watch.
    pub node_name: String,
    /// Positions, journal, known pods; locked by one agent.
    pub data_dir: PathBuf,
    /// Where the kubelet keeps the pods' log files.
    pub log_dir: PathBuf,
    /// Which witness to use.
    pub capture: Capture,
    /// The hooks to try, in order.
    pub capture_hooks: Vec<Hook>,
    /// Folders outside `log_dir` into which symlinks from it may lead.
    pub log_link_dirs: Vec<PathBuf>,
    /// Where a file without a saved position begins.
    pub start_at: StartAt,
    /// Bytes of deleted files that are kept open until they are read.
    pub backlog_bytes_max: u64,
    /// All buffers together.
    pub memory_bytes_max: u64,
    /// Where pods are learned from.
    pub discovery: Discovery,
    /// A pod is collected if any of these matches.
    pub select: Vec<Selector>,
    /// A collected pod's lines are parsed as JSON if any of these matches.
    pub json: Vec<Selector>,
    /// Loki label → source. At most 15.
    pub labels: BTreeMap<String, Source>,
    /// Structured metadata → source.
    pub structured_metadata: BTreeMap<String, Source>,
    /// What a line looks like.
    pub line: LineForm,
    /// Where to.
    pub loki: Loki,
    /// What suits the node.
    pub performance: Performance,
    /// Listen address of /metrics, /healthz, /readyz, /streams.
    pub admin: SocketAddr,
}

/// Which witness to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capture {
    /// The kernel where it can be had, else the file.
    Auto,
    /// The kernel, or do not start.
    Ebpf,
    /// The file alone.
    File,
}

/// A kind of kernel hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// fentry and fexit on the pipe's read function.
    Fentry,
    /// BTF tracepoint `sys_exit`.
    TpBtf,
    /// Raw tracepoint `sys_exit`.
    RawTp,
    /// kprobe and kretprobe.
    Kprobe,
}

/// Where a file without a saved position begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// At its first byte.
    Beginning,
    /// What existed at the very first start is skipped.
    End,
}

/// Where pods are learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discovery {
    /// The Kubernetes API: in-cluster, or `$KUBECONFIG`.
    Kubernetes {
        /// Also watch namespaces, for the opt-out label there (needs the right to).
        watch_namespaces: bool,
    },
    /// A file with the output of `kubectl get pods -o json`, read again when it changes.
    Static(PathBuf),
}

/// A Kubernetes label selector: all requirements must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Joined by "and". Empty: matches everything.
    pub requirements: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// `key in (a, b)`, `key=a`
    In(String, Vec<String>),
    /// `key notin (a, b)`, `key!=a`: holds also where the key is absent.
    NotIn(String, Vec<String>),
    /// `key`
    Exists(String),
    /// `!key`
    NotExists(String),
}

/// Where the value of a label or of structured metadata comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `pod.namespace`
    PodNamespace,
    /// `pod.name`
    PodName,
    /// `pod.uid`
    PodUid,
    /// `pod.label/KEY`
    PodLabel(String),
    /// `container.name`
    ContainerName,
    /// `node.name`
    NodeName,
    /// `json.level`; in `labels` only.
    JsonLevel,
    /// `json.trace_id`; in `structured_metadata` only.
    JsonTraceId,
    /// `value/CONSTANT`
    Constant(String),
}

/// What a line looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineForm {
    /// As the container wrote it (with JSON's `msg` and `time` renamed).
    Compact,
    /// One JSON object with the pod's labels in front.
    Envelope,
}

/// Where to, and how fast.
#[derive(Clone, Debug, PartialEq)]
pub struct Loki {
    /// Base URL; `/loki/api/v1/push` is added.
    pub url: String,
    /// `X-Scope-OrgID`; empty: not sent.
    pub tenant: String,
    /// Who we are.
    pub auth: Auth,
    /// TLS files.
    pub tls: Tls,
    /// Bytes per second, uncompressed, as Loki counts them (line and structured metadata).
    pub rate: u64,
    /// Bytes that may go at once.
    pub burst: u64,
    /// Bytes of a full batch, uncompressed.
    pub batch_bytes: usize,
    /// The longest time that an entry waits for others.
    pub linger_max: Duration,
    /// Pushes under way at once, of disjoint label sets.
    pub requests_in_flight: usize,
}

/// What suits the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performance {
    /// Data threads, over which the pods are spread.
    pub threads: usize,
    /// From one look at a busy ring or file to the next.
    pub look_again: Duration,
    /// Bytes of the kernel's ring, a power of two. `None`: an eighth of `memory_bytes_max`.
    pub ring_bytes: Option<u32>,
}

/// Who we are to Loki. Files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nobody.
    None,
    /// User name, and a file that holds the password.
    Basic {
        /// User name.
        username: String,
        /// File whose content, less the newline at its end, is the password.
        password_file: PathBuf,
    },
    /// A file that holds a bearer token.
    Bearer {
        /// File whose content, less the newline at its end, is the token.
        token_file: PathBuf,
    },
}

/// TLS files, PEM. Read again when they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate.
    pub cert_file: Option<PathBuf>,
    /// Our key.
    pub key_file: Option<PathBuf>,
    /// Do not verify the server.
    pub insecure_skip_verify: bool,
}
