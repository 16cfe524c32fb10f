//! The containers of one label set are caught up together: Loki refuses what is an hour behind the newest of the
//! label set, whoever sent that. None goes more than `limits::CATCH_UP_SPREAD_MAX` ahead of the oldest record that
//! another of them has still to read.

use super::Pipeline;
use super::containers::{Container, Ready};
use super::thread_limits::ThreadLimits;
use crate::batch::Batch;
use crate::limits::CATCH_UP_SPREAD_MAX;
use crate::sources::ebpf::tap::Tap;
use crate::sources::file::InstanceKey;
use crate::sources::file::disk::Disk;
use crate::types::part::LabelSetId;
use crate::types::shard::Shard;
use crate::types::time::Now;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// One that made no progress for so long is not waited for: its file may end in half a line.
const STUCK: Duration = Duration::from_secs(60);
/// One that was not read at all is waited for so long.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// The containers of one label set. There may be hundreds, and their limit is asked for twice a block: what is sure of all
/// of them is kept.
#[derive(Debug)]
pub(super) struct Group {
    members: Vec<InstanceKey>,
    /// Each lets the others go as far as this, or further.
    sure_ns: Cell<i64>,
}

impl Group {
    pub(super) fn join(&mut self, key: InstanceKey) {
        self.members.push(key);
        self.sure_ns.set(i64::MIN);
    }

    /// True where nobody is left.
    pub(super) fn leave(&mut self, key: InstanceKey) -> bool {
        self.members.retain(|member| *member != key);
        self.members.is_empty()
    }

    /// A member lets the others go up to this now.
    fn lower(&self, behind_ns: Option<i64>) {
        self.sure_ns.set(self.sure_ns.get().min(behind_ns.unwrap_or(i64::MAX)));
    }
}

impl Default for Group {
    fn default() -> Self {
        Self { members: Vec::new(), sure_ns: Cell::new(i64::MIN) }
    }
}

/// Who may have containers of the same label set.
pub(super) struct Fellows<'a> {
    containers: &'a BTreeMap<InstanceKey, Container>,
    groups: &'a HashMap<LabelSetId, Group>,
    batch: &'a Batch,
    thread_limits: &'a ThreadLimits,
    shard: Shard,
}

impl<'a> Fellows<'a> {
    pub(super) fn new(
        containers: &'a BTreeMap<InstanceKey, Container>,
        groups: &'a HashMap<LabelSetId, Group>,
        batch: &'a Batch,
        thread_limits: &'a ThreadLimits,
        shard: Shard,
    ) -> Self {
        Self { containers, groups, batch, thread_limits, shard }
    }

    /// The time up to which `key` may go, of the runtime's times; `i64::MAX` where nobody is behind.
    fn limit_ns(&self, key: InstanceKey, ready: &Ready, now: Now) -> i64 {
        let here = self.behind(ready.group, Some(key), now).unwrap_or(i64::MAX);
        if let Some(group) = self.groups.get(&ready.group) {
            group.sure_ns.set(here);
            group.lower(self.containers.get(&key).and_then(|own| behind(own, ready, now)));
        }
        here.min(self.limit_of_other_threads(ready.group, now))
    }

    /// As [`Self::limit_ns`], or less: without a look at each.
    fn sure_limit_ns(&self, key: InstanceKey, ready: &Ready, now: Now) -> i64 {
        let here = self.groups.get(&ready.group).map_or(i64::MAX, |group| group.sure_ns.get());
        debug_assert!(here <= self.behind(ready.group, Some(key), now).unwrap_or(i64::MAX), "one is further behind");
        here.min(self.limit_of_other_threads(ready.group, now))
    }

    fn limit_of_other_threads(&self, group: LabelSetId, now: Now) -> i64 {
        self.thread_limits.limit_ns(self.shard, self.batch.text(group), STUCK, now.mono)
    }

    /// Whether the next record of `key` is known to be beyond its limit: then its file need not be read now.
    pub(super) fn is_ahead(&self, key: InstanceKey, now: Now) -> bool {
        let ready = self.containers.get(&key).and_then(|container| container.ready.as_ref());
        ready.is_some_and(|ready| ready.next_ns.is_some_and(|next| self.is_beyond(key, ready, next, now)))
    }

    fn is_beyond(&self, key: InstanceKey, ready: &Ready, time_ns: i64, now: Now) -> bool {
        time_ns > self.sure_limit_ns(key, ready, now) && time_ns > self.limit_ns(key, ready, now)
    }

    /// Whether `key` was not looked at yet, and others of its label set may not have been: of its file only the first time is of
    /// use now.
    pub(super) fn wait_for_a_look(&self, key: InstanceKey) -> bool {
        let ready = self.containers.get(&key).and_then(|container| container.ready.as_ref());
        ready.is_some_and(|ready| {
            let group = self.groups.get(&ready.group);
            ready.looked_at.is_none() && group.is_some_and(|group| group.sure_ns.get() == i64::MIN)
        })
    }

    /// Up to when this thread's containers of a label set, but for `but`, let others go.
    fn behind(&self, group: LabelSetId, but: Option<InstanceKey>, now: Now) -> Option<i64> {
        let members = self.groups.get(&group).map(|group| group.members.as_slice()).unwrap_or_default();
        let others = members.iter().filter(|member| Some(**member) != but);
        let each = others.filter_map(|member| {
            let member = self.containers.get(member)?;
            behind(member, member.ready.as_ref()?, now)
        });
        each.min()
    }

    /// Tells the other threads.
    fn tell(&self, group: LabelSetId, now: Now) {
        self.thread_limits.tell_behind(self.shard, self.batch.text(group), self.behind(group, None, now), now.mono);
    }
}

/// `ready`: of this container.
fn behind(other: &Container, ready: &Ready, now: Now) -> Option<i64> {
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
    pub(super) fn catch_up_limit(&self, key: InstanceKey, ready: &Ready, now: Now) -> i64 {
        self.fellows().limit_ns(key, ready, now)
    }

    /// Whether a record of this time has to wait for others of the label set.
    pub(super) fn is_beyond_limit(&self, key: InstanceKey, ready: &Ready, time_ns: i64, now: Now) -> bool {
        self.fellows().is_beyond(key, ready, time_ns, now)
    }

    /// As [`Self::catch_up_limit`], or less: without a look at each of its fellows.
    pub(super) fn sure_catch_up_limit(&self, key: InstanceKey, ready: &Ready, now: Now) -> i64 {
        self.fellows().sure_limit_ns(key, ready, now)
    }

    /// How far `key` and its fellows are has changed; the other threads are told.
    pub(super) fn tell_behind(&self, key: InstanceKey, now: Now) {
        let Some(container) = self.containers.get(&key) else { return };
        let Some(ready) = &container.ready else { return };
        if let Some(group) = self.groups.get(&ready.group) {
            group.lower(behind(container, ready, now));
        }
        let fellows = self.fellows();
        if fellows.shard.count() > 1 {
            fellows.tell(ready.group, now);
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
