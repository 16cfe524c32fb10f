//! A disk in memory with the kernel's manners: descriptors outlive names, inode numbers are given again at once,
//! watches are refused and changes lost where the seed says so.
//!
//! In: what the node does (create, append, rename, unlink …). Out: `penstock`'s [`Disk`]. Never: a real file.

use penstock::sources::file::disk::{Change, Disk, Inode, LogFile, Name, OpenError, Stat, WatchId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What is wrong with this disk, as probabilities.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trouble {
    /// A folder's watch is refused.
    pub(super) folder_refused: f64,
    /// A file's watch is refused.
    pub(super) file_refused: f64,
    /// The changes of one look are lost.
    pub(super) overflow: f64,
    /// A read fails, for now.
    pub(super) read_error: f64,
}

/// A file.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Its content, unpacked.
    pub(super) bytes: Vec<u8>,
    /// Packed by the kubelet.
    pub(super) is_gzip: bool,
    /// Names.
    pub(super) links: u64,
    /// Descriptors of the agent.
    pub(super) readers: usize,
    /// Descriptors of the runtime.
    pub(super) writers: usize,
    /// Which file it is in the books, whatever its name or form.
    pub(super) tag: usize,
    /// The agent has read some of it.
    pub(super) was_read: bool,
    modified_ns: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Folder,
    File(u64),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Watched {
    Folder(PathBuf),
    Close(u64),
    Growth(u64),
}

/// The state of the disk.
#[derive(Debug)]
pub(super) struct Fs {
    /// The wall clock, for times of change.
    pub(super) wall_ns: i64,
    /// What is wrong with it.
    pub(super) trouble: Trouble,
    nodes: BTreeMap<u64, Node>,
    names: BTreeMap<PathBuf, Entry>,
    free: Vec<u64>,
    watches: BTreeMap<Watched, u64>,
    next_watch: u64,
    changes: Vec<Change>,
    random: fastrand::Rng,
}

impl Fs {
    /// An empty disk with the folder `log_dir`.
    pub(super) fn new(log_dir: &Path, trouble: Trouble, seed: u64) -> Self {
        Self {
            wall_ns: 0,
            trouble,
            nodes: BTreeMap::new(),
            names: BTreeMap::from([(log_dir.to_path_buf(), Entry::Folder)]),
            free: Vec::new(),
            watches: BTreeMap::new(),
            next_watch: 1,
            changes: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// Makes a folder.
    pub(super) fn make_folder(&mut self, path: &Path) {
        self.names.insert(path.to_path_buf(), Entry::Folder);
        self.touch_parent(path);
    }

    /// Removes an empty folder.
    pub(super) fn remove_folder(&mut self, path: &Path) {
        self.names.remove(path);
        if let Some(watch) = self.watches.remove(&Watched::Folder(path.to_path_buf())) {
            self.changes.extend([Change::Touched(WatchId(watch)), Change::Unwatched(WatchId(watch))]);
        }
        self.touch_parent(path);
    }

    /// Makes a file with this content; `is_open`: the runtime keeps it open for writing.
    pub(super) fn create(&mut self, path: &Path, bytes: Vec<u8>, tag: usize, is_gzip: bool, is_open: bool) -> u64 {
        // The number freed last is given first: an inode says nothing about who it was.
        let number = self.free.pop().unwrap_or(self.nodes.len() as u64 + 1_000);
        let (links, writers) = (1, usize::from(is_open));
        let node = Node { bytes, tag, is_gzip, links, writers, modified_ns: self.wall_ns, readers: 0, was_read: false };
        self.nodes.insert(number, node);
        self.names.insert(path.to_path_buf(), Entry::File(number));
        self.touch_parent(path);
        number
    }

    /// Writes at the end.
    pub(super) fn append(&mut self, number: u64, bytes: &[u8]) {
        let wall_ns = self.wall_ns;
        if let Some(node) = self.nodes.get_mut(&number) {
            node.bytes.extend_from_slice(bytes);
            node.modified_ns = wall_ns;
        }
        self.grown(number);
    }

    /// Empties a file.
    pub(super) fn truncate(&mut self, number: u64) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.bytes.clear();
            node.was_read = false;
        }
        self.grown(number);
    }

    /// The runtime closes it.
    pub(super) fn close(&mut self, number: u64) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.writers -= 1;
        }
        if let Some(watch) = self.watches.get(&Watched::Close(number)) {
            self.changes.push(Change::Closed(WatchId(*watch)));
        }
        self.free_if_unused(number);
    }

    /// Gives a file another name.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(entry) = self.names.remove(from) {
            self.names.insert(to.to_path_buf(), entry);
            self.touch_parent(from);
        }
    }

    /// Takes a file's name away.
    pub(super) fn unlink(&mut self, path: &Path) {
        let Some(Entry::File(number)) = self.names.remove(path) else { return };
        if let Some(node) = self.nodes.get_mut(&number) {
            node.links -= 1;
        }
        self.touch_parent(path);
        self.free_if_unused(number);
    }

    /// Prints the files as they are.
    pub(super) fn print(&self) {
        for (path, entry) in &self.names {
            let Entry::File(number) = entry else { continue };
            let Some(node) = self.nodes.get(number) else { continue };
            println!("{}: inode {number}, file {}, {} bytes", path.display(), node.tag, node.bytes.len());
            let mut offset = 0;
            for line in node.bytes.split_inclusive(|byte| *byte == b'\n') {
                println!("  {offset}: {:.100}", String::from_utf8_lossy(line).trim_end());
                offset += line.len();
            }
        }
    }

    /// A file by its number.
    pub(super) fn node(&self, number: u64) -> Option<&Node> {
        self.nodes.get(&number)
    }

    /// The content of the file with this name.
    pub(super) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        match self.names.get(path)? {
            Entry::File(number) => self.nodes.get(number).map(|node| node.bytes.clone()),
            Entry::Folder => None,
        }
    }

    /// From now on this file is another one in the books.
    pub(super) fn set_tag(&mut self, number: u64, tag: usize) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.tag = tag;
        }
    }

    /// Whether the agent holds any form of this file open.
    pub(super) fn is_held(&self, tag: usize) -> bool {
        self.nodes.values().any(|node| node.tag == tag && node.readers > 0)
    }

    /// The agent is gone, and its watches with it. Its descriptors close as they are dropped.
    pub(super) fn forget_watches(&mut self) {
        // The next agent has read nothing yet.
        self.nodes.values_mut().for_each(|node| node.was_read = false);
        self.watches.clear();
        self.changes.clear();
    }

    fn touch_parent(&mut self, path: &Path) {
        let Some(parent) = path.parent() else { return };
        if let Some(watch) = self.watches.get(&Watched::Folder(parent.to_path_buf())) {
            self.changes.push(Change::Touched(WatchId(*watch)));
        }
    }

    fn grown(&mut self, number: u64) {
        if let Some(watch) = self.watches.remove(&Watched::Growth(number)) {
            self.changes.push(Change::Touched(WatchId(watch)));
        }
    }

    fn free_if_unused(&mut self, number: u64) {
        let is_unused = |node: &Node| node.links == 0 && node.readers == 0 && node.writers == 0;
        if self.nodes.get(&number).is_some_and(is_unused) {
            self.nodes.remove(&number);
            self.free.push(number);
            self.watches.remove(&Watched::Close(number));
            self.watches.remove(&Watched::Growth(number));
        }
    }

    fn watch(&mut self, what: Watched, refused: f64) -> Option<WatchId> {
        if self.random.f64() < refused {
            return None;
        }
        let next = self.next_watch;
        let watch = *self.watches.entry(what).or_insert(next);
        self.next_watch += 1;
        Some(WatchId(watch))
    }
}

/// The agent's view of the disk.
#[derive(Debug)]
pub(super) struct FakeDisk(pub(super) Rc<RefCell<Fs>>);

/// A descriptor of the agent.
#[derive(Debug)]
pub(super) struct FakeFile {
    fs: Rc<RefCell<Fs>>,
    number: u64,
}

impl Drop for FakeFile {
    fn drop(&mut self) {
        let mut fs = self.fs.borrow_mut();
        if let Some(node) = fs.nodes.get_mut(&self.number) {
            node.readers -= 1;
        }
        fs.free_if_unused(self.number);
    }
}

impl LogFile for FakeFile {
    fn stat(&self) -> io::Result<Stat> {
        let fs = self.fs.borrow();
        let node = fs.nodes.get(&self.number).ok_or_else(|| io::Error::other("closed"))?;
        let bytes = node.bytes.len() as u64;
        Ok(Stat {
            inode: Inode { dev: 1, ino: self.number },
            bytes: if node.is_gzip { bytes / 3 + 20 } else { bytes },
            links: node.links,
            modified_ns: node.modified_ns,
        })
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut fs = self.fs.borrow_mut();
        let chance = fs.trouble.read_error;
        let is_failing = fs.random.f64() < chance;
        let node = fs.nodes.get_mut(&self.number).ok_or_else(|| io::Error::other("closed"))?;
        if is_failing && !node.is_gzip {
            return Err(io::Error::other("input/output error"));
        }
        node.was_read |= offset > 0;
        read_at(&node.bytes, buffer, offset)
    }
}

/// Reads from bytes in memory as from a file.
pub(super) fn read_at(bytes: &[u8], buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
    let length = rest.len().min(buffer.len());
    buffer[..length].copy_from_slice(&rest[..length]);
    Ok(length)
}

impl Disk for FakeDisk {
    type File = FakeFile;

    fn list(&mut self, folder: &Path) -> io::Result<Vec<Name>> {
        let fs = self.0.borrow();
        if fs.names.get(folder) != Some(&Entry::Folder) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        let below = fs.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        let name = |(path, entry): (&PathBuf, &Entry)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some(Name { name, is_dir: *entry == Entry::Folder })
        };
        Ok(below.filter_map(name).collect())
    }

    fn open(&mut self, path: &Path, is_gzip: bool) -> Result<FakeFile, OpenError> {
        let mut fs = self.0.borrow_mut();
        let Some(Entry::File(number)) = fs.names.get(path).copied() else { return Err(OpenError::Gone) };
        let Some(node) = fs.nodes.get_mut(&number) else { return Err(OpenError::Gone) };
        debug_assert_eq!(node.is_gzip, is_gzip, "{}", path.display());
        node.readers += 1;
        Ok(FakeFile { fs: Rc::clone(&self.0), number })
    }

    fn inode_of(&mut self, path: &Path) -> Option<Inode> {
        match self.0.borrow().names.get(path) {
            Some(Entry::File(ino)) => Some(Inode { dev: 1, ino: *ino }),
            _ => None,
        }
    }

    fn link_target(&mut self, _: &Path) -> Option<PathBuf> {
        None
    }

    fn watch_folder(&mut self, folder: &Path) -> io::Result<WatchId> {
        let mut fs = self.0.borrow_mut();
        let refused = fs.trouble.folder_refused;
        if !fs.names.contains_key(folder) {
            return Err(io::Error::from(io::ErrorKind::NotFound));
        }
        fs.watch(Watched::Folder(folder.to_path_buf()), refused).ok_or_else(|| io::Error::other("no watches left"))
    }

    fn watch_close(&mut self, file: &FakeFile) -> Option<WatchId> {
        let mut fs = self.0.borrow_mut();
        let refused = fs.trouble.file_refused;
        fs.watch(Watched::Close(file.number), refused)
    }

    fn watch_growth(&mut self, file: &FakeFile) -> Option<WatchId> {
        let mut fs = self.0.borrow_mut();
        let refused = fs.trouble.file_refused;
        fs.watch(Watched::Growth(file.number), refused)
    }

    fn has_writer(&mut self, file: &FakeFile) -> Option<bool> {
        let fs = self.0.borrow();
        let tells = fs.trouble.folder_refused == 0.0;
        tells.then(|| fs.nodes.get(&file.number).is_some_and(|node| node.writers > 0))
    }

    fn unwatch(&mut self, watch: WatchId) {
        self.0.borrow_mut().watches.retain(|_, known| *known != watch.0);
    }

    fn changes(&mut self, out: &mut Vec<Change>) {
        let mut fs = self.0.borrow_mut();
        let chance = fs.trouble.overflow;
        if !fs.changes.is_empty() && fs.random.f64() < chance {
            fs.changes.clear();
            out.push(Change::Overflow);
        }
        out.append(&mut fs.changes);
    }
}
