//! Whether each kind of hook can be loaded and attached: the kernel is asked with a program that returns at once.
//!
//! In: the kernel's answers. Out: one finding per hook. Never: a program left behind (all are detached before the
//! finding is made), or bytes of any process read.

use super::finding::{Finding, chain};
use aya::programs::{BtfTracePoint, FEntry, FExit, KProbe, ProgramError, RawTracePoint};
use aya::{Btf, Ebpf, EbpfError};
use object::write::{Object, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

/// The pipe's read function: the name since about 6.15, and the one before.
const PIPE_READ: [&str; 2] = ["anon_pipe_read", "pipe_read"];
const SYS_EXIT: &str = "sys_exit";
/// `r0 = 0; exit`
const RETURN: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// Why a probe did not come through.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("the probe program could not be built: {0}")]
    Build(#[from] object::write::Error),
    #[error("the probe program was not read back as it was written")]
    Shape,
    #[error(transparent)]
    Object(#[from] EbpfError),
    #[error("loading: {}", load_reason(.0))]
    Load(ProgramError),
    #[error("attaching: {}", chain(.0))]
    Attach(ProgramError),
}

pub(super) fn examine() -> Vec<Finding> {
    let btf = Btf::from_sys_fs();
    let with_btf = |probe: &dyn Fn(&Btf) -> Result<String, ProbeError>| match &btf {
        Ok(btf) => probe(btf).map_err(|error| error.to_string()),
        Err(error) => Err(format!("no BTF: {}", chain(error))),
    };
    let rights = "needs CAP_BPF and CAP_PERFMON, and no lockdown `confidentiality`";
    vec![
        finding(
            "hook fentry",
            with_btf(&|btf| fentry(btf)),
            &format!("{rights}; x86-64 5.8 or arm64 6.4; else the next hook is taken"),
        ),
        finding("hook tp_btf", with_btf(&|btf| tp_btf(btf)), &format!("{rights}; else the next hook is taken")),
        finding(
            "hook raw_tp",
            raw_tp().map_err(|error| error.to_string()),
            &format!("{rights}; else the log file alone"),
        ),
        finding(
            "hook kprobe",
            kprobe().map_err(|error| error.to_string()),
            "not in the default capture_hooks; needs CONFIG_KPROBES, and CAP_SYS_ADMIN where perf_event_paranoid is 3",
        ),
    ]
}

/// A hook that is refused costs speed, never lines; so it is a warning at most.
fn finding(what: &'static str, answer: Result<String, String>, remedy: &str) -> Finding {
    match answer {
        Ok(detail) => Finding::ok(what, detail),
        Err(why) => Finding::warn(what, format!("refused: {why}"), remedy),
    }
}

fn fentry(btf: &Btf) -> Result<String, ProbeError> {
    let mut answer = Err(ProbeError::Shape);
    for function in PIPE_READ {
        answer = fentry_of(function, btf);
        if answer.is_ok() || !matches!(answer, Err(ProbeError::Load(ProgramError::Btf(_)))) {
            break;
        }
    }
    answer
}

fn fentry_of(function: &str, btf: &Btf) -> Result<String, ProbeError> {
    let mut entry = probe("fentry/probe")?;
    let program: &mut FEntry = program(&mut entry)?;
    program.load(function, btf).map_err(ProbeError::Load)?;
    program.attach().map_err(ProbeError::Attach)?;
    let mut exit = probe("fexit/probe")?;
    let program: &mut FExit = self::program(&mut exit)?;
    program.load(function, btf).map_err(ProbeError::Load)?;
    program.attach().map_err(ProbeError::Attach)?;
    Ok(format!("fentry and fexit of {function} loaded and attached"))
}

fn tp_btf(btf: &Btf) -> Result<String, ProbeError> {
    let mut object = probe("tp_btf/probe")?;
    let program: &mut BtfTracePoint = program(&mut object)?;
    program.load(SYS_EXIT, btf).map_err(ProbeError::Load)?;
    program.attach().map_err(ProbeError::Attach)?;
    Ok("sys_exit loaded and attached; it slows every system call of the node by about 100 ns".to_owned())
}

fn raw_tp() -> Result<String, ProbeError> {
    let mut object = probe("raw_tp/probe")?;
    let program: &mut RawTracePoint = program(&mut object)?;
    program.load().map_err(ProbeError::Load)?;
    program.attach(SYS_EXIT).map_err(ProbeError::Attach)?;
    Ok("sys_exit loaded and attached; it slows every system call of the node by about 100 ns".to_owned())
}

fn kprobe() -> Result<String, ProbeError> {
    let mut answer = Err(ProbeError::Shape);
    for function in PIPE_READ {
        let mut object = probe("kprobe/probe")?;
        let program: &mut KProbe = program(&mut object)?;
        program.load().map_err(ProbeError::Load)?;
        answer = program.attach(function, 0).map_err(ProbeError::Attach);
        if answer.is_ok() {
            return Ok(format!("{function} loaded and attached"));
        }
    }
    answer.map(|_| String::new())
}

fn program<'a, P>(object: &'a mut Ebpf) -> Result<&'a mut P, ProbeError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program>,
{
    object.program_mut("probe").and_then(|program| program.try_into().ok()).ok_or(ProbeError::Shape)
}

/// An object file with one program, `probe`, in a section whose name says of which kind it is.
fn probe(section: &str) -> Result<Ebpf, ProbeError> {
    Ok(Ebpf::load(&object_file(section)?)?)
}

fn object_file(section: &str) -> Result<Vec<u8>, object::write::Error> {
    let endian = if cfg!(target_endian = "big") { Endianness::Big } else { Endianness::Little };
    let mut file = Object::new(BinaryFormat::Elf, Architecture::Bpf, endian);
    let license = file.add_section(Vec::new(), b"license".to_vec(), SectionKind::Data);
    file.append_section_data(license, b"Dual MIT/GPL\0", 1);
    let code = file.add_section(Vec::new(), section.as_bytes().to_vec(), SectionKind::Text);
    file.append_section_data(code, RETURN.as_flattened(), 8);
    file.add_symbol(Symbol {
        name: b"probe".to_vec(),
        value: 0,
        size: 16,
        kind: SymbolKind::Text,
        scope: SymbolScope::Dynamic,
        weak: false,
        section: SymbolSection::Section(code),
        flags: SymbolFlags::None,
    });
    file.write()
}

/// The kernel's error number first, then the verifier's words, where there are any.
fn load_reason(error: &ProgramError) -> String {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            format!("{io_error} {verifier_log}").trim_end().to_owned()
        }
        other => chain(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aya reads the object file back as a program of the kind that its section names; needs no rights.
    #[test]
    fn probe_programs_are_of_the_kind_they_ask_about() {
        assert!(program::<FEntry>(&mut probe("fentry/probe").unwrap()).is_ok());
        assert!(program::<FExit>(&mut probe("fexit/probe").unwrap()).is_ok());
        assert!(program::<BtfTracePoint>(&mut probe("tp_btf/probe").unwrap()).is_ok());
        assert!(program::<RawTracePoint>(&mut probe("raw_tp/probe").unwrap()).is_ok());
        assert!(program::<KProbe>(&mut probe("kprobe/probe").unwrap()).is_ok());
        assert!(program::<KProbe>(&mut probe("fentry/probe").unwrap()).is_err());
    }
}
