//! The kubelet's names for log folders and files. In: one name. Out: what it says, or nothing.

use std::cmp::Ordering;

/// `NAMESPACE_POD_UID`, the folder of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFolder<'a> {
    /// Namespace name.
    pub namespace: &'a str,
    /// Pod name.
    pub pod: &'a str,
    /// UID as in the path.
    pub uid: &'a str,
}

/// Reads the name of a pod's folder. Kubernetes names hold no underscore, so the parts are plain.
#[must_use]
pub fn pod_folder(name: &str) -> Option<PodFolder<'_>> {
    let (namespace, rest) = name.split_once('_')?;
    let (pod, uid) = rest.split_once('_')?;
    let is_whole = !namespace.is_empty() && !pod.is_empty() && !uid.is_empty() && !uid.contains('_');
    is_whole.then_some(PodFolder { namespace, pod, uid })
}

/// A log file's name: `N.log`, `N.log.SUFFIX`, `N.log.SUFFIX.gz`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogName {
    /// The restart counter.
    pub restart: u32,
    /// What follows `.log.`, without `.gz`: kubelet's time, or logrotate's number. `None` for the file being written.
    pub suffix: Option<String>,
    /// Whether it is gzipped.
    pub is_gzip: bool,
}

/// Reads the name of a log file. Files under construction (`.tmp`) are none.
#[must_use]
pub fn log_file(name: &str) -> Option<LogName> {
    let (number, rest) = name.split_once(".log")?;
    // As the kubelet writes it: another way to write a number is another's file.
    let restart = number.parse().ok().filter(|restart: &u32| restart.to_string() == number)?;
    if rest.is_empty() {
        return Some(LogName { restart, suffix: None, is_gzip: false });
    }
    let (suffix, is_gzip) = rotated_suffix(rest)?;
    Some(LogName { restart, suffix: Some(suffix.to_owned()), is_gzip })
}

/// Reads what stands behind the base name of a rotated file: `.SUFFIX` or `.SUFFIX.gz`.
#[must_use]
pub fn rotated_suffix(rest: &str) -> Option<(&str, bool)> {
    let suffix = rest.strip_prefix('.')?;
    let (suffix, is_gzip) = match suffix.strip_suffix(".gz") {
        Some(plain) => (plain, true),
        None => (suffix, false),
    };
    let is_plain = !suffix.is_empty() && suffix.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    is_plain.then_some((suffix, is_gzip))
}

/// The suffix of a rotated file's name, whatever its base name; `None` for the file being written.
#[must_use]
pub fn suffix_of(name: &str) -> Option<&str> {
    let (_, rest) = name.rsplit_once(".log")?;
    rotated_suffix(rest).map(|(suffix, _)| suffix)
}

/// The order in which files were written: rotated ones by their time or, for small numbers (`1` is newer than
/// `2`), backwards; the one being written last.
#[must_use]
pub fn by_age(a: Option<&str>, b: Option<&str>) -> Ordering {
    match (a, b) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => match (counter(a), counter(b)) {
            (Some(a), Some(b)) => b.cmp(&a),
            (Some(_), None) => Ordering::Greater,
            (None, Some(_)) => Ordering::Less,
            (None, None) => a.cmp(b),
        },
    }
}

/// A suffix of up to five digits counts rotations; longer ones are dates.
fn counter(suffix: &str) -> Option<u32> {
    if suffix.len() > 5 || suffix.contains('-') { None } else { suffix.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_names_are_read() {
        let folder = pod_folder("kube-system_etcd-node-1_0a1b").unwrap();
        assert_eq!((folder.namespace, folder.pod, folder.uid), ("kube-system", "etcd-node-1", "0a1b"));
        let live = LogName { restart: 3, suffix: None, is_gzip: false };
        assert_eq!(log_file("3.log"), Some(live));
        let packed = LogName { restart: 0, suffix: Some("20260822-100000".into()), is_gzip: true };
        assert_eq!(log_file("0.log.20260822-100000.gz"), Some(packed));
    }

    #[test]
    fn other_names_are_left_alone() {
        for name in [
            "",
            ".log",
            "x.log",
            "+1.log",
            "007.log",
            "00.log",
            "0.log.20260822-100000.tmp",
            "0.log.",
            "0.logx",
            "99999999999.log",
        ] {
            assert_eq!(log_file(name), None, "{name}");
        }
        for name in ["", "a", "a_b", "_b_c", "a__c", "a_b_", "a_b_c_d"] {
            assert_eq!(pod_folder(name), None, "{name}");
        }
    }

    #[test]
    fn rotated_files_sort_as_they_were_written() {
        let mut names = vec![None, Some("20260822-100001"), Some("20260822-100000")];
        names.sort_by(|a, b| by_age(*a, *b));
        assert_eq!(names, [Some("20260822-100000"), Some("20260822-100001"), None]);
        let mut names = vec![Some("1"), None, Some("10"), Some("2")];
        names.sort_by(|a, b| by_age(*a, *b));
        assert_eq!(names, [Some("10"), Some("2"), Some("1"), None]);
    }
}
