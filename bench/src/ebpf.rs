//! Builds the kernel programs into the object that the agent embeds, and tells whether the committed one is of this source.
//!
//! In: the source of `agent-ebpf`, a toolchain that can build it. Out: `agent-ebpf/penstock-ebpf.o`, a stamp beside it
//! (toolchain, hash of the source), a table of programs and maps. Never: anything written outside the project's folder.

use crate::agent::project;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

mod build;
mod stamp;
mod table;
mod toolchain;

pub use toolchain::install_linker;

/// The object and its stamp, in `agent-ebpf`.
const OBJECT: &str = "agent-ebpf/penstock-ebpf.o";
const STAMP: &str = "agent-ebpf/penstock-ebpf.stamp";

/// What `cargo xtask ebpf` takes.
#[derive(clap::Args)]
pub struct EbpfArgs {
    /// Build nothing; fail if the committed object is not of this source
    #[arg(long, conflicts_with = "out")]
    check: bool,
    /// Write the object there, and no stamp, instead of beside its source
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What came of building the object from its source.
#[derive(Debug)]
pub enum Rebuilt {
    /// The committed one, byte for byte.
    Same,
    /// Another, which is in this file now: another toolchain.
    Other(PathBuf),
    /// There is no toolchain for it, and why.
    Missing(String),
}

/// Builds, or checks.
///
/// # Errors
/// The toolchain is not there, the build failed, or the committed object is of another source.
pub fn run(args: &EbpfArgs) -> Result<()> {
    let project = project().canonicalize().context("the project's folder")?;
    let source = stamp::source_hash(&project)?;
    if args.check {
        return check(&project, &source);
    }
    let toolchain = toolchain::find(&project)?;
    let object = build::build(&project, &toolchain)?;
    table::print(&object)?;
    let write =
        |path: &Path, bytes: &[u8]| fs::write(path, bytes).with_context(|| format!("writing {}", path.display()));
    if let Some(out) = &args.out {
        return write(out, &object);
    }
    write(&project.join(OBJECT), &object)?;
    write(&project.join(STAMP), stamp::text(&toolchain, &source, &object).as_bytes())
}

/// Builds it, and compares it with the committed one.
///
/// # Errors
/// It does not build, or cannot be read or written.
pub fn rebuild() -> Result<Rebuilt> {
    let project = project().canonicalize().context("the project's folder")?;
    let toolchain = match toolchain::find(&project) {
        Ok(toolchain) => toolchain,
        Err(why) => return Ok(Rebuilt::Missing(format!("{why:#}"))),
    };
    let object = build::build(&project, &toolchain)?;
    if fs::read(project.join(OBJECT)).is_ok_and(|committed| committed == object) {
        return Ok(Rebuilt::Same);
    }
    let path = project.join("target/ebpf/rebuilt.o");
    fs::write(&path, &object).with_context(|| format!("writing {}", path.display()))?;
    Ok(Rebuilt::Other(path))
}

fn check(project: &Path, source: &str) -> Result<()> {
    let read =
        |path: &str| fs::read(project.join(path)).with_context(|| format!("{path}: build it with `cargo xtask ebpf`"));
    let committed = String::from_utf8_lossy(&read(STAMP)?).into_owned();
    let of_source = stamp::field(&committed, stamp::SOURCE).unwrap_or("nothing");
    ensure!(
        of_source == source,
        "{OBJECT} is of another source (hash {of_source}, the source here has {source}): build it anew with `cargo xtask ebpf`"
    );
    let object = stamp::hash(&read(OBJECT)?);
    ensure!(
        stamp::field(&committed, stamp::OBJECT) == Some(object.as_str()),
        "{OBJECT} is not the one that {STAMP} tells of: build it anew with `cargo xtask ebpf`"
    );
    println!("{OBJECT} is of this source");
    Ok(())
}
