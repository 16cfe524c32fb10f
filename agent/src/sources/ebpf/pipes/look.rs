//! One look: which pipes are the stdout and stderr of a container now, and what has changed since the last one.
//!
//! In: procfs, links to log files, what was seen before. Out: pipes found, changed and gone. Never: a failure because a
//! process ended meanwhile; a pipe of a process that entered a container from outside; a pipe between two processes of
//! one container.

use super::Places;
use super::containers::{Candidate, Container, Firsts, candidates};
use super::owner::Links;
use super::procfs::{ProcessId, Procfs};
use super::reader::Readers;
use super::suspects::suspects;
use super::table::{Role, Table};
use crate::types::capture::Owner;
use crate::types::position::StdStream;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;

/// A pipe that is a container's stdout or stderr.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPipe {
    /// Its inode.
    pub inode: u64,
    /// Its device, in the kernel's encoding: major << 20 | minor.
    pub device: u32,
    /// The process (thread group) that reads it: the runtime's shim, monitor or logger.
    pub reader: u32,
    /// Whose log its bytes end in.
    pub owner: Owner,
    /// Which std stream it is, where that is certain.
    pub std_stream: Option<StdStream>,
    /// The same reader reads it for the same first process of a container: another pair is another following.
    pub ends: PipeEnds,
}

/// Who is at the two ends of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipeEnds {
    /// Who reads it.
    pub reader: ProcessId,
    /// The first process of the container that writes it.
    pub writer: ProcessId,
}

/// What has changed since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Pipes that were not there before, or had other ends.
    pub found: Vec<FoundPipe>,
    /// Pipes of which more is known now: the owner.
    pub changed: Vec<FoundPipe>,
    /// Pipes whose reader has closed them or ended, or whose ends are others now (they are in `found` too).
    pub gone: Vec<FoundPipe>,
    /// Processes with descriptors that were asked for these.
    pub asked: usize,
    /// Those of them whose descriptors the system does not show: a right is missing, or, for a single one, it is
    /// protected from everybody.
    pub denied: usize,
}

impl Difference {
    /// Whether all pipes are as they were.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.changed.is_empty() && self.gone.is_empty()
    }
}

/// A pipe that is followed, and what is needed to see whether it still is.
#[derive(Clone, Debug)]
struct Known {
    pipe: FoundPipe,
    descriptor: u32,
    /// ID of its container.
    container: Option<String>,
}

/// Finds pipes, again and again.
#[derive(Debug)]
pub struct Looker {
    procfs: Procfs,
    places: Places,
    links: Links,
    table: Table,
    firsts: Firsts,
    known: BTreeMap<u64, Known>,
    /// The device of all pipes: they are in one file system of the kernel's own.
    device: u32,
}

impl Looker {
    /// Has seen nothing yet.
    ///
    /// # Errors
    /// The system gives no pipe, of which the device is learned.
    pub fn new(places: Places) -> io::Result<Self> {
        Ok(Self {
            procfs: Procfs::new(places.procfs.clone()),
            links: Links::new(places.link_dirs.clone()),
            places,
            table: Table::default(),
            firsts: Firsts::default(),
            known: BTreeMap::new(),
            device: pipe_device()?,
        })
    }

    /// Looks. In full, processes that were there before are read again too: one of the first looks must be, and one every
    /// few seconds, in case a process number was given again.
    ///
    /// # Errors
    /// The root of procfs cannot be listed.
    pub fn look(&mut self, is_full: bool) -> io::Result<Difference> {
        let before: BTreeMap<u64, FoundPipe> =
            self.known.iter().map(|(inode, known)| (*inode, known.pipe.clone())).collect();
        self.table.refresh(&self.procfs, is_full)?;
        self.table.read_cgroups(&self.procfs);
        self.drop_ended();
        self.links.outdate();
        self.search();
        self.learn_owners();
        self.firsts.forget_ended(&self.table);
        Ok(self.compare(before))
    }

    /// The pipes of the last look, by inode.
    pub fn pipes(&self) -> impl Iterator<Item = &FoundPipe> {
        self.known.values().map(|known| &known.pipe)
    }

    /// A pipe is one for as long as its reader holds it: what is in it when the last writer ends is still to come.
    fn drop_ended(&mut self) {
        let (procfs, table) = (&self.procfs, &self.table);
        self.known.retain(|inode, known| {
            let reader = known.pipe.ends.reader;
            table.is_alive(reader) && procfs.pipe_at(reader.pid, known.descriptor) == Some(*inode)
        });
    }

    fn search(&mut self) {
        let mut readers = Readers::new(&self.procfs, &self.places.log_dir);
        let (known, table) = (&self.known, &self.table);
        let reader_of = |inode| {
            let ends = known.get(&inode).map(|known: &Known| known.pipe.ends)?;
            table.is_alive(ends.writer).then_some(ends.reader)
        };
        let suspects = suspects(table, &self.procfs, &mut readers, reader_of);
        let children = self.table.children();
        let mut containers = Vec::new();
        for reader in suspects {
            if self.table.is_inside(reader.pid) {
                continue;
            }
            let of_reader = children.get(&reader.pid).map(Vec::as_slice).unwrap_or_default();
            for container in self.firsts.containers(&mut self.table, reader, of_reader) {
                let own = readers.get(reader.pid).owner(container.id.is_some());
                if container.pod.is_some() || own.is_some() {
                    self.table.set_role(container.first.pid, Role::OwnedFirst);
                }
                containers.push((reader, container));
            }
        }
        let young = self.table.unsettled_by_first();
        for (reader, container) in containers {
            let own = readers.get(reader.pid);
            let descendants = young.get(&container.first).map(Vec::as_slice).unwrap_or_default();
            let pipes =
                candidates(&self.procfs, own, container.first, descendants, self.table.is_proven(container.first.pid));
            if pipes.is_empty() {
                continue;
            }
            let owner = own.owner(container.id.is_some()).or_else(|| named(&mut self.links, &container));
            let Some(owner) = owner else { continue };
            self.table.set_role(container.first.pid, Role::OwnedFirst);
            for candidate in pipes {
                let ends = PipeEnds { reader, writer: container.first };
                // An older writer that is still there has the better claim.
                let is_free = |known: &Known| known.pipe.ends != ends && !self.table.is_alive(known.pipe.ends.writer);
                if self.known.get(&candidate.inode).is_none_or(is_free) {
                    self.known.insert(candidate.inode, self.known_pipe(candidate, &container, &owner, ends));
                }
            }
        }
    }

    fn known_pipe(&self, candidate: Candidate, container: &Container, owner: &Owner, ends: PipeEnds) -> Known {
        let pipe = FoundPipe {
            inode: candidate.inode,
            device: self.device,
            reader: ends.reader.pid,
            owner: owner.clone(),
            std_stream: candidate.std_stream,
            ends,
        };
        Known { pipe, descriptor: candidate.descriptor, container: container.id.clone() }
    }

    /// The kubelet makes the link after the container has started.
    fn learn_owners(&mut self) {
        for known in self.known.values_mut() {
            let Owner::Pod { .. } = known.pipe.owner else { continue };
            if let Some(owner) = known.container.as_ref().and_then(|id| self.links.owner(id)) {
                known.pipe.owner = owner.clone();
            }
        }
    }

    fn compare(&self, before: BTreeMap<u64, FoundPipe>) -> Difference {
        let (asked, denied) = self.procfs.take_asked();
        let mut difference = Difference { asked, denied, ..Difference::default() };
        for pipe in self.pipes() {
            match before.get(&pipe.inode) {
                Some(old) if old == pipe => {}
                Some(old) if old.ends == pipe.ends => difference.changed.push(pipe.clone()),
                _ => difference.found.push(pipe.clone()),
            }
        }
        let has_stayed = |old: &FoundPipe| self.known.get(&old.inode).is_some_and(|known| known.pipe.ends == old.ends);
        difference.gone = before.into_values().filter(|old| !has_stayed(old)).collect();
        difference
    }
}

/// Whose log the container's is by its cgroup.
fn named(links: &mut Links, container: &Container) -> Option<Owner> {
    let linked = container.id.as_ref().and_then(|id| links.owner(id).cloned());
    linked.or_else(|| container.pod.clone().map(|uid| Owner::Pod { uid }))
}

/// Of any pipe: all are in one file system.
fn pipe_device() -> io::Result<u32> {
    let (reader, _writer) = io::pipe()?;
    let device = rustix::fs::fstat(reader.as_fd())?.st_dev;
    Ok(rustix::fs::major(device) << 20 | rustix::fs::minor(device))
}
