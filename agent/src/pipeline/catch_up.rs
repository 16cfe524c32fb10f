//! The containers of one label set are caught up together: Loki refuses what is an hour behind the newest of the
//! label set, whoever sent that. None goes more than `limits::CATCH_UP_SPREAD_MAX` ahead of the oldest record that
//! another of them has still to read.

use super::Pipeline;
use super::containers::Container;
use super::thread_limits::ThreadLimits;
use crate::batch::Batch;
use crate::limits::CATCH_UP_SPREAD_MAX;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::types::part::LabelSetId;
use crate::types::shard::Shard;
use crate::types::time::Now;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// One that made no progress for so long is not waited for: its file may end in half a line.
const STUCK: Duration = Duration::from_secs(60);
/// One that was not read at all is waited for so long.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Who may have containers of the same label set.
pub(super) struct Fellows<'a> {
    containers: &'a BTreeMap<InstanceKey, Container>,
    groups: &'a HashMap<LabelSetId, Vec<InstanceKey>>,
    batch: &'a Batch,
    thread_limits: &'a ThreadLimits,
    shard: Shard,
}

impl<'a> Fellows<'a> {
    pub(super) fn new(
        containers: &'a BTreeMap<InstanceKey, Container>,
        groups: &'a HashMap<LabelSetId, Vec<InstanceKey>>,
        batch: &'a Batch,
        thread_limits: &'a ThreadLimits,
        shard: Shard,
    ) -> Self {
        Self { containers, groups, batch, thread_limits, shard }
    }

    /// The time up to which `key` may go, of the runtime's times; `i64::MAX` where nobody is behind.
    fn limit_ns(&self, key: InstanceKey, now: Now) -> i64 {
        let Some(group) = self.group(key) else { return i64::MAX };
        let here = self.behind(group, Some(key), now).unwrap_or(i64::MAX);
        here.min(self.thread_limits.limit_ns(self.shard, self.batch.text(group), STUCK, now.mono))
    }

    /// Whether the next record of `key` is known to be beyond its limit: then its file need not be read now.
    pub(super) fn is_ahead(&self, key: InstanceKey, now: Now) -> bool {
        let next = self.containers.get(&key).and_then(|container| container.ready.as_ref()?.next_ns);
        next.is_some_and(|next| next > self.limit_ns(key, now))
    }

    fn group(&self, key: InstanceKey) -> Option<LabelSetId> {
        Some(self.containers.get(&key)?.ready.as_ref()?.group)
    }

    /// Up to when this thread's containers of a label set, but for `but`, let others go.
    fn behind(&self, group: LabelSetId, but: Option<InstanceKey>, now: Now) -> Option<i64> {
        let members = self.groups.get(&group).map(Vec::as_slice).unwrap_or_default();
        let others = members.iter().filter(|member| Some(**member) != but);
        others.filter_map(|member| behind(self.containers.get(member)?, now)).min()
    }

    /// Tells the other threads.
    fn tell(&self, group: LabelSetId, now: Now) {
        self.thread_limits.tell_behind(self.shard, self.batch.text(group), self.behind(group, None, now), now.mono);
    }
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

impl<D: Disk, T: Tap> Pipeline<D, T> {
    fn fellows(&self) -> Fellows<'_> {
        Fellows::new(&self.containers, &self.groups, &self.batch, &self.thread_limits, self.settings.shard)
    }

    /// The time up to which `key` may go.
    pub(super) fn catch_up_limit(&self, key: InstanceKey, now: Now) -> i64 {
        self.fellows().limit_ns(key, now)
    }

    /// How far `key` and its fellows are has changed; the other threads are told.
    pub(super) fn tell_behind(&self, key: InstanceKey, now: Now) {
        let fellows = self.fellows();
        if fellows.shard.count() > 1
            && let Some(group) = fellows.group(key)
        {
            fellows.tell(group, now);
        }
    }

    /// The same of all, once a second: what is told grows old.
    pub(super) fn tell_all_behind(&self, now: Now) {
        let fellows = self.fellows();
        if fellows.shard.count() > 1 {
            self.groups.keys().for_each(|group| fellows.tell(*group, now));
        }
    }
}
