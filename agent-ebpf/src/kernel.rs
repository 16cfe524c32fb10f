//! Reading the kernel's structures, by the offsets that the agent found.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use core::mem::MaybeUninit;
use penstock_ebpf::PipeKey;

/// One of the offsets; for the verifier it is a constant.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::global(&$crate::maps::OFFSETS.$field)
    };
}
pub(crate) use offset;

/// A volatile load, as the compiler knows the zeros that stand there before the agent sets them.
#[inline(always)]
pub(crate) fn global(field: &'static u32) -> u64 {
    // SAFETY: a reference to a static, so it can be read.
    u64::from(unsafe { core::ptr::read_volatile(field) })
}

/// Loads through a pointer whose type the verifier knows: an instruction, no call.
///
/// # Safety
/// `base` must come from the arguments of a program with BTF, or by such loads from them.
#[inline(always)]
pub(crate) unsafe fn load<T: Copy>(base: u64, offset: u64) -> T {
    // SAFETY: the caller says so; the kernel answers 0 where the page is not there.
    unsafe { core::ptr::read_volatile((base + offset) as *const T) }
}

/// Copies out of the kernel's memory, through any pointer; `None` where it cannot be read. A call: about 25 ns.
#[inline(always)]
pub(crate) fn probe<T: Copy>(base: u64, offset: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    let from = base.wrapping_add(offset) as *const _;
    // SAFETY: the helper checks the source, and the destination is of the size told.
    let result = unsafe { bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, from) };
    // SAFETY: the helper has written all of it.
    (result == 0).then(|| unsafe { value.assume_init() })
}

/// One of the words that [`probe`] got at once. `bytes`: where in them, a constant for the verifier; the agent has checked it.
#[inline(always)]
pub(crate) fn word<const N: usize>(words: &[u64; N], bytes: u64) -> u64 {
    // SAFETY: in bounds, as the agent has checked; the verifier makes sure of it.
    unsafe { core::ptr::read_volatile(words.as_ptr().byte_add(bytes as usize)) }
}

/// The file of a `kiocb`, and which inode it is: the pipe's key and the inode itself.
///
/// # Safety
/// `kiocb` must be an argument of a program with BTF.
#[inline(always)]
pub(crate) unsafe fn pipe_of(kiocb: u64) -> (u64, u64, PipeKey) {
    // SAFETY: typed loads from the argument on.
    unsafe {
        let file: u64 = load(kiocb, offset!(kiocb_file));
        let inode: u64 = load(file, offset!(file_inode));
        let number: u64 = load(inode, offset!(inode_number));
        let super_block: u64 = load(inode, offset!(inode_super));
        let device: u32 = load(super_block, offset!(super_device));
        (file, inode, PipeKey { inode: number, device: device as u64 })
    }
}
