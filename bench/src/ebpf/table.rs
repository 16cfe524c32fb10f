//! What is in the object: programs with instructions and stack, maps with sizes.
//!
//! In: the bytes of the object. Out: a table on stdout. Never: a judgement; the kernel's verifier has the last word.

use anyhow::{Context, Result};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// Bytes of an instruction, and of a legacy map definition.
const INSTRUCTION_BYTES: usize = 8;
const MAP_BYTES: usize = 28;
/// `r10`, the frame pointer.
const FRAME: u8 = 10;

/// Prints it.
pub(super) fn print(object: &[u8]) -> Result<()> {
    let file = ElfFile64::<object::Endianness>::parse(object).context("reading the object")?;
    println!("{:<22} {:>12} {:>11}", "program", "instructions", "stack bytes");
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let section = symbol.section_index().context("a program without section")?;
        let section = file.section_by_index(section)?;
        let code = section.data_range(symbol.address(), symbol.size())?.unwrap_or_default();
        if section.name()? != ".text" {
            println!("{:<22} {:>12} {:>11}", symbol.name()?, instructions(code).count(), stack_bytes(code));
        }
    }
    println!("{:<22} {:>12} {:>11} {:>9}", "map", "key bytes", "value bytes", "entries");
    let maps = file.section_by_name("maps").context("no maps")?;
    for symbol in file.symbols().filter(|symbol| symbol.section_index() == Some(maps.index()) && symbol.size() > 0) {
        let bytes = maps.data_range(symbol.address(), MAP_BYTES as u64)?.unwrap_or_default();
        let word =
            |index: usize| bytes.get(index * 4..).and_then(|rest| rest.first_chunk()).map(|b| u32::from_le_bytes(*b));
        let [key, value, entries] = [word(1), word(2), word(3)].map(Option::unwrap_or_default);
        println!("{:<22} {key:>12} {value:>11} {entries:>9}", symbol.name()?);
    }
    println!("{} bytes", object.len());
    Ok(())
}

/// Instructions; a load of 64 bits takes two places and counts as one.
fn instructions(code: &[u8]) -> impl Iterator<Item = [u8; INSTRUCTION_BYTES]> {
    let mut is_second_half = false;
    code.chunks_exact(INSTRUCTION_BYTES).filter_map(move |bytes| {
        let instruction: [u8; INSTRUCTION_BYTES] = bytes.try_into().ok()?;
        let is_whole = !is_second_half;
        is_second_half = is_whole && instruction.first() == Some(&0x18);
        is_whole.then_some(instruction)
    })
}

/// The furthest that is reached below the frame pointer: by loads and stores, and by pointers made from it.
fn stack_bytes(code: &[u8]) -> i32 {
    let mut copies_of_frame = [false; 16];
    let mut deepest = 0;
    for [operation, registers, low, high, a, b, c, d] in instructions(code) {
        let (to, from) = (registers & 15, registers >> 4);
        let offset = i32::from(i16::from_le_bytes([low, high]));
        match operation {
            // Loads; stores.
            _ if operation & 7 == 1 && from == FRAME => deepest = deepest.min(offset),
            _ if matches!(operation & 7, 2 | 3) && to == FRAME => deepest = deepest.min(offset),
            // `to = from`; `to += constant`.
            0xbf => copies_of_frame[usize::from(to)] = from == FRAME,
            0x07 if copies_of_frame[usize::from(to)] => deepest = deepest.min(i32::from_le_bytes([a, b, c, d])),
            _ => {}
        }
    }
    -deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `r1 = 0 ll; *(u64 *)(r10 - 8) = r1; r2 = r10; r2 += -24; exit`
    #[test]
    fn instructions_and_stack_are_counted() {
        let code = [
            [0x18, 1, 0, 0, 0, 0, 0, 0],
            [0; 8],
            [0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0],
            [0xbf, 0xa2, 0, 0, 0, 0, 0, 0],
            [0x07, 2, 0, 0, 0xe8, 0xff, 0xff, 0xff],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(instructions(code.as_flattened()).count(), 5);
        assert_eq!(stack_bytes(code.as_flattened()), 24);
    }
}
