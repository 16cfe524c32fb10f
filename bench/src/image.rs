//! The image of the agent: one static program, the certificates to trust, and the folders that are mounted over.
//!
//! In: the project, Debian's certificates. Out: a tar in the OCI image layout, of the same root file system as
//! `deploy/Dockerfile` makes. Never: a container engine, a registry, or a byte that differs between two runs.

pub mod archive;

use crate::agent::{self, project};
use crate::clock;
use anyhow::{Context, Result, ensure};
use archive::{Content, Image};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The arguments of `cargo xtask image`.
#[derive(Clone, Debug, clap::Args)]
pub struct ImageArgs {
    /// Where the tar goes; `target/image/penstock.tar` where nothing is said.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Name and tag that the image has in the tar.
    #[arg(long, default_value = NAME)]
    pub name: String,
    /// The development build: larger and slower, sooner built.
    #[arg(long)]
    pub debug: bool,
}

/// Name and tag of the image where nothing else is said, as the chart has them.
pub const NAME: &str = concat!("penstock:", env!("CARGO_PKG_VERSION"));
/// Where the program is in the image.
pub const PROGRAM: &str = "/usr/bin/penstock";
/// Debian's certificates (package `ca-certificates`), one a file.
const CERTIFICATES: &str = "/usr/share/ca-certificates/mozilla";

/// Builds the agent and the image, and says what is in it.
///
/// # Errors
/// The agent does not build, or not into a static program; no certificates; the tar cannot be written.
pub fn run(args: &ImageArgs) -> Result<()> {
    let out = args.out.clone().unwrap_or_else(|| project().join("target/image/penstock.tar"));
    let begun = clock::monotonic();
    let program = agent::build(!args.debug)?;
    make(&program, &args.name, &out)?;
    let whole = fs::metadata(&out)?.len();
    let seconds = (clock::monotonic() - begun).as_secs();
    println!("{}: {} ({} MB), {seconds} s", out.display(), args.name, mb(whole));
    println!("to give it to a node's containerd: ctr --namespace k8s.io images import {}", out.display());
    Ok(())
}

/// Makes the image of a program.
///
/// # Errors
/// It is not static; no certificates; the tar cannot be written.
pub fn make(program: &Path, name: &str, out: &Path) -> Result<()> {
    ensure!(is_static(program)?, "{} needs a loader and libraries: no image can be made of it", program.display());
    let folder = out.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    // What a debugger wants to know is many times what the program is.
    let stripped = tempfile::NamedTempFile::new_in(folder)?.into_temp_path();
    let status = Command::new("objcopy").arg("--strip-debug").args([program, &stripped]).status();
    let status = status.context("starting objcopy: Debian's package binutils has it")?;
    ensure!(status.success(), "objcopy --strip-debug {}: {status}", program.display());
    let image = Image {
        name: name.to_owned(),
        entrypoint: vec![PROGRAM.to_owned()],
        command: Vec::new(),
        environment: vec!["PATH=/usr/bin".to_owned()],
        entries: vec![
            ("etc/penstock".to_owned(), Content::Folder(0o755)),
            ("etc/ssl/certs/ca-certificates.crt".to_owned(), Content::Bytes(certificates()?, 0o644)),
            ("tmp".to_owned(), Content::Folder(0o1777)),
            (PROGRAM.trim_start_matches('/').to_owned(), Content::File(stripped.to_path_buf(), 0o755)),
            ("var/lib/penstock".to_owned(), Content::Folder(0o700)),
            ("var/log/pods".to_owned(), Content::Folder(0o755)),
        ],
    };
    image.write(out)
}

/// Mozilla's certificates as one text, in the order of their names.
fn certificates() -> Result<Vec<u8>> {
    let wanted = || format!("reading {CERTIFICATES} (Debian package ca-certificates; cargo xtask setup)");
    let folder = fs::read_dir(CERTIFICATES).with_context(wanted)?;
    let mut files = folder.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut text = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "crt")) {
        text.extend(fs::read(file)?);
    }
    ensure!(!text.is_empty(), "no certificates in {CERTIFICATES}");
    Ok(text)
}

/// Whether a program asks for no loader (no program header `INTERP`).
fn is_static(program: &Path) -> Result<bool> {
    let bytes = fs::read(program).with_context(|| format!("reading {}", program.display()))?;
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes)?;
    let endian = file.endian();
    Ok(file.elf_program_headers().iter().all(|header| header.p_type.get(endian) != object::elf::PT_INTERP))
}

const fn mb(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
