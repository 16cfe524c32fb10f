//! Which object with the kernel programs is embedded.
//!
//! In: the environment. Out: a path, for `sources::ebpf`. Never: another than the committed one, unless `PENSTOCK_EBPF_OBJECT`
//! names it (a full path): so CI tests one that it has just built from source.

use std::env;
use std::path::{Path, PathBuf};

const NAMED: &str = "PENSTOCK_EBPF_OBJECT";

fn main() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent-ebpf/penstock-ebpf.o");
    let object = env::var_os(NAMED).map_or(committed, PathBuf::from);
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={NAMED}");
    println!("cargo::rustc-env=EMBEDDED_OBJECT={}", object.display());
}
