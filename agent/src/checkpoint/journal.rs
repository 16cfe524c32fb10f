//! What was handed to the sender since the positions were saved, so that after a crash it goes out again byte for
//! byte with the same times, and is told apart from new lines that happen to be equal.
//!
//! Before a request goes, one record is appended: fingerprints of its entries per label set, the first and the last
//! record of each std stream and label set in it, and the times that were lifted or moved. Written, not synced: a killed agent leaves it whole. It is begun
//! anew when it has grown, with all that is still needed. Reading stops at the first record that is not whole.

#[cfg(test)]
mod tests;

use super::data_file;
use crate::limits::JOURNAL_BYTES_MAX;
use crate::types::position::{FileId, StdStream};
use crate::types::saved::{Recovered, WentAhead};
use std::fs::File;
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// The journal is begun anew beyond this, or beyond twice what it began with.
const BYTES_MIN: u64 = 4 * 1024 * 1024;
const FINGERPRINTS: u8 = 1;
const SENT: u8 = 4;
const MOVED: u8 = 6;
const AHEAD: u8 = 7;

/// One record under construction.
#[derive(Clone, Debug)]
pub struct Record {
    /// Room for length and checksum, then the items.
    bytes: Vec<u8>,
}

impl Default for Record {
    fn default() -> Self {
        Self { bytes: vec![0; 12] }
    }
}

impl Record {
    /// Entries with these fingerprints went out in the label set with this hash ([`label_set_hash`]).
    pub fn fingerprints(&mut self, labels: u64, fingerprints: &[u64]) {
        self.bytes.push(FINGERPRINTS);
        self.bytes.extend_from_slice(&labels.to_le_bytes());
        let count = u32::try_from(fingerprints.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&count.to_le_bytes());
        for fingerprint in fingerprints.iter().take(count as usize) {
            self.bytes.extend_from_slice(&fingerprint.to_le_bytes());
        }
    }

    /// What this std stream of this file has of the label set with this hash has gone out, from the record that starts
    /// at the first of `offsets` to the one at the last. One that goes on from the one before begins where that began.
    pub fn sent(&mut self, file: FileId, std_stream: StdStream, labels: u64, offsets: RangeInclusive<u64>) {
        self.bytes.push(SENT);
        self.place(file, std_stream, *offsets.start());
        self.bytes.extend_from_slice(&offsets.end().to_le_bytes());
        self.bytes.extend_from_slice(&labels.to_le_bytes());
    }

    /// The record that starts there went out with this time in the label set with this hash.
    pub fn moved(&mut self, file: FileId, std_stream: StdStream, labels: u64, offset: u64, time_ns: i64) {
        self.bytes.push(MOVED);
        self.place(file, std_stream, offset);
        self.bytes.extend_from_slice(&labels.to_le_bytes());
        self.bytes.extend_from_slice(&time_ns.to_le_bytes());
    }

    /// The line at this stream position went out ahead of the files of the instance with this hash ([`instance_hash`]).
    pub fn ahead(&mut self, instance: u64, std_stream: StdStream, position: u64, line: WentAhead) {
        self.bytes.push(AHEAD);
        self.place(FileId(instance), std_stream, position);
        self.bytes.extend_from_slice(&line.hash.to_le_bytes());
        self.bytes.extend_from_slice(&line.time_ns.to_le_bytes());
        self.bytes.extend_from_slice(&line.labels.to_le_bytes());
    }

    fn place(&mut self, file: FileId, std_stream: StdStream, offset: u64) {
        self.bytes.extend_from_slice(&file.0.to_le_bytes());
        self.bytes.push(u8::from(std_stream == StdStream::Stderr));
        self.bytes.extend_from_slice(&offset.to_le_bytes());
    }

    /// The bytes to append.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        let items = self.bytes.get(12..).unwrap_or_default();
        let (length, sum) = (u32::try_from(items.len()).unwrap_or(u32::MAX), xxh3_64(items));
        if let Some(head) = self.bytes.get_mut(..12) {
            let (first, second) = head.split_at_mut(4);
            first.copy_from_slice(&length.to_le_bytes());
            second.copy_from_slice(&sum.to_le_bytes());
        }
        self.bytes
    }
}

/// How the journal names a label set, by its text.
#[must_use]
pub fn label_set_hash(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// How the journal names a container instance: its folder, `NAMESPACE_POD_UID/CONTAINER`, and its restart counter.
#[must_use]
pub fn instance_hash(folder: &str, restart: u32) -> u64 {
    xxh3_64(format!("{folder}\0{restart}").as_bytes())
}

/// Reads a journal; whatever follows a record that is not whole is left. Any bytes may come in.
#[must_use]
pub fn recover(bytes: &[u8]) -> Recovered {
    recover_whole(bytes).0
}

/// The same, and how many bytes were left.
fn recover_whole(mut bytes: &[u8]) -> (Recovered, usize) {
    let mut recovered = Recovered::default();
    while let Some((items, rest)) = next_record(bytes) {
        let mut reader = Reader { bytes: items };
        while reader.item(&mut recovered).is_some() {}
        bytes = rest;
    }
    (recovered, bytes.len())
}

/// What of a journal's bytes is whole records.
#[must_use]
pub fn whole_records(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((_, behind)) = next_record(rest) {
        rest = behind;
    }
    bytes.get(..bytes.len() - rest.len()).unwrap_or_default()
}

fn next_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let (items, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (xxh3_64(items) == u64::from_le_bytes(*sum)).then_some((items, rest))
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn item(&mut self, out: &mut Recovered) -> Option<()> {
        match self.byte()? {
            FINGERPRINTS => {
                let (labels, count) = (self.word()?, u32::from_le_bytes(self.chunk()?));
                let known = out.fingerprints.entry(labels).or_default();
                for _ in 0..count {
                    known.push(self.word()?);
                }
            }
            SENT => {
                let (file, std_stream, first) = self.place()?;
                let (last, labels) = (self.word()?, self.word()?);
                let known = out.sent.entry((file, std_stream, labels)).or_default();
                match known.last_mut().filter(|before| first <= *before.end() && *before.start() <= last) {
                    Some(before) => *before = first.min(*before.start())..=last.max(*before.end()),
                    None => known.push(first..=last),
                }
            }
            MOVED => {
                let (file, std_stream, offset) = self.place()?;
                let (labels, time_ns) = (self.word()?, i64::from_le_bytes(self.chunk()?));
                out.moved.insert((file, std_stream, labels, offset), time_ns);
            }
            AHEAD => {
                let (instance, std_stream, position) = self.place()?;
                let (hash, time_ns, labels) = (self.word()?, i64::from_le_bytes(self.chunk()?), self.word()?);
                out.ahead.insert((instance.0, std_stream, position), WentAhead { hash, time_ns, labels });
            }
            _ => return None,
        }
        Some(())
    }

    fn place(&mut self) -> Option<(FileId, StdStream, u64)> {
        let file = FileId(self.word()?);
        let std_stream = if self.byte()? == 0 { StdStream::Stdout } else { StdStream::Stderr };
        Some((file, std_stream, self.word()?))
    }

    fn byte(&mut self) -> Option<u8> {
        self.chunk::<1>().map(|[byte]| byte)
    }

    fn word(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*chunk)
    }
}

/// The journal file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    bytes_max: u64,
}

impl Journal {
    /// Reads what the last run left in `data_dir`, and says where that is damaged. It has to be begun anew before the
    /// first append.
    #[must_use]
    pub fn open(data_dir: &Path) -> (Self, Recovered, Option<String>) {
        let path = data_dir.join("journal");
        let read = data_file::read(&path, JOURNAL_BYTES_MAX);
        let unread = read.as_ref().err().filter(|error| error.kind() != io::ErrorKind::NotFound);
        let mut damage = unread.map(|error| format!("cannot be read: {error}"));
        let (bytes, unread_bytes) = read.unwrap_or_default();
        let (recovered, left_bytes) = recover_whole(&bytes);
        let left_bytes = left_bytes as u64 + unread_bytes;
        if left_bytes > 0 {
            damage = Some(format!("is damaged: its last {left_bytes} bytes are not taken"));
        }
        let damage = damage.map(|what| {
            format!("{} {what}; lines that were sent just before may arrive twice, with other times", path.display())
        });
        (Self { path, file: None, bytes: 0, bytes_max: 0 }, recovered, damage)
    }

    /// Whether it has grown so much that it should be begun anew, or was deleted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes >= self.bytes_max || !self.path.exists()
    }

    /// Appends a finished record.
    ///
    /// # Errors
    /// Those of `write`; the journal should then be begun anew.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let written = match &mut self.file {
            Some(file) => file.write_all(record),
            None => Err(io::Error::other("the journal could not be begun")),
        };
        self.bytes = if written.is_ok() { self.bytes + record.len() as u64 } else { self.bytes_max };
        written
    }

    /// Begins it anew with these finished records.
    ///
    /// # Errors
    /// Those of the file system; what was there before stays.
    pub fn begin(&mut self, records: &[u8]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut file = data_file::create(&new)?;
        file.write_all(records)?;
        std::fs::rename(&new, &self.path)?;
        self.file = Some(file);
        self.bytes = records.len() as u64;
        self.bytes_max = BYTES_MIN.max(2 * self.bytes);
        Ok(())
    }
}
