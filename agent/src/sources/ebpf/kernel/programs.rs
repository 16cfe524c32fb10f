//! Which programs make up a hook, and how they get into the kernel.
//!
//! In: the loaded object, a hook. Out: attached programs, or why not. Never: a program of another hook.

use crate::metrics::label::Hook;
use crate::sources::ebpf::refusal::{chain, remedy};
use aya::programs::{BtfTracePoint, FEntry, FExit, ProgramError, RawTracePoint};
use aya::{Btf, Ebpf};

/// The pipe's functions: the names since 6.15, and those before.
const READ: [&str; 2] = ["anon_pipe_read", "pipe_read"];
const WRITE: [&str; 2] = ["anon_pipe_write", "pipe_write"];
/// How the lines begin with which the verifier's log ends, after the reason.
const FIGURES: [&str; 4] = ["processed ", "stack depth ", "verification time ", "max_states_per_insn "];
const SYS_EXIT: &str = "sys_exit";

/// The programs of a hook that copy: a skipped run of one of them is a loss.
pub(super) fn copying(hook: Hook) -> &'static [&'static str] {
    match hook {
        Hook::Fentry => &["pipe_read_entry", "pipe_read_exit"],
        Hook::TpBtf => &["syscall_exit_btf"],
        Hook::RawTp => &["syscall_exit_raw"],
        Hook::Kprobe | Hook::None => &[],
    }
}

/// Loads and attaches the programs of a hook.
pub(super) fn attach(ebpf: &mut Ebpf, hook: Hook, btf: &Btf) -> Result<(), String> {
    match hook {
        Hook::Fentry => {
            // Writes first: a record that comes at once has its time.
            entry(ebpf, "pipe_write_entry", WRITE, btf)?;
            exit(ebpf, "pipe_write_exit", WRITE, btf)?;
            // An end without its beginning is passed over.
            exit(ebpf, "pipe_read_exit", READ, btf)?;
            entry(ebpf, "pipe_read_entry", READ, btf)
        }
        Hook::TpBtf => {
            let program: &mut BtfTracePoint = program(ebpf, "syscall_exit_btf")?;
            program.load(SYS_EXIT, btf).map_err(|error| words("loading", &error))?;
            program.attach().map(drop).map_err(|error| words("attaching", &error))
        }
        Hook::RawTp => {
            let program: &mut RawTracePoint = program(ebpf, "syscall_exit_raw")?;
            program.load().map_err(|error| words("loading", &error))?;
            program.attach(SYS_EXIT).map(drop).map_err(|error| words("attaching", &error))
        }
        Hook::Kprobe => Err("not in this build: calls that block use up its instances, and it sees nothing then; \
            name fentry, tp_btf or raw_tp in capture_hooks"
            .to_owned()),
        Hook::None => Err("it is no hook".to_owned()),
    }
}

fn entry(ebpf: &mut Ebpf, name: &str, functions: [&str; 2], btf: &Btf) -> Result<(), String> {
    let program: &mut FEntry = program(ebpf, name)?;
    newest(functions, |function| program.load(function, btf))?;
    program.attach().map(drop).map_err(|error| words("attaching", &error))
}

fn exit(ebpf: &mut Ebpf, name: &str, functions: [&str; 2], btf: &Btf) -> Result<(), String> {
    let program: &mut FExit = program(ebpf, name)?;
    newest(functions, |function| program.load(function, btf))?;
    program.attach().map(drop).map_err(|error| words("attaching", &error))
}

/// Loads with the newer name where the kernel has it, else with the older.
fn newest([new, old]: [&str; 2], mut load: impl FnMut(&str) -> Result<(), ProgramError>) -> Result<(), String> {
    let result = match load(new) {
        Err(ProgramError::Btf(_)) => load(old),
        other => other,
    };
    result.map_err(|error| words("loading", &error))
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P, String>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program>,
{
    let program = ebpf.program_mut(name).and_then(|program| program.try_into().ok());
    program.ok_or_else(|| format!("the embedded object has no program {name}: build it anew with `cargo xtask ebpf`"))
}

/// The kernel's error number first, then the verifier's last words, where there are any.
fn words(doing: &str, error: &ProgramError) -> String {
    let said = match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            let log = verifier_log.to_string();
            let is_about = |line: &&str| !line.is_empty() && !FIGURES.iter().any(|start| line.starts_with(start));
            format!("{io_error} {}", log.lines().rev().find(is_about).unwrap_or_default()).trim_end().to_owned()
        }
        other => chain(other),
    };
    format!("{doing}: {said}{}", remedy())
}
