//! Pods from a file: the output of `kubectl get pods -o json`, read again when it changes.
//!
//! In: a `List`, a single `Pod`, or a JSON array of pods. Out: snapshots with those of this node: where
//! `spec.nodeName` is its name, or empty or absent. Never: less than the last good file said, because the
//! present one is broken, half written or gone.

use super::book::{Book, Change};
use super::meta::PodMeta;
use super::{DiscoveryConfig, Status, publish, stopped};
use crate::clock::Clock;
use crate::limits::POD_FILE_BYTES_MAX;
use crate::repeat::Repeats;
use crate::types::pod::PodSnapshot;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;

/// Why a static pod file was not taken. The pods read before stay in use.
#[derive(Debug, thiserror::Error)]
pub enum StaticError {
    /// The file system.
    #[error("reading the pods in {path}: {source}; check `discovery.static` and the file's permissions")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// Too large to be one.
    #[error(
        "{path} has more than {POD_FILE_BYTES_MAX} bytes; write the pods of this node alone, with `--field-selector`"
    )]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// Not JSON, or not pods.
    #[error(
        "{path}, line {}, column {}: {source}; write it with `kubectl get pods -A -o json` (to another file, then \
         rename). The pods read before stay in use",
        .source.line(),
        .source.column()
    )]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
}

/// Whether a file is still the one that was read.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

pub(super) async fn run(
    config: &DiscoveryConfig,
    path: &Path,
    mut book: Book,
    clock: Clock,
    snapshots: &watch::Sender<Arc<PodSnapshot>>,
    status: &watch::Sender<Status>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut repeats = Repeats::default();
    let mut taken = None;
    let mut failed = None;
    loop {
        let stamp = stamp(path).await;
        if stamp.is_none() || stamp != taken {
            match read(path, &config.node_name).await {
                Ok(pods) => {
                    (taken, failed) = (stamp, None);
                    status.send_modify(|status| {
                        status.lists += 1;
                        status.trouble.clear();
                    });
                    if book.pods(Change::Listed(pods)) {
                        publish(&book, snapshots);
                    }
                }
                // It may be half written: only what stays so is an error.
                Err(StaticError::Parse { .. }) if stamp != failed => failed = stamp,
                Err(error) => {
                    taken = stamp;
                    status.send_modify(|status| {
                        status.errors += 1;
                        status.trouble.insert("pods", error.to_string());
                    });
                    if let Some(suppressed) = repeats.report("read", clock.now().mono) {
                        tracing::warn!(suppressed, "{error}");
                    }
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(config.pace.static_poll) => {}
            () = stopped(&mut shutdown) => return,
        }
    }
}

async fn stamp(path: &Path) -> Option<Stamp> {
    let found = tokio::fs::metadata(path).await.ok()?;
    Some(Stamp {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

async fn read(path: &Path, node_name: &str) -> Result<Vec<PodMeta>, StaticError> {
    let io = |source| StaticError::Io { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(io)?;
    let mut bytes = Vec::new();
    file.take(POD_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).await.map_err(io)?;
    if bytes.len() as u64 > POD_FILE_BYTES_MAX {
        return Err(StaticError::TooLarge { path: path.to_owned() });
    }
    parse(&bytes, node_name).map_err(|source| StaticError::Parse { path: path.to_owned(), source })
}

/// A list, a pod, or something else.
#[derive(serde::Deserialize)]
struct Object {
    kind: Option<String>,
    items: Option<Vec<Object>>,
    metadata: Option<ObjectMeta>,
    spec: Option<Spec>,
}

#[derive(serde::Deserialize)]
struct Spec {
    #[serde(rename = "nodeName")]
    node_name: Option<String>,
}

/// The pods of the node in a `List`, a single pod or an array; objects of other kinds in a list are left out.
///
/// # Errors
/// Where the text is not JSON, or neither of the three.
pub fn parse(bytes: &[u8], node_name: &str) -> Result<Vec<PodMeta>, serde_json::Error> {
    let is_pod = |object: &Object| object.kind.as_deref().is_none_or(|kind| kind == "Pod");
    let objects = if bytes.trim_ascii_start().starts_with(b"[") {
        serde_json::from_slice(bytes)?
    } else {
        match serde_json::from_slice(bytes)? {
            Object { items: Some(objects), .. } => objects,
            object if object.metadata.is_some() && is_pod(&object) => vec![object],
            _ => return Err(serde::de::Error::custom("neither a list of pods nor a pod")),
        }
    };
    let is_here = |object: &Object| {
        let node = object.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        node.is_empty() || node == node_name
    };
    let here = objects.into_iter().filter(|object| is_pod(object) && is_here(object));
    Ok(here.filter_map(|object| PodMeta::new(object.metadata?)).collect())
}
