//! Which processes may be shims.
//!
//! In: the processes that are not settled. Out: those among their ancestors to look at more closely, the oldest first, so
//! that a shim comes before what runs in its containers. Never: a look at the descriptors of everybody.

use super::procfs::{ProcessId, Procfs};
use super::reader::Readers;
use super::table::Table;
use std::collections::BTreeSet;

/// The descriptors at which a program finds its stdout and stderr.
pub(super) const STD_DESCRIPTORS: [u32; 2] = [1, 2];

/// Parents of a container's processes that are not in that container, and ancestors that read a pipe which somebody has
/// at descriptor 1 or 2. `known` says of which pipes the reader is known.
pub(super) fn suspects(
    table: &Table,
    procfs: &Procfs,
    readers: &mut Readers<'_>,
    known: impl Fn(u64) -> Option<ProcessId>,
) -> BTreeSet<ProcessId> {
    let mut found = BTreeSet::new();
    for pid in table.unsettled() {
        let Some(parent) = table.get(pid).map(|process| process.parent) else { continue };
        let container = table.container(pid);
        if container.is_some() && container != table.container(parent) {
            found.extend(table.id(parent));
        }
        for inode in std_pipes(procfs, pid).into_iter().flatten() {
            let mut search = || {
                let reader = table.ancestors(pid).find(|ancestor| readers.get(*ancestor).pipes.contains_key(&inode));
                reader.and_then(|reader| table.id(reader))
            };
            found.extend(known(inode).or_else(&mut search));
        }
    }
    found
}

/// The pipes at descriptors 1 and 2.
pub(super) fn std_pipes(procfs: &Procfs, pid: u32) -> [Option<u64>; 2] {
    STD_DESCRIPTORS.map(|descriptor| procfs.pipe_at(pid, descriptor))
}
