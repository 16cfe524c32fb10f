//! What the committed object was built from, and with what.
//!
//! In: source files, toolchain versions. Out: one line a fact, `name: value`. Never: a time or a path of a machine, so that
//! the same source and toolchain give the same stamp.

use super::toolchain::Toolchain;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh64::xxh64;

pub(super) const SOURCE: &str = "source";
pub(super) const OBJECT: &str = "object";

/// A hash of everything that goes into the object: the package, and the versions of what it depends on.
pub(super) fn source_hash(project: &Path) -> Result<String> {
    let package = project.join("agent-ebpf");
    let mut files = vec![package.join("Cargo.toml")];
    rust_files(&package.join("src"), &mut files)?;
    files.sort();
    let mut all = Vec::new();
    for file in &files {
        let name = file.strip_prefix(project).unwrap_or(file);
        let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        all.extend_from_slice(format!("{} {}\n", name.display(), bytes.len()).as_bytes());
        all.extend_from_slice(&bytes);
    }
    let lock = fs::read_to_string(project.join("Cargo.lock")).context("reading Cargo.lock")?;
    let versions = lock.split("[[package]]").filter(|package| package.contains("name = \"aya-ebpf"));
    versions.for_each(|package| all.extend_from_slice(package.as_bytes()));
    Ok(hash(&all))
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// 64 bits, as hexadecimal digits: against mistakes, not against intent.
pub(super) fn hash(bytes: &[u8]) -> String {
    format!("{:016x}", xxh64(bytes, 0))
}

/// The stamp of an object.
pub(super) fn text(toolchain: &Toolchain, source: &str, object: &[u8]) -> String {
    let mut text = String::new();
    let facts = [(SOURCE, source), (OBJECT, &hash(object)), ("rustc", &toolchain.rustc_version)];
    for (name, value) in facts.into_iter().chain([("bpf-linker", toolchain.linker_version.as_str())]) {
        let _infallible = writeln!(text, "{name}: {value}");
    }
    text
}

/// One fact of a stamp.
pub(super) fn field<'a>(stamp: &'a str, name: &str) -> Option<&'a str> {
    stamp.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_has_another_hash() {
        let project = tempfile::tempdir().unwrap();
        let at = |name: &str| project.path().join(name);
        fs::create_dir_all(at("agent-ebpf/src/hooks")).unwrap();
        for (name, text) in [("agent-ebpf/Cargo.toml", ""), ("Cargo.lock", ""), ("agent-ebpf/src/hooks/a.rs", "a")] {
            fs::write(at(name), text).unwrap();
        }
        let before = source_hash(project.path()).unwrap();
        assert_eq!(source_hash(project.path()).unwrap(), before);
        fs::write(at("agent-ebpf/penstock-ebpf.o"), "the object itself does not count").unwrap();
        assert_eq!(source_hash(project.path()).unwrap(), before);
        for name in ["agent-ebpf/Cargo.toml", "agent-ebpf/src/hooks/a.rs"] {
            fs::write(at(name), "b").unwrap();
            assert_ne!(source_hash(project.path()).unwrap(), before, "{name}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        assert_eq!(field("source: 1\nsource-of: 2\n", "source"), Some("1"));
        assert_eq!(field("source-of: 2\n", "source"), None);
    }
}
