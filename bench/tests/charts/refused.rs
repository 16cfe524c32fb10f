//! What helm says to bad values: each file's first line names the key that the refusal must name.

use super::{alone, files, is_left_out, stack};
use penstock_bench::charts::Release;
use std::path::Path;

fn is_refused_by_key(release: &Release, file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let key = text.lines().next().and_then(|line| line.strip_prefix("# expect: "));
    let key = key.unwrap_or_else(|| panic!("{}: no `# expect: KEY` at its top", file.display()));
    let refusal = match release.text() {
        Ok(_) => panic!("{} was taken", file.display()),
        Err(refusal) => format!("{refusal:#}"),
    };
    assert!(refusal.contains(key), "{}: the refusal does not name {key}: {refusal}", file.display());
}

#[test]
fn bad_values_are_refused_by_their_key() {
    if is_left_out() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    files("bad").iter().for_each(|file| is_refused_by_key(&alone(file), file));
    files("bad-stack").iter().for_each(|file| is_refused_by_key(&stack(folder.path(), file), file));
}
