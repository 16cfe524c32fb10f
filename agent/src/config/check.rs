//! What settings of different sections must be to each other.
//!
//! In: the settings as read, and their places. Out: mistakes. Never: a word about a setting already reported.

use super::error::Problem;
use super::form::{Form, Section};
use super::{Capture, Config, Hook};
use crate::limits::MEMORY_BYTES_MIN;
use std::path::{Component, Path, PathBuf};

/// Reports what does not go together.
pub(super) fn together(form: &mut Form<'_>, root: &Section<'_>, config: &Config) {
    let batch = u64::try_from(config.loki.batch_bytes).unwrap_or(u64::MAX);
    let memory_min = MEMORY_BYTES_MIN.max(batch.saturating_mul(4)) * config.performance.threads as u64;
    if config.memory_bytes_max < memory_min {
        let why = format!(
            "{} bytes are too few; write at least {memory_min} (8MiB, and 4 times loki.batch_bytes, for each data thread)",
            config.memory_bytes_max
        );
        complain(form, root, "memory_bytes_max", Problem::Range(why));
    }
    if config.performance.ring_bytes.is_some_and(|ring| u64::from(ring) > config.memory_bytes_max / 2) {
        let why = "the ring is more than half of memory_bytes_max; write a smaller one, or raise memory_bytes_max";
        complain(form, root, "performance", Problem::Range(why.to_owned()));
    }
    if normal(&config.data_dir).starts_with(normal(&config.log_dir)) {
        let why = "data_dir lies in log_dir, where only log files are looked for; choose another folder".to_owned();
        complain(form, root, "data_dir", Problem::Range(why));
    }
    if config.select.is_empty() {
        let why = "no selector, so no pod would be collected; write at least one, or leave the key out for its default";
        complain(form, root, "select", Problem::Range(why.to_owned()));
    }
    let is_doubled = |(index, hook): (usize, &Hook)| config.capture_hooks[..index].contains(hook);
    if config.capture_hooks.iter().enumerate().any(is_doubled) {
        complain(form, root, "capture_hooks", Problem::Range("a hook is named twice; keep the first".to_owned()));
    }
    if config.capture_hooks.is_empty() && config.capture != Capture::File {
        let why = "no hook to try; name one, or set capture: file".to_owned();
        complain(form, root, "capture_hooks", Problem::Range(why));
    }
}

/// The path without `.` and `..`, as far as that can be told without a look at symlinks.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

fn complain(form: &mut Form<'_>, root: &Section<'_>, key: &str, problem: Problem) {
    let is_reported = form
        .errors
        .iter()
        .any(|error| error.key.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('[')));
    if !is_reported {
        form.report(root.place_of(key), key, problem);
    }
}
