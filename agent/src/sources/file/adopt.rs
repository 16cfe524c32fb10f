//! Which of the names in a container's folder are files that are not known yet, and where each begins.
//!
//! A file is known by its inode while it is held open (the kernel cannot give that to another then), and by its
//! content otherwise: a gzipped or copied form of a known file is an alias, not a file to be read.

use super::disk::{Disk, Inode, LogFile, OpenError, Stat};
use super::identity::identify;
use super::instance::{Instance, Pace, Tracked};
use super::{Event, FileSource, InstanceKey, Resume, Target};
use crate::types::position::{FileId, FilePosition, StdStream};
use crate::types::saved::SavedStream;
use crate::types::time::Now;
use std::path::PathBuf;
use std::time::Duration;

/// A name whose file cannot be told from others yet is looked at again after this time, so often.
const LOOK_AT_HEAD_AGAIN: Duration = Duration::from_millis(200);
const HEAD_LOOKS_MAX: u32 = 5;

/// A folder with such a name.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PutOff {
    /// When it is looked at again (monotonic).
    pub(super) at: Duration,
    looks: u32,
}

/// What is known of the file behind a name.
enum Head {
    /// It is told from others by this, or has no first line yet.
    Known(Option<FileId>),
    /// It may be known in a moment.
    Wait,
    /// There is nothing in it.
    Empty,
}

/// A name that may stand for a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is.
    pub path: PathBuf,
    /// Its name alone.
    pub name: String,
    /// As in [`super::names::LogName`].
    pub suffix: Option<String>,
    /// Whether it is gzipped.
    pub is_gzip: bool,
    /// Which file it was when the folder was looked at; `None` where it was gone by then.
    pub inode: Option<Inode>,
}

impl<D: Disk> FileSource<D> {
    /// Takes in the files of one container instance, `candidates` in the order in which they were written.
    pub(super) fn adopt(&mut self, pod: &str, container: &str, restart: u32, candidates: Vec<Candidate>, now: Now) {
        let known = self.container(pod, container).and_then(|dir| dir.instances.get(&restart).copied());
        let mut instance = match known {
            Some(key) => match self.instances.get_mut(key.0 as usize).and_then(Option::take) {
                Some(instance) => instance,
                None => return,
            },
            None => Instance::new(format!("{pod}/{container}"), restart),
        };
        instance.take_names(&candidates);
        let before = instance.next_number;
        let (mut names, mut is_held_up) = (Vec::new(), false);
        for candidate in candidates {
            names.push(candidate.name.clone());
            // The files after one that is put off come after it.
            is_held_up = is_held_up || !self.consider(&mut instance, candidate, now);
        }
        if known.is_none() && (instance.files.is_empty() || is_held_up) {
            // Where it goes on is known once all its files are.
            return;
        }
        let has_more = instance.next_number > before;
        let key = match known {
            Some(key) => key,
            None => self.appear(pod, container, restart, &instance),
        };
        self.put_back(key, instance);
        self.watch_closing(key, now);
        self.names_vanished(key, &names);
        if has_more {
            self.enqueue(key);
        }
    }

    /// Puts an instance back whose files may have other numbers now.
    pub(super) fn put_back(&mut self, key: InstanceKey, instance: Instance<D::File>) {
        for file in &instance.files {
            if let Some(watch) = file.close_watch {
                self.targets.insert(watch, Target::Close(key, file.number));
            }
        }
        if let Some(slot) = self.instances.get_mut(key.0 as usize) {
            *slot = Some(instance);
        }
    }

    fn appear(&mut self, pod: &str, container: &str, restart: u32, instance: &Instance<D::File>) -> InstanceKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.instances.push(None);
            InstanceKey(u32::try_from(self.instances.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(dir) = self.container(pod, container) {
            dir.instances.insert(restart, key);
        }
        let resume = [StdStream::Stdout, StdStream::Stderr].map(|std_stream| self.resume(instance, std_stream));
        self.events.push(Event::Appeared {
            key,
            pod_folder: pod.to_owned(),
            container: container.to_owned(),
            restart,
            resume,
        });
        key
    }

    /// The last place that was answered for: in the newest file of which anything was, in it or ahead of it.
    fn resume(&self, instance: &Instance<D::File>, std_stream: StdStream) -> Option<Resume> {
        let in_files = instance.files.iter().rev().find_map(|file| {
            let saved = self.saved.get(&file.id?)?.streams.get(std_stream.index()).copied()?;
            let at = FilePosition { file: file.number, offset: saved.offset };
            (saved.offset > 0 || saved.ahead > 0).then_some(Resume { at, saved })
        });
        in_files.or_else(|| {
            let mut left = self.saved_ahead.iter();
            let ahead = left
                .find(|saved| saved.is_of(&instance.folder, instance.restart))?
                .ahead
                .get(std_stream.index())
                .copied()?;
            let file = instance.files.front()?;
            let at = FilePosition { file: file.number, offset: file.start };
            (ahead > 0).then_some(Resume { at, saved: SavedStream { ahead, ..SavedStream::default() } })
        })
    }

    /// Takes in one name. False where that has to wait, and with it the names after it.
    fn consider(&mut self, instance: &mut Instance<D::File>, candidate: Candidate, now: Now) -> bool {
        // What is gone has another name by now, or none: the next look tells, and the names after it wait for that.
        let Some(inode) = candidate.inode else { return !self.is_put_off(&instance.folder, now) };
        if let Some(file) = instance.files.iter_mut().find(|file| file.inode == inode && file.file.is_some()) {
            if let (None, Some(open)) = (file.id, &mut file.file) {
                file.id = identify(&instance.folder, instance.restart, open).ok().flatten();
            }
            return true;
        }
        if instance.aliases.iter().any(|(name, known, _)| *name == candidate.name && *known == inode) {
            return true;
        }
        // Copies may have been shifted by one (`.1` → `.2`): the name stands for another file now.
        instance.aliases.retain(|(name, ..)| *name != candidate.name);
        let mut open = match self.disk.open(&candidate.path, candidate.is_gzip) {
            Ok(open) => open,
            Err(OpenError::Gone) => return !self.is_put_off(&instance.folder, now),
            Err(error) => {
                self.refuse(&candidate.path, error);
                return true;
            }
        };
        let Ok(stat) = open.stat() else { return true };
        if stat.inode != inode && self.is_put_off(&instance.folder, now) {
            // Rotated since the look: the file that was meant comes first.
            return false;
        }
        if candidate.is_gzip && self.disk.has_writer(&open) == Some(true) {
            // Still being packed: the next look finds it whole.
            return true;
        }
        let id = match self.head(instance, &candidate, &mut open, stat, now) {
            Head::Known(id) => id,
            Head::Wait => return false,
            Head::Empty => return true,
        };
        for file in instance.files.iter_mut().filter(|file| file.id.is_none()) {
            // Opened while it was empty, and not read since: it may be this one.
            let open = file.file.as_mut();
            file.id = open.and_then(|open| identify(&instance.folder, instance.restart, open).ok().flatten());
        }
        let is_live = candidate.suffix.is_none();
        let twin = id.and_then(|id| instance.files.iter().position(|file| file.id == Some(id)));
        if let (Some(_), Some(id), false) = (twin, id, is_live) {
            instance.aliases.push((candidate.name, stat.inode, id));
            return true;
        }
        let mut file = Tracked::new(0, open, stat, candidate.name, candidate.is_gzip, now);
        file.id = id;
        self.set_start(&mut file);
        if let Some(place) = twin {
            // The live file was replaced by a copy of itself: what was read of it is read.
            file.start = if place == instance.current { instance.offset } else { file.bytes };
        }
        // Mostly the newest; but a name that stood for a file that is known may stand for a later one of it now.
        instance.push_by_name(file, now);
        true
    }

    /// What tells a file from others. The head of a rotated one that has no first line yet is waited for: it may be the
    /// copy of a file that is known, under way. One that cannot be read is taken for new in the end, as twice is better
    /// than never.
    fn head(
        &mut self,
        instance: &Instance<D::File>,
        candidate: &Candidate,
        open: &mut D::File,
        stat: Stat,
        now: Now,
    ) -> Head {
        let head = identify(&instance.folder, instance.restart, open);
        let is_settled = candidate.is_gzip || (candidate.suffix.is_none() && head.is_ok());
        match head {
            Ok(Some(id)) => Head::Known(Some(id)),
            head if is_settled => Head::Known(head.ok().flatten()),
            Ok(None) if stat.bytes > 0 && self.disk.has_writer(open) == Some(false) => Head::Known(None),
            _ if self.is_put_off(&instance.folder, now) => Head::Wait,
            Ok(None) if stat.bytes == 0 => Head::Empty,
            _ => Head::Known(None),
        }
    }

    pub(super) fn is_put_off(&mut self, folder: &str, now: Now) -> bool {
        let put_off = self.put_off.entry(folder.to_owned()).or_default();
        if put_off.looks >= HEAD_LOOKS_MAX {
            return false;
        }
        if put_off.at <= now.mono {
            (put_off.at, put_off.looks) = (now.mono + LOOK_AT_HEAD_AGAIN, put_off.looks + 1);
        }
        true
    }

    /// Looks again at the folders with names that were put off.
    pub(super) fn look_at_heads(&mut self, now: Now) {
        let due: Vec<String> = self
            .put_off
            .iter()
            .filter(|(_, put_off)| put_off.at <= now.mono)
            .map(|(folder, _)| folder.clone())
            .collect();
        for folder in due {
            let looks = self.put_off.get(&folder).map(|put_off| put_off.looks);
            if let Some((pod, container)) = folder.split_once('/') {
                self.scan_container(pod, container, now);
            }
            // Nothing was put off again, or it has been for long enough.
            self.put_off.retain(|known, put_off| *known != folder || Some(put_off.looks) != looks);
        }
    }

    fn set_start(&mut self, file: &mut Tracked<D::File>) {
        let saved = file.id.and_then(|id| self.saved.get(&id));
        if let Some(saved) = saved {
            self.met.insert(saved.id);
            file.start = saved.streams.iter().map(|stream| stream.offset).min().unwrap_or(0);
            if saved.is_finished {
                file.start = saved.bytes;
                file.is_finished = file.is_gzip;
            }
            file.bytes = file.bytes.max(if file.is_gzip { saved.bytes } else { 0 });
        } else if self.is_first_scan && self.skips_existing && file.is_gzip {
            file.is_finished = true;
        } else if self.is_first_scan && self.skips_existing {
            file.start = file.file.as_mut().map_or(0, |open| last_line_end(open, file.bytes));
        }
    }

    pub(super) fn watch_closing(&mut self, key: InstanceKey, now: Now) {
        let Self { disk, instances, targets, events, .. } = self;
        let Some(instance) = instances.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        for file in instance.files.iter_mut().filter(|file| file.close_watch.is_none() && !file.is_gzip) {
            let Some(open) = &file.file else { continue };
            file.close_watch = disk.watch_close(open);
            if disk.has_writer(open) == Some(false) {
                // Closed before we came: nobody will tell.
                file.closed_at = Some(now.mono);
            }
            match file.close_watch {
                Some(watch) => {
                    targets.insert(watch, Target::Close(key, file.number));
                }
                None => events.push(Event::WatchRefused),
            }
        }
    }

    /// Notes which files have no name any more; those read to their end are let go.
    pub(super) fn names_vanished(&mut self, key: InstanceKey, here: &[String]) {
        let Self { disk, instances, targets, events, .. } = self;
        let Some(instance) = instances.get_mut(key.0 as usize).and_then(Option::as_mut) else { return };
        instance.aliases.retain(|(name, ..)| here.contains(name));
        for file in &mut instance.files {
            if file.name.as_ref().is_some_and(|name| !here.contains(name)) {
                file.name = None;
            }
            if file.name.is_none() && file.is_finished && file.file.take().is_some() {
                for watch in file.take_watches() {
                    targets.remove(&watch);
                    disk.unwatch(watch);
                }
            }
        }
        if instance.is_gone() {
            events.push(Event::Gone(key));
        } else if instance.pace == Pace::Asleep {
            self.enqueue(key);
        }
    }

    /// Everything of an instance is answered for: forgets it. Its key may be given to another.
    pub fn release(&mut self, key: InstanceKey) {
        let Some(mut instance) = self.instances.get_mut(key.0 as usize).and_then(Option::take) else { return };
        for watch in instance.files.iter_mut().flat_map(Tracked::take_watches) {
            self.targets.remove(&watch);
            self.disk.unwatch(watch);
        }
        if let Some((pod, container)) = instance.folder.split_once('/')
            && let Some(dir) = self.container(pod, container)
        {
            // The key may soon be another's.
            dir.instances.retain(|_, known| *known != key);
        }
        self.queue.retain(|queued| *queued != key);
        self.held.retain(|held| *held != key);
        self.free.push(key);
    }
}

/// The end of the last complete line in the last 64 KiB before `end`; `end` where there is none.
fn last_line_end<F: LogFile>(file: &mut F, end: u64) -> u64 {
    let mut tail = vec![0; 64 * 1024];
    let from = end.saturating_sub(tail.len() as u64);
    let length = file.read_at(&mut tail, from).unwrap_or(0);
    let tail = tail.get(..length.min(usize::try_from(end - from).unwrap_or(0))).unwrap_or_default();
    memchr::memrchr(b'\n', tail).map_or(end, |newline| from + newline as u64 + 1)
}
