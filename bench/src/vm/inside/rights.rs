//! A process that gives up rights, attaches a hook, and says what came of it.
//!
//! In: the rights to keep. Out: words on standard output, and whether it is attached as the end's status. Never: a right
//! that was not named.

use super::followed::Followed;
use super::hook_of;
use super::running::Shim;
use super::writer::{lines, write_all};
use anyhow::{Context, Result, bail};
use penstock::sources::ebpf::Kernel;
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use std::path::PathBuf;

/// What it is told.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RightsArgs {
    /// Rights to keep; without: all
    #[arg(long, value_delimiter = ',')]
    pub(super) keep: Option<Vec<String>>,
    /// The hook to attach
    #[arg(long)]
    pub(super) hook: Option<String>,
    /// After that, give up these as well, one after the other, and follow a pipe each time
    #[arg(long, value_delimiter = ',')]
    pub(super) give_up: Vec<String>,
    /// A link to read, instead of a hook
    #[arg(long)]
    pub(super) link: Option<PathBuf>,
}

const NAMES: [(&str, CapabilitySet); 5] = [
    ("bpf", CapabilitySet::BPF),
    ("perfmon", CapabilitySet::PERFMON),
    ("sys_ptrace", CapabilitySet::SYS_PTRACE),
    ("dac_read_search", CapabilitySet::DAC_READ_SEARCH),
    ("sys_resource", CapabilitySet::SYS_RESOURCE),
];

fn set_of(names: &[String]) -> Result<CapabilitySet> {
    names.iter().try_fold(CapabilitySet::empty(), |set, name| {
        let one = NAMES.iter().find(|(one, _)| one == name).with_context(|| format!("no right {name}"))?;
        Ok(set | one.1)
    })
}

fn keep_only(set: CapabilitySet) -> Result<()> {
    let sets = CapabilitySets { effective: set, permitted: set, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).context("giving up rights")
}

/// Does it.
pub(super) fn run(args: &RightsArgs) -> Result<()> {
    if let Some(keep) = args.keep.as_ref().map(|names| set_of(names)).transpose()? {
        keep_only(keep)?;
    }
    if let Some(link) = &args.link {
        println!("{}", std::fs::read_link(link).with_context(|| link.display().to_string())?.display());
    }
    let Some(hook) = &args.hook else { return Ok(()) };
    let mut kernel = match Kernel::attach(&[hook_of(hook)?], 1 << 20) {
        Ok(kernel) => kernel,
        Err(refused) => {
            println!("{refused}");
            bail!("not attached");
        }
    };
    let mut keep = set_of(args.keep.as_deref().unwrap_or_default())?;
    let works = if keep.contains(CapabilitySet::BPF) {
        format!("; {}", without_bpf(&mut kernel, keep)?)
    } else {
        String::new()
    };
    let mut words = vec![format!("attached; following a pipe: {}{works}", follow(&mut kernel))];
    for name in &args.give_up {
        keep = keep.difference(set_of(std::slice::from_ref(name))?);
        keep_only(keep)?;
        words.push(format!("without {name}: {}", follow(&mut kernel)));
    }
    println!("{}", words.join("; "));
    Ok(())
}

/// Whether it works while CAP_BPF is held back, which is taken back after that, as the agent does.
fn without_bpf(kernel: &mut Kernel, keep: CapabilitySet) -> Result<&'static str> {
    let effective = |set| {
        let sets = CapabilitySets { effective: set, permitted: keep, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).context("holding a right back")
    };
    effective(keep.difference(CapabilitySet::BPF))?;
    let works = kernel.works();
    effective(keep)?;
    Ok(if works { "it works without bpf" } else { "it does not work without bpf" })
}

/// Follows a pipe, and looks whether what is read is captured.
fn follow(kernel: &mut Kernel) -> String {
    let all = lines("rights", 0..50);
    let result = Followed::begin(kernel, &[Shim::USUAL]).and_then(|pipe| {
        write_all(pipe.writer()?, &all)?;
        pipe.finish(kernel)?.captured.same(&all)
    });
    match result {
        Ok(()) => "yes".to_owned(),
        Err(error) => format!("no ({error})"),
    }
}
