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
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// One that made no progress for so long is not waited for: its file may end in half a line.
const STUCK: Duration = Duration::from_secs(60);
/// One that was not read at all is waited for so long.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// Of a label set's containers the two that let others go least far, and how far they do.
#[derive(Clone, Copy, Debug, Default)]
struct Last {
    who: Option<InstanceKey>,
    lets_ns: Option<i64>,
    next: Option<InstanceKey>,
    next_lets_ns: Option<i64>,
}

impl Last {
    /// Up to when the others let `key` go.
    fn but(&self, key: InstanceKey) -> Option<i64> {
        if self.who == Some(key) { self.next_lets_ns } else { self.lets_ns }
    }
}

/// Who is last in each label set, as far as it was looked up in this step: a label set may have a thousand containers.
#[derive(Debug, Default)]
pub(super) struct Lasts(RefCell<HashMap<LabelSetId, Last>>);

impl Lasts {
    /// A step begins, and time has passed; or a container is gone.
    pub(super) fn forget(&mut self) {
        self.0.get_mut().clear();
    }

    /// A container lets others go up to another time now.
    fn moved(&mut self, group: LabelSetId, key: InstanceKey, lets_ns: Option<i64>) {
        let lasts = self.0.get_mut();
        if let Some(last) = lasts.get(&group) {
            let was_last = [last.who, last.next].contains(&Some(key));
            let is_last = lets_ns.is_some_and(|ns| last.next_lets_ns.is_none_or(|next| ns < next));
            if was_last || is_last {
                lasts.remove(&group);
            }
        }
    }
}

/// Who may have containers of the same label set.
pub(super) struct Fellows<'a> {
    pub(super) containers: &'a BTreeMap<InstanceKey, Container>,
    pub(super) groups: &'a HashMap<LabelSetId, Vec<InstanceKey>>,
    pub(super) lasts: &'a Lasts,
    pub(super) batch: &'a Batch,
    pub(super) thread_limits: &'a ThreadLimits,
    pub(super) shard: Shard,
}

impl Fellows<'_> {
    /// The time up to which `key` may go, of the runtime's times; `i64::MAX` where nobody is behind.
    fn limit_ns(&self, key: InstanceKey, now: Now) -> i64 {
        let Some(group) = self.group(key) else { return i64::MAX };
        let last = *self.lasts.0.borrow_mut().entry(group).or_insert_with(|| self.last(group, now));
        debug_assert_eq!(last.but(key), self.last(group, now).but(key), "what was looked up before still holds");
        let here = last.but(key).unwrap_or(i64::MAX);
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

    /// Who of this thread's containers of a label set is last.
    fn last(&self, group: LabelSetId, now: Now) -> Last {
        let mut last = Last::default();
        for member in self.groups.get(&group).map(Vec::as_slice).unwrap_or_default() {
            let Some(lets_ns) = self.containers.get(member).and_then(|container| behind(container, now)) else {
                continue;
            };
            if last.lets_ns.is_none_or(|so_far| lets_ns < so_far) {
                (last.next, last.next_lets_ns) = (last.who, last.lets_ns);
                (last.who, last.lets_ns) = (Some(*member), Some(lets_ns));
            } else if last.next_lets_ns.is_none_or(|so_far| lets_ns < so_far) {
                (last.next, last.next_lets_ns) = (Some(*member), Some(lets_ns));
            }
        }
        last
    }

    /// Tells the other threads.
    fn tell(&self, group: LabelSetId, now: Now) {
        self.thread_limits.tell_behind(self.shard, self.batch.text(group), self.last(group, now).lets_ns, now.mono);
    }
}

/// Up to when a container lets others go.
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
        Fellows {
            containers: &self.containers,
            groups: &self.groups,
            lasts: &self.lasts,
            batch: &self.batch,
            thread_limits: &self.thread_limits,
            shard: self.settings.shard,
        }
    }

    /// The time up to which `key` may go.
    pub(super) fn catch_up_limit(&self, key: InstanceKey, now: Now) -> i64 {
        self.fellows().limit_ns(key, now)
    }

    /// How far `key` is has changed; the other threads are told.
    pub(super) fn fellow_moved(&mut self, key: InstanceKey, now: Now) {
        match self.fellows().group(key) {
            Some(group) => {
                let lets_ns = self.containers.get(&key).and_then(|container| behind(container, now));
                self.lasts.moved(group, key, lets_ns);
            }
            None => self.lasts.forget(),
        }
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
