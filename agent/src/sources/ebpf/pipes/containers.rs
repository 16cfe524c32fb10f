//! The containers of one shim: their first processes, and the pipes of these.
//!
//! In: the shim's children. Out: one first process per container, and the pipes that it or a descendant writes and the
//! shim reads. Never: a process that entered from outside taken for the first.

use super::cgroup::CgroupPlace;
use super::procfs::{ProcessId, Procfs, Target};
use super::reader::Reader;
use super::suspects::{STD_DESCRIPTORS, std_pipes};
use super::table::{Role, Table};
use crate::types::position::StdStream;
use std::collections::HashMap;

/// A container that runs, or the one process behind the pipes of a logger that knows no containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) first: ProcessId,
    /// Its ID, where its cgroup names one.
    pub(super) id: Option<String>,
    /// UID of its pod, where its cgroup names one that is not its reader's too.
    pub(super) pod: Option<String>,
}

/// A pipe of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) inode: u64,
    /// The reader's descriptor.
    pub(super) descriptor: u32,
    pub(super) std_stream: Option<StdStream>,
}

/// What makes children of a shim one container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Group {
    /// The container's ID.
    Id(String),
    /// No ID: all that one reader started in one cgroup.
    Cgroup(ProcessId, String),
}

/// The first process of each container.
#[derive(Debug, Default)]
pub(super) struct Firsts {
    all: HashMap<Group, First>,
}

/// The first process of a container, as its parent `reader` said. That may have been the runtime that starts it, of which
/// other children come first: once that one has ended it counts no more.
#[derive(Clone, Copy, Debug)]
struct First {
    process: ProcessId,
    reader: ProcessId,
}

impl Firsts {
    /// The containers that `reader` serves; their first processes are noted in the table, and the other children as those
    /// of outsiders.
    pub(super) fn containers(&mut self, table: &mut Table, reader: ProcessId, children: &[u32]) -> Vec<Container> {
        let own = table.cgroup(reader.pid).cloned().unwrap_or_default();
        let mut groups: HashMap<Group, Vec<ProcessId>> = HashMap::new();
        for child in children {
            let (Some(id), Some(place)) = (table.id(*child), table.cgroup(*child)) else { continue };
            groups.entry(group(reader, &own, place)).or_default().push(id);
        }
        // Beside children in containers, those outside are the runtime's helpers.
        if groups.keys().any(|group| matches!(group, Group::Id(_))) {
            groups.retain(|group, _| matches!(group, Group::Id(_)));
        }
        let mut containers = Vec::new();
        for (group, members) in groups {
            let Some(first) = self.first(table, &group, &members, reader) else { continue };
            let place = table.cgroup(first.pid).cloned().unwrap_or_default();
            let id = if let Group::Id(id) = group { Some(id) } else { None };
            let is_own_pod = id.is_none() && place.pod == own.pod;
            containers.push(Container { first, id, pod: place.pod.filter(|_| !is_own_pod) });
        }
        containers
    }

    /// The oldest member. One that was the first before stays it: in a container with an ID as long as its reader lives, else
    /// as long as it lives itself; then the next one that was not there beside it follows. `None`: the first one has ended.
    fn first(
        &mut self,
        table: &mut Table,
        group: &Group,
        members: &[ProcessId],
        reader: ProcessId,
    ) -> Option<ProcessId> {
        let has_id = matches!(group, Group::Id(_));
        let is_outsider = |id: &ProcessId| table.get(id.pid).is_some_and(|process| process.role == Role::Outsider);
        let oldest = members.iter().copied().filter(|id| has_id || !is_outsider(id)).min();
        let is_valid = |before: &First| table.is_alive(if has_id { before.reader } else { before.process });
        let before = self.all.get(group).copied().filter(is_valid);
        let oldest = oldest.map(|process| First { process, reader });
        let found = before.into_iter().chain(oldest).min_by_key(|found| found.process)?;
        self.all.insert(group.clone(), found);
        let first = found.process;
        for member in members {
            let role = if *member == first { Role::First } else { Role::Outsider };
            let is_same = table.get(member.pid).is_some_and(|p| p.role == Role::OwnedFirst && role == Role::First);
            if !is_same {
                table.set_role(member.pid, role);
            }
        }
        table.is_alive(first).then_some(first)
    }

    /// Forgets those that have ended. One with an ID stays for as long as somebody is in its container.
    pub(super) fn forget_ended(&mut self, table: &Table) {
        let is_used = |group: &Group| matches!(group, Group::Id(id) if table.has_somebody_in(id));
        self.all.retain(|group, first| table.is_alive(first.process) || is_used(group));
    }
}

fn group(reader: ProcessId, own: &CgroupPlace, place: &CgroupPlace) -> Group {
    match &place.container {
        Some(id) if place.container != own.container => Group::Id(id.clone()),
        _ => Group::Cgroup(reader, place.path.clone()),
    }
}

/// The pipes that `reader` reads and the first process or one of its descendants writes. `young` are those of them that
/// are not settled, the first among them; the others were asked before. Descriptors other than stdout and stderr count only
/// of a container that `is_proven`: its runtime's start uses pipes of its own.
pub(super) fn candidates(
    procfs: &Procfs,
    reader: &Reader,
    first: ProcessId,
    young: &[u32],
    is_proven: bool,
) -> Vec<Candidate> {
    let at_std = std_pipes(procfs, first.pid).map(|inode| inode.filter(|inode| reader.pipes.contains_key(inode)));
    let std_streams = certain(at_std, reader);
    let mut inodes: Vec<u64> = at_std.into_iter().flatten().collect();
    for pid in young {
        for (descriptor, target) in procfs.descriptors(*pid) {
            let Target::Pipe(inode) = target else { continue };
            if !is_proven && !STD_DESCRIPTORS.contains(&descriptor) {
                continue;
            }
            let is_new = reader.pipes.contains_key(&inode) && !inodes.contains(&inode);
            if is_new && procfs.access(*pid, descriptor).is_some_and(|(_, writes)| writes) {
                inodes.push(inode);
            }
        }
    }
    inodes.sort_unstable();
    inodes.dedup();
    let std_stream = |inode| std_streams.iter().find(|(of, _)| *of == inode).map(|(_, std_stream)| *std_stream);
    let candidate = |inode| {
        let descriptor = reader.pipes.get(&inode).copied()?;
        Some(Candidate { inode, descriptor, std_stream: std_stream(inode) })
    };
    inodes.into_iter().filter_map(candidate).collect()
}

/// Two different pipes at 1 and 2, made in that order: every runtime makes stdout's first. In the other order the program
/// may have swapped them, and nothing is certain.
fn certain(at_std: [Option<u64>; 2], reader: &Reader) -> Vec<(u64, StdStream)> {
    let [Some(out), Some(err)] = at_std else { return Vec::new() };
    let is_in_order = out < err && reader.pipes.get(&out) < reader.pipes.get(&err);
    if is_in_order { vec![(out, StdStream::Stdout), (err, StdStream::Stderr)] } else { Vec::new() }
}
