//! What has to be given up: deleted files beyond the backlog, bytes that a truncation took. Counted, always.

use super::disk::{Disk, LogFile};
use super::identity::identify;
use super::instance::{Instance, Tracked};
use super::{Event, FileSource, InstanceKey};
use crate::metrics::label::DropReason;
use crate::types::time::Now;

impl<D: Disk> FileSource<D> {
    /// Gives up the oldest deleted files until what is kept of such files is within the backlog.
    pub(super) fn shed_backlog(&mut self) {
        let backlog = |instance: &Option<Instance<D::File>>| instance.as_ref()?.deleted_backlog();
        let mut total: u64 = self.instances.iter().filter_map(backlog).map(|(_, bytes)| bytes).sum();
        while total > self.backlog_bytes_max {
            let most = |(number, instance)| Some((backlog(instance)?.1, number));
            let Some((_, number)) = self.instances.iter().enumerate().filter_map(most).max() else { return };
            let key = InstanceKey(u32::try_from(number).unwrap_or(u32::MAX));
            let Some(bytes) = self.shed_oldest(key) else { return };
            total = total.saturating_sub(bytes);
        }
    }

    fn shed_oldest(&mut self, key: InstanceKey) -> Option<u64> {
        let instance = self.instance(key)?;
        let (place, _) = instance.deleted_backlog()?;
        let is_current = place == instance.current;
        let read = instance.offset;
        let file = instance.files.get_mut(place)?;
        let bytes = file.bytes.saturating_sub(if is_current { read } else { file.start });
        (file.file, file.is_cut) = (None, true);
        file.bytes = if is_current { read } else { file.start };
        self.enqueue(key);
        self.events.push(Event::Dropped { reason: DropReason::Backlog, bytes, files: 1 });
        Some(bytes)
    }

    /// The current file became shorter than what was read of it: copied and truncated, or simply emptied. What was
    /// not read is taken from the copy where there is one.
    pub(super) fn truncated(&mut self, key: InstanceKey, now: Now) {
        let Some(mut instance) = self.instances.get_mut(key.0 as usize).and_then(Option::take) else { return };
        let offset = instance.offset;
        let folder = self.log_dir.join(&instance.folder);
        let mut lost = 0;
        if let Some(mut new) = instance.current().and_then(|old| renewed(old, now)) {
            let old_id = instance.current().and_then(|old| old.id);
            let alias = old_id.and_then(|id| instance.aliases.iter().position(|(.., alias)| *alias == id));
            let copy = alias.map(|place| instance.aliases.swap_remove(place)).and_then(|(name, ..)| {
                let is_gzip = std::path::Path::new(&name).extension().is_some_and(|end| end == "gz");
                let mut open = self.disk.open(&folder.join(&name), is_gzip).ok()?;
                let stat = open.stat().ok()?;
                (identify(&instance.folder, instance.restart, &mut open) == old_id)
                    .then(|| Tracked::new(0, open, stat, name, is_gzip, now))
            });
            let unread = instance.current().map_or(0, |old| old.bytes.saturating_sub(offset));
            match copy {
                Some(mut copy) => {
                    copy.start = offset;
                    copy.id = old_id;
                    instance.push(copy, now);
                }
                None => lost = unread,
            }
            if let Some(old) = instance.current() {
                (old.is_cut, old.bytes) = (lost > 0, offset);
            }
            new.id = new.file.as_mut().and_then(|open| identify(&instance.folder, instance.restart, open));
            instance.push(new, now);
        }
        if let Some(slot) = self.instances.get_mut(key.0 as usize) {
            *slot = Some(instance);
        }
        self.events.push(Event::Dropped { reason: DropReason::Truncated, bytes: lost, files: u64::from(lost > 0) });
    }
}

/// The same descriptor as a new file, to be read from its start; the old one keeps none.
fn renewed<F: LogFile>(old: &mut Tracked<F>, now: Now) -> Option<Tracked<F>> {
    let file = old.file.take()?;
    let stat = file.stat().ok()?;
    let mut new = Tracked::new(0, file, stat, old.name.clone().unwrap_or_default(), false, now);
    new.name = old.name.take();
    new.close_watch = old.close_watch.take();
    Some(new)
}
