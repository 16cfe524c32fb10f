//! From what is answered for to what is written into the checkpoint, and the reckoning with it after a start.

use super::disk::Disk;
use super::instance::{Instance, Tracked};
use super::{Event, FileSource, InstanceKey};
use crate::limits::COPY_FOUND_WITHIN;
use crate::metrics::label::DropReason;
use crate::types::position::{FileId, FilePosition, Mark, StdStream};
use crate::types::saved::{Positions, SavedAhead, SavedFile, SavedStream};
use crate::types::time::Now;
use std::collections::{BTreeMap, HashSet};

/// For each std stream of an instance the first record that is not answered for; `None` where nothing was begun.
pub type Answered<'a> = &'a dyn Fn(InstanceKey) -> Option<[Mark; 2]>;

impl<D: Disk> FileSource<D> {
    /// The positions as they are to be saved, and forgets files that are finished, deleted and answered for.
    pub fn save(&mut self, now: Now, answered: Answered<'_>) -> Positions {
        let (mut files, mut ahead) = (Vec::new(), Vec::new());
        for (place, slot) in self.instances.iter_mut().enumerate() {
            let Some(instance) = slot else { continue };
            let key = InstanceKey(u32::try_from(place).unwrap_or(u32::MAX));
            let marks = answered(key);
            if let Some(marks) = marks {
                forget_answered(instance, marks, now);
                ahead.extend(saved_ahead(instance, marks));
                self.saved_ahead.retain(|saved| !saved.is_of(&instance.folder, instance.restart));
            }
            for file in &instance.files {
                match marks {
                    Some(marks) => files.extend(saved_file(instance, file, marks)),
                    // Held: what was saved of it stands.
                    None => files.extend(file.id.and_then(|id| held_file(instance, file, self.saved.get(&id)))),
                }
            }
        }
        if now.mono < COPY_FOUND_WITHIN {
            // Those not found again yet: their folder could not be looked at, or their head not be read.
            let here: HashSet<FileId> = files.iter().map(|file: &SavedFile| file.id).collect();
            let is_missing = |saved: &&SavedFile| !self.met.contains(&saved.id) && !here.contains(&saved.id);
            files.extend(self.saved.values().filter(is_missing).cloned());
        }
        // Those of which the pod is not known yet, or that were not found again for now.
        let is_here =
            |saved: &SavedAhead| self.instances.iter().flatten().any(|one| saved.is_of(&one.folder, one.restart));
        self.saved_ahead.retain(|saved| now.mono < COPY_FOUND_WITHIN || is_here(saved));
        ahead.extend(self.saved_ahead.iter().cloned());
        Positions { files, ahead }
    }

    /// An instance is not wanted any more: forgets it, but for how far it was answered for.
    pub fn retire(&mut self, key: InstanceKey, marks: Option<[Mark; 2]>) {
        let Self { instances, saved, .. } = self;
        if let (Some(Some(instance)), Some(marks)) = (instances.get(key.0 as usize), marks) {
            saved.extend(instance.files.iter().filter_map(|file| Some((file.id?, saved_file(instance, file, marks)?))));
        }
        self.release(key);
    }

    /// Where the next byte of an instance comes from.
    #[must_use]
    pub fn position(&self, key: InstanceKey) -> FilePosition {
        self.instances
            .get(key.0 as usize)
            .and_then(Option::as_ref)
            .map_or_else(FilePosition::default, Instance::position)
    }

    /// The identity of an instance's file, where it is known.
    #[must_use]
    pub fn file_id(&self, key: InstanceKey, number: u32) -> Option<FileId> {
        let instance = self.instances.get(key.0 as usize)?.as_ref()?;
        instance.files.iter().find(|file| file.number == number)?.id
    }

    /// The number of the oldest file of an instance that is still followed.
    #[must_use]
    pub fn oldest_file(&self, key: InstanceKey) -> u32 {
        let instance = self.instances.get(key.0 as usize).and_then(Option::as_ref);
        instance.and_then(|instance| instance.files.front()).map_or(0, |file| file.number)
    }

    /// The identities of all files that are held.
    #[must_use]
    pub fn file_ids(&self) -> HashSet<FileId> {
        self.instances.iter().flatten().flat_map(|instance| &instance.files).filter_map(|file| file.id).collect()
    }

    /// Goes to the start of the file being written: the container is wanted since a moment only.
    pub fn skip_rotated(&mut self, key: InstanceKey) {
        let Some(instance) = self.instances.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        while instance.current + 1 < instance.files.len() {
            instance.finish_current();
        }
    }

    /// Counts the files of the last run that were not read to their end and are not there any more, and those
    /// whose restart numbers show that they came and went.
    pub(super) fn count_lost_while_stopped(&mut self) {
        let mut oldest_here: BTreeMap<String, u32> = BTreeMap::new();
        let mut here = HashSet::new();
        for instance in self.instances.iter().flatten() {
            let oldest = oldest_here.entry(instance.folder.clone()).or_insert(instance.restart);
            *oldest = (*oldest).min(instance.restart);
            here.extend(instance.files.iter().filter_map(|file| file.id));
        }
        let mut newest_saved: BTreeMap<&str, u32> = BTreeMap::new();
        let (mut bytes, mut files) = (0, 0);
        for saved in self.saved.values() {
            let newest = newest_saved.entry(&saved.folder).or_insert(saved.restart);
            *newest = (*newest).max(saved.restart);
            if !here.contains(&saved.id) && !saved.is_finished {
                let answered = saved.streams.iter().map(|stream| stream.offset).max().unwrap_or(0);
                bytes += saved.bytes.saturating_sub(answered);
                files += u64::from(saved.bytes > answered);
            }
        }
        for (folder, newest) in newest_saved {
            if let Some(oldest) = oldest_here.get(folder) {
                files += u64::from(oldest.saturating_sub(newest + 1));
            }
        }
        if files > 0 {
            self.events.push(Event::Dropped { reason: DropReason::Gone, bytes, files });
        }
    }
}

fn forget_answered<F>(instance: &mut Instance<F>, marks: [Mark; 2], now: Now) {
    while let Some(file) = instance.files.front_mut() {
        let is_answered = marks.iter().all(|mark| mark.at.file > file.number || mark.at.offset >= file.bytes);
        // Its gzipped form would be taken for a new file after a restart.
        let has_alias = instance.aliases.iter().any(|(.., id)| Some(*id) == file.id);
        if !(file.is_finished && file.file.is_none() && is_answered && !has_alias) {
            return;
        }
        let forget_at = *file.forget_at.get_or_insert(now.mono + COPY_FOUND_WITHIN);
        if now.mono < forget_at || instance.files.len() == 1 {
            return;
        }
        instance.files.pop_front();
        instance.current = instance.current.saturating_sub(1);
    }
}

/// A file whose pod is not known yet: what was saved of it, else where its reading will begin.
fn held_file<F>(instance: &Instance<F>, file: &Tracked<F>, saved: Option<&SavedFile>) -> Option<SavedFile> {
    if saved.is_some() || (file.start == 0 && !file.is_finished) {
        return saved.cloned();
    }
    let start = SavedStream { offset: file.start, ..SavedStream::default() };
    Some(SavedFile {
        id: file.id?,
        folder: instance.folder.clone(),
        restart: instance.restart,
        bytes: file.bytes,
        is_finished: file.is_finished,
        streams: [start; 2],
    })
}

fn saved_ahead<F>(instance: &Instance<F>, marks: [Mark; 2]) -> Option<SavedAhead> {
    let ahead = marks.map(|mark| mark.ahead);
    let is_nameless = instance.files.front().is_some_and(|file| file.id.is_none());
    let (folder, restart) = (instance.folder.clone(), instance.restart);
    (is_nameless && ahead != [0, 0]).then_some(SavedAhead { folder, restart, ahead })
}

fn saved_file<F>(instance: &Instance<F>, file: &Tracked<F>, marks: [Mark; 2]) -> Option<SavedFile> {
    let streams = [StdStream::Stdout, StdStream::Stderr].map(|std_stream| {
        let mark = marks.get(std_stream.index()).copied().unwrap_or_default();
        let offset = match mark.at.file.cmp(&file.number) {
            std::cmp::Ordering::Greater => file.bytes,
            std::cmp::Ordering::Equal => mark.at.offset,
            // Nothing of it is answered for.
            std::cmp::Ordering::Less => return SavedStream::default(),
        };
        SavedStream { offset, position: mark.stream_position, last_time_ns: mark.last_time_ns, ahead: mark.ahead }
    });
    let is_finished = file.is_finished && streams.iter().all(|stream| stream.offset >= file.bytes);
    Some(SavedFile {
        id: file.id?,
        folder: instance.folder.clone(),
        restart: instance.restart,
        bytes: file.bytes,
        is_finished,
        streams,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::file::Read;
    use crate::sources::file::identity::identify;
    use crate::sources::file::os::OsDisk;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    const LINE: &[u8] = b"2026-08-22T10:00:00.000000001Z stdout F first\n";

    fn at(ms: u64) -> Now {
        Now { wall_ns: 1, mono: Duration::from_millis(ms) }
    }

    fn saved(folder: &Path) -> SavedFile {
        let mut disk = OsDisk::new(folder, &[]).unwrap();
        let mut file = disk.open(&disk.log_dir().join("ns_p_uid/c/0.log"), false).unwrap();
        let id = identify("ns_p_uid/c", 0, &mut file).unwrap().unwrap();
        let (folder, bytes) = ("ns_p_uid/c".to_owned(), LINE.len() as u64);
        SavedFile { id, folder, restart: 0, bytes, is_finished: false, streams: [SavedStream::default(); 2] }
    }

    /// Rule: of two records of one file the next start would take either.
    #[test]
    fn a_file_whose_first_line_is_learned_late_stands_once_in_the_positions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ns_p_uid/c/0.log");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, LINE).unwrap();
        let saved = saved(folder.path());
        let of_before = SavedFile { id: FileId(1), ..saved.clone() };
        fs::write(&path, b"").unwrap();
        let disk = OsDisk::new(folder.path(), &[]).unwrap();
        let log_dir = disk.log_dir().to_path_buf();
        let mut source = FileSource::new(
            disk,
            log_dir,
            1 << 20,
            Positions { files: vec![saved.clone(), of_before.clone()], ahead: Vec::new() },
            false,
        );
        source.tick(at(0), &|_, _| true, &mut Vec::new());
        fs::write(&path, LINE).unwrap();
        source.tick(at(10_000), &|_, _| true, &mut Vec::new());
        let read = source.next(at(10_000), &mut [0; 4096], &mut |_| Some(usize::MAX));
        assert!(matches!(read, Some(Read::Block { .. })), "{read:?}");
        let mark = Mark { at: FilePosition { file: 0, offset: 7 }, ..Mark::default() };
        let ids: Vec<FileId> = source.save(at(10_001), &|_| Some([mark; 2])).files.iter().map(|file| file.id).collect();
        assert_eq!(ids, [saved.id, of_before.id], "the one that was read, and the one that may still be found");
    }
}
