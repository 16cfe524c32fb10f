//! Where each data thread keeps its files: the first in `data_dir` itself, the others in `thread-N` below.
//!
//! In: `data_dir`, and how many data threads there are. Out: for each what the last run left of its pods. Never: a position
//! lost where the number of threads has changed: first everybody's files are written anew, each with what is his, and only
//! then what is left over is removed. A crash in between finds a position twice, or the old files.

use super::data_file;
use super::journal::{Journal, whole_records};
use super::store::{Store, encode};
use crate::limits::JOURNAL_BYTES_MAX;
use crate::types::position::FileId;
use crate::types::saved::{Positions, Recovered, SavedAhead, SavedFile};
use crate::types::shard::Shard;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

/// What one data thread has on disk.
#[derive(Debug)]
pub struct Kept {
    /// Where its positions go.
    pub store: Store,
    /// Where it notes what goes out.
    pub journal: Journal,
    /// The positions of its pods.
    pub positions: Positions,
    /// What the journal said.
    pub recovered: Recovered,
}

/// What a start found.
#[derive(Debug)]
pub struct Opened {
    /// By data thread.
    pub threads: Vec<Kept>,
    /// This data directory is new.
    pub is_first_start: bool,
    /// What to tell the operator.
    pub messages: Vec<String>,
}

/// Opens what is kept in `data_dir`, which the caller has locked.
///
/// # Errors
/// Those of the file system, where the files are divided anew.
pub fn open(data_dir: &Path, threads: usize) -> io::Result<Opened> {
    let first = Store::new(data_dir).load();
    let mut opened = Opened { threads: Vec::new(), is_first_start: first.is_first_start, messages: first.messages };
    let here = threads_here(data_dir);
    if !opened.is_first_start && here != (0..threads).collect() {
        let messages = divide_anew(data_dir, &here, threads)?;
        opened.messages.extend(messages);
    }
    for shard in Shard::all(threads) {
        let folder = folder(data_dir, shard.index());
        std::fs::create_dir_all(&folder)?;
        let store = Store::new(&folder);
        let loaded = store.load();
        let (journal, recovered, damage) = Journal::open(&folder);
        opened.messages.extend(loaded.messages.into_iter().chain(damage));
        let positions = of(&loaded.positions, shard);
        opened.threads.push(Kept { store, journal, positions, recovered });
    }
    Ok(opened)
}

fn folder(data_dir: &Path, thread: usize) -> PathBuf {
    if thread == 0 { data_dir.to_path_buf() } else { data_dir.join(format!("thread-{thread}")) }
}

/// The threads that have a folder.
fn threads_here(data_dir: &Path) -> BTreeSet<usize> {
    let entries = std::fs::read_dir(data_dir).into_iter().flatten().flatten();
    let number = |name: String| name.strip_prefix("thread-")?.parse().ok().filter(|number| *number > 0);
    let others = entries.filter_map(|entry| number(entry.file_name().into_string().ok()?));
    std::iter::once(0).chain(others).collect()
}

fn divide_anew(data_dir: &Path, here: &BTreeSet<usize>, threads: usize) -> io::Result<Vec<String>> {
    let (mut all, mut records, mut messages) = (Positions::default(), Vec::new(), Vec::new());
    for thread in here {
        let folder = folder(data_dir, *thread);
        let loaded = Store::new(&folder).load();
        messages.extend(loaded.messages);
        merge(&mut all, loaded.positions);
        let (bytes, _) = data_file::read(&folder.join("journal"), JOURNAL_BYTES_MAX).unwrap_or_default();
        records.extend_from_slice(whole_records(&bytes));
    }
    // The first one's files have everything until the others have theirs.
    let shards: Vec<Shard> = Shard::all(threads).collect();
    for shard in shards.into_iter().rev() {
        let folder = folder(data_dir, shard.index());
        Journal::open(&folder).0.begin(&records)?;
        Store::new(&folder).save(&encode(&of(&all, shard))?, true)?;
    }
    for left_over in here.iter().filter(|thread| **thread >= threads) {
        std::fs::remove_dir_all(folder(data_dir, *left_over))?;
    }
    Ok(messages)
}

/// What is saved twice counts by the one that is further.
fn merge(all: &mut Positions, more: Positions) {
    let places: HashMap<FileId, usize> = all.files.iter().enumerate().map(|(place, file)| (file.id, place)).collect();
    for file in more.files {
        match places.get(&file.id).and_then(|place| all.files.get_mut(*place)) {
            Some(known) => further(known, &file),
            None => all.files.push(file),
        }
    }
    for saved in more.ahead {
        match all.ahead.iter_mut().find(|known| known.is_of(&saved.folder, saved.restart)) {
            Some(known) => {
                known.ahead.iter_mut().zip(saved.ahead).for_each(|(known, ahead)| *known = ahead.max(*known));
            }
            None => all.ahead.push(saved),
        }
    }
}

fn further(known: &mut SavedFile, other: &SavedFile) {
    known.bytes = known.bytes.max(other.bytes);
    known.is_finished |= other.is_finished;
    for (known, other) in known.streams.iter_mut().zip(other.streams) {
        if other.offset > known.offset {
            *known = other;
        }
    }
}

fn of(positions: &Positions, shard: Shard) -> Positions {
    let files = positions.files.iter().filter(|file: &&SavedFile| shard.owns_folder(&file.folder)).cloned();
    let ahead = positions.ahead.iter().filter(|saved: &&SavedAhead| shard.owns_folder(&saved.folder)).cloned();
    Positions { files: files.collect(), ahead: ahead.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::saved::SavedStream;

    const PODS: u64 = 40;

    fn file(pod: u64, offset: u64) -> SavedFile {
        let stream = SavedStream { offset, ..SavedStream::default() };
        let folder = format!("ns_pod-{pod}_uid{pod}/main");
        SavedFile { id: FileId(pod), folder, restart: 0, bytes: 9, is_finished: false, streams: [stream; 2] }
    }

    fn record(pod: u64) -> Vec<u8> {
        let mut record = crate::checkpoint::journal::Record::default();
        record.fingerprints(pod, &[pod]);
        record.finish()
    }

    /// What each of `threads` finds; each saves it again, as a run does.
    fn run(data_dir: &Path, threads: usize) -> Vec<BTreeSet<u64>> {
        let opened = open(data_dir, threads).unwrap();
        assert!(opened.messages.is_empty(), "{:?}", opened.messages);
        let found = opened.threads.into_iter().map(|mut kept| {
            kept.store.save(&encode(&kept.positions).unwrap(), true).unwrap();
            let records: Vec<u8> = kept.recovered.fingerprints.keys().flat_map(|pod| record(*pod)).collect();
            kept.journal.begin(&records).unwrap();
            assert_eq!(kept.recovered.fingerprints.len() as u64, PODS, "all may be his");
            kept.positions.files.iter().map(|file| file.id.0).collect()
        });
        found.collect()
    }

    #[test]
    fn whatever_the_number_of_threads_each_position_is_one_threads() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open(dir.path(), 2).unwrap().is_first_start);
        let dir = tempfile::tempdir().unwrap();
        let files = (0..PODS).map(|pod| file(pod, pod)).collect();
        Store::new(dir.path()).save(&encode(&Positions { files, ahead: Vec::new() }).unwrap(), true).unwrap();
        Journal::open(dir.path()).0.begin(&(0..PODS).flat_map(record).collect::<Vec<u8>>()).unwrap();
        for threads in [1, 2, 2, 3, 1, 4, 2] {
            let found = run(dir.path(), threads);
            assert_eq!(found.len(), threads);
            assert_eq!(found.iter().map(BTreeSet::len).sum::<usize>() as u64, PODS, "{threads} threads");
            assert!(threads == 1 || found.iter().all(|pods| !pods.is_empty()));
            assert_eq!(threads_here(dir.path()), (0..threads).collect());
        }
    }

    #[test]
    fn what_a_crash_left_twice_counts_by_the_further_one() {
        let dir = tempfile::tempdir().unwrap();
        let save = |thread: usize, offset: u64| {
            let folder = folder(dir.path(), thread);
            std::fs::create_dir_all(&folder).unwrap();
            let positions = Positions { files: (0..PODS).map(|pod| file(pod, offset)).collect(), ahead: Vec::new() };
            Store::new(&folder).save(&encode(&positions).unwrap(), true).unwrap();
            Journal::open(&folder).0.begin(&record(7)).unwrap();
        };
        save(0, 5);
        save(1, 8);
        save(2, 3);
        let opened = open(dir.path(), 2).unwrap();
        let offsets = opened.threads.iter().flat_map(|kept| &kept.positions.files).map(|file| file.streams[0].offset);
        assert_eq!(offsets.collect::<Vec<_>>(), vec![8; PODS as usize]);
    }
}
