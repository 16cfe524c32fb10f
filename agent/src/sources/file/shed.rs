//! What has to be given up: deleted files beyond the backlog, bytes that a truncation took. Counted, always.

use super::disk::{Disk, LogFile};
use super::identity::identify;
use super::instance::{Instance, Tracked};
use super::{Event, FileSource, InstanceKey};
use crate::metrics::label::DropReason;
use crate::types::position::FileId;
use crate::types::time::Now;
use std::io;
use std::path::Path;

impl<D: Disk> FileSource<D> {
    /// Gives up the oldest deleted files until what is kept of such files is within the backlog.
    pub(super) fn shed_backlog(&mut self, now: Now) {
        for instance in self.instances.iter_mut().flatten() {
            instance.see_growth();
        }
        let backlog = |instance: &Option<Instance<D::File>>| instance.as_ref()?.deleted_backlog();
        let mut total: u64 = self.instances.iter().filter_map(backlog).map(|(_, bytes)| bytes).sum();
        while total > self.backlog_bytes_max {
            let most = |(number, instance)| Some((backlog(instance)?.1, number));
            let Some((_, number)) = self.instances.iter().enumerate().filter_map(most).max() else { return };
            let key = InstanceKey(u32::try_from(number).unwrap_or(u32::MAX));
            let Some(bytes) = self.shed_oldest(key, now) else { return };
            total = total.saturating_sub(bytes);
        }
    }

    fn shed_oldest(&mut self, key: InstanceKey, now: Now) -> Option<u64> {
        let mut instance = self.instances.get_mut(key.0 as usize)?.take()?;
        let shed = self.shed_oldest_of(&mut instance, now);
        if let Some(slot) = self.instances.get_mut(key.0 as usize) {
            *slot = Some(instance);
        }
        let (bytes, is_lost) = shed?;
        self.enqueue(key);
        if !is_lost {
            return Some(bytes);
        }
        self.events.push(Event::Dropped { reason: DropReason::Backlog, bytes, files: 1 });
        Some(bytes)
    }

    /// Lets go of the oldest deleted file, of which so many bytes were not read. Not lost where its gzipped or copied
    /// form is still there: the rest is read from that.
    fn shed_oldest_of(&mut self, instance: &mut Instance<D::File>, now: Now) -> Option<(u64, bool)> {
        let (place, _) = instance.deleted_backlog()?;
        let id = instance.files.get(place)?.id;
        // What cannot be read now is let go of later.
        let copy = id.map_or(Ok(None), |id| self.open_copy(instance, id, now)).ok()?;
        let read_to = if place == instance.current { instance.offset } else { instance.files.get(place)?.start };
        let file = instance.files.get_mut(place)?;
        let bytes = file.bytes.saturating_sub(read_to);
        for watch in file.take_watches() {
            self.targets.remove(&watch);
            self.disk.unwatch(watch);
        }
        if let Some(copy) = copy {
            take_place(file, copy, read_to);
            return Some((bytes, false));
        }
        (file.file, file.is_cut) = (None, true);
        file.bytes = read_to;
        Some((bytes, true))
    }

    /// Takes in what a file holds now, unless a copy of that was met before and is to be read: then in its stead.
    fn take_in(&mut self, instance: &mut Instance<D::File>, new: Tracked<D::File>, now: Now) {
        let mut later = instance.files.iter_mut().skip(instance.current + 1);
        let Some(copy) = later.find(|file| file.id.is_some() && file.id == new.id) else {
            return instance.push_by_name(new, now);
        };
        for watch in copy.take_watches() {
            self.targets.remove(&watch);
            self.disk.unwatch(watch);
        }
        instance.aliases.extend(copy.name.take().zip(copy.id).map(|(name, id)| (name, copy.inode, id)));
        let start = copy.start;
        take_place(copy, new, start);
    }

    /// Opens the gzipped or copied form of the file with this identity, where there is one.
    ///
    /// # Errors
    /// There is one, and it cannot be read now.
    fn open_copy(
        &mut self,
        instance: &mut Instance<D::File>,
        id: FileId,
        now: Now,
    ) -> io::Result<Option<Tracked<D::File>>> {
        while let Some(place) = instance.aliases.iter().position(|(.., alias)| *alias == id) {
            let name = instance.aliases.get(place).map(|(name, ..)| name.clone()).unwrap_or_default();
            let copy = self.open_as(instance, name, id, now)?;
            instance.aliases.swap_remove(place);
            if copy.is_some() {
                return Ok(copy);
            }
        }
        Ok(None)
    }

    fn open_as(
        &mut self,
        instance: &Instance<D::File>,
        name: String,
        id: FileId,
        now: Now,
    ) -> io::Result<Option<Tracked<D::File>>> {
        let is_gzip = Path::new(&name).extension().is_some_and(|end| end == "gz");
        let path = self.log_dir.join(&instance.folder).join(&name);
        let Ok(mut open) = self.disk.open(&path, is_gzip) else { return Ok(None) };
        let stat = open.stat()?;
        let is_same = match identify(&instance.folder, instance.restart, &mut open) {
            Ok(found) => found == Some(id),
            // Damaged: it does not become better.
            Err(_) if is_gzip => false,
            Err(error) => return Err(error),
        };
        Ok(is_same.then(|| Tracked::new(0, open, stat, name, is_gzip, now)))
    }

    /// The current file became shorter than what was read of it: copied and truncated, or simply emptied. What was
    /// not read is taken from the copy where there is one.
    ///
    /// # Errors
    /// There is one, and it cannot be read now: nothing was done.
    pub(super) fn truncated(&mut self, key: InstanceKey, now: Now) -> io::Result<()> {
        self.scan_folder_of(key, now);
        let Some(mut instance) = self.instances.get_mut(key.0 as usize).and_then(Option::take) else { return Ok(()) };
        let offset = instance.offset;
        let mut lost = 0;
        let old_id = instance.current().and_then(|old| old.id);
        let copy = match old_id.map_or(Ok(None), |id| self.open_copy(&mut instance, id, now)) {
            Ok(copy) => copy,
            Err(error) => {
                instance.is_unwatched = true;
                self.put_back(key, instance);
                return Err(error);
            }
        };
        if let Some(mut new) = instance.current().and_then(|old| renewed(old, now)) {
            match (instance.current(), copy) {
                (Some(old), Some(copy)) => take_place(old, copy, old.start),
                (Some(old), None) => {
                    lost = old.bytes.saturating_sub(offset);
                    (old.is_cut, old.bytes) = (lost > 0, offset);
                }
                (None, _) => {}
            }
            let open = new.file.as_mut();
            new.id = open.and_then(|open| identify(&instance.folder, instance.restart, open).ok().flatten());
            self.take_in(&mut instance, new, now);
        }
        self.put_back(key, instance);
        self.watch_closing(key, now);
        self.events.push(Event::Dropped { reason: DropReason::Truncated, bytes: lost, files: u64::from(lost > 0) });
        Ok(())
    }
}

/// The copy of a file is read in its stead.
fn take_place<F>(file: &mut Tracked<F>, copy: Tracked<F>, start: u64) {
    let bytes = file.bytes.max(copy.bytes);
    *file = Tracked { number: file.number, id: file.id, start, bytes, ..copy };
}

/// The same descriptor as a new file, to be read from its start; the old one keeps none.
fn renewed<F: LogFile>(old: &mut Tracked<F>, now: Now) -> Option<Tracked<F>> {
    let file = old.file.take()?;
    let stat = file.stat().ok()?;
    let mut new = Tracked::new(0, file, stat, old.last_name.clone(), false, now);
    new.name = old.name.take();
    (new.close_watch, new.growth_watch) = (old.close_watch.take(), old.growth_watch.take());
    Some(new)
}
