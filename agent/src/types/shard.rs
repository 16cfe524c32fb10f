//! run → pipeline, sources::ebpf: which part of the node's pods a data thread has.

use xxhash_rust::xxh3::xxh3_64;

/// One of the parts into which the node's pods are divided, a data thread each. Whose a pod is follows from its UID, so each
/// thread knows it before the API has told anything of the pod, and it stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// All pods: the one data thread's.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// All parts, in order. `count` at least 1.
    pub fn all(count: usize) -> impl Iterator<Item = Self> {
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        (0..count).map(move |index| Self { index, count })
    }

    /// Its place among all.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        self.count as usize
    }

    /// The place of the one whose the pod is.
    #[must_use]
    pub fn index_of(self, pod_uid: &str) -> usize {
        if self.count == 1 {
            return 0;
        }
        (xxh3_64(pod_uid.as_bytes()) % u64::from(self.count)) as usize
    }

    /// Whether the pod is this thread's.
    #[must_use]
    pub fn owns(self, pod_uid: &str) -> bool {
        self.index_of(pod_uid) == self.index()
    }

    /// Whether the pod with this folder, or the one above it (`NAMESPACE_POD_UID`, `NAMESPACE_POD_UID/CONTAINER`), is this
    /// thread's.
    #[must_use]
    pub fn owns_folder(self, folder: &str) -> bool {
        self.owns(uid_in(folder))
    }

    /// The first time from `time_ns` on, in nanoseconds, that this thread may give an entry. Two threads may have pods of one
    /// label set, and neither knows the other's entries: as they share no nanosecond, Loki takes none for another's.
    #[must_use]
    pub fn free_ns(self, time_ns: i64) -> i64 {
        if self.count == 1 {
            return time_ns;
        }
        let (index, count) = (i64::from(self.index), i64::from(self.count));
        time_ns.saturating_add(index.saturating_sub(time_ns.rem_euclid(count)).rem_euclid(count))
    }
}

/// The UID in the name of a pod's folder, or of one in it: what follows the last underscore of its first part.
#[must_use]
pub fn uid_in(folder: &str) -> &str {
    let pod = folder.split('/').next().unwrap_or(folder);
    pod.rsplit('_').next().unwrap_or(pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_pod_is_one_threads_and_each_nanosecond_too(uid: String, time_ns in i64::MIN..i64::MAX - 16, count in 1_usize..16) {
            let owners = Shard::all(count).filter(|shard| shard.owns(&uid)).count();
            prop_assert_eq!(owners, 1);
            let mut times: Vec<i64> = Shard::all(count).map(|shard| shard.free_ns(time_ns)).collect();
            times.sort_unstable();
            let next: Vec<i64> = (time_ns..).take(count).collect();
            prop_assert_eq!(times, next);
        }
    }
}
