//! The kernel programs. Which of them are attached is the agent's choice; every one leaves at once where the pipe or the
//! process is not followed.
//!
//! In: what the kernel passes to the hook. Out: records in the ring, states and counts in the maps. Never: a change to
//! what the process sees, a wait, or a byte at a place where it did not leave the pipe.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod copy;
mod cursor;
mod hooks;
mod kernel;
mod maps;
mod ring;

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
