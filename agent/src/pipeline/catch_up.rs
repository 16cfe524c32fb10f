//! The containers of one label set are caught up together: Loki refuses what is an hour behind the newest of the
//! label set, whoever sent that. None goes more than `limits::CATCH_UP_SPREAD_MAX` ahead of the oldest record that
//! another of them has still to read.

use super::Pipeline;
use super::containers::Container;
use crate::limits::CATCH_UP_SPREAD_MAX;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::types::part::LabelSetId;
use crate::types::time::Now;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// One that made no progress for so long is not waited for: its file may end in half a line.
const STUCK: Duration = Duration::from_secs(60);
/// One that was not read at all is waited for so long.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// The time up to which `key` may go, of the runtime's times; `i64::MAX` where nobody is behind.
fn limit_ns(
    key: InstanceKey,
    containers: &BTreeMap<InstanceKey, Container>,
    groups: &HashMap<LabelSetId, Vec<InstanceKey>>,
    now: Now,
) -> i64 {
    let Some(ready) = containers.get(&key).and_then(|container| container.ready.as_ref()) else { return i64::MAX };
    let members = groups.get(&ready.group).map(Vec::as_slice).unwrap_or_default();
    let others = members.iter().filter(|member| **member != key).filter_map(|member| containers.get(member));
    others.filter_map(|other| behind(other, now)).min().unwrap_or(i64::MAX)
}

fn behind(other: &Container, now: Now) -> Option<i64> {
    let ready = other.ready.as_ref()?;
    match ready.looked_at {
        None if now.mono < other.appeared_at + FIRST_LOOK && other.has_backlog_at_first => Some(i64::MIN),
        Some(at) if now.mono < at + STUCK => {
            let spread = i64::try_from(CATCH_UP_SPREAD_MAX.as_nanos()).unwrap_or(i64::MAX);
            ready.next_ns.map(|next| next.saturating_add(spread))
        }
        _ => None,
    }
}

/// Whether the next record of `key` is known to be beyond its limit: then its file need not be read now.
pub(super) fn is_ahead(
    key: InstanceKey,
    containers: &BTreeMap<InstanceKey, Container>,
    groups: &HashMap<LabelSetId, Vec<InstanceKey>>,
    now: Now,
) -> bool {
    let next = containers.get(&key).and_then(|container| container.ready.as_ref()).and_then(|ready| ready.next_ns);
    next.is_some_and(|next| next > limit_ns(key, containers, groups, now))
}

impl<D: Disk, T: Tap> Pipeline<D, T> {
    /// The time up to which `key` may go.
    pub(super) fn catch_up_limit(&self, key: InstanceKey, now: Now) -> i64 {
        limit_ns(key, &self.containers, &self.groups, now)
    }
}
