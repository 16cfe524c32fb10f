//! Reads BTF, the kernel's description of its own types: where a member is in its structure, what a name in an
//! enumeration stands for.
//!
//! In: the bytes of `/sys/kernel/btf/vmlinux`. Out: offsets in bytes, sizes, values. Never: a panic, whatever the bytes;
//! members of anonymous structures and unions are found as members of the one around them.
//! Form: the kernel's `Documentation/bpf/btf.rst`.

const MAGIC: u16 = 0xeb9f;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
/// Bytes of a type before what its kind adds.
const TYPE_BYTES: usize = 12;
/// Anonymous structures in each other that are looked into.
const DEPTH_MAX: usize = 8;

/// The types of one kernel.
pub struct Types<'a> {
    strings: &'a [u8],
    types: &'a [u8],
    /// Where each type begins in `types`; type 0 is `void` and not there.
    starts: Vec<usize>,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    /// Members, values or parameters.
    count: usize,
    /// Member offsets carry a bit-field size in their upper byte.
    has_bit_fields: bool,
    size: u32,
    /// Where what the kind adds begins.
    extra: usize,
}

impl<'a> Types<'a> {
    /// `None` where the bytes are no BTF of this machine's byte order.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if u16::from_ne_bytes(*bytes.first_chunk()?) != MAGIC {
            return None;
        }
        let [head, types_at, types_bytes] = [word(bytes, 4)?, word(bytes, 8)?, word(bytes, 12)?];
        let [strings_at, strings_bytes] = [word(bytes, 16)?, word(bytes, 20)?];
        let section = |at: u32, length: u32| {
            let start = usize::try_from(head.checked_add(at)?).ok()?;
            bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
        };
        let types = section(types_at, types_bytes)?;
        let mut this = Self { strings: section(strings_at, strings_bytes)?, types, starts: Vec::new() };
        let mut at = 0;
        while at < types.len() {
            this.starts.push(at);
            let one = this.at(at)?;
            at = one.extra + extra_bytes(one)?;
        }
        Some(this)
    }

    /// Where a member is in a structure, bytes. `None` where there is no such structure or member, or it is a bit field.
    #[must_use]
    pub fn offset(&self, structure: &str, member: &str) -> Option<u32> {
        let bits = self.bits(self.structure(structure)?, member, 0)?;
        (bits % 8 == 0).then_some(bits / 8)
    }

    /// The size of a structure, bytes.
    #[must_use]
    pub fn size(&self, structure: &str) -> Option<u32> {
        Some(self.structure(structure)?.size)
    }

    /// What a name in any enumeration stands for.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<u32> {
        let enumerations = self.starts.iter().filter_map(|start| self.at(*start)).filter(|one| one.kind == KIND_ENUM);
        for one in enumerations {
            for index in 0..one.count {
                let at = one.extra + index * 8;
                if self.is_named(word(self.types, at)?, name) {
                    return word(self.types, at + 4);
                }
            }
        }
        None
    }

    fn structure(&self, name: &str) -> Option<Type> {
        let structures = self.starts.iter().filter_map(|start| self.at(*start));
        structures.filter(|one| one.kind == KIND_STRUCT).find(|one| self.is_named(one.name, name))
    }

    fn bits(&self, one: Type, member: &str, depth: usize) -> Option<u32> {
        for index in 0..one.count {
            let at = one.extra + index * 12;
            let [name, id, offset] = [word(self.types, at)?, word(self.types, at + 4)?, word(self.types, at + 8)?];
            let offset = if one.has_bit_fields { offset & 0x00ff_ffff } else { offset };
            if self.is_named(name, member) {
                return Some(offset);
            }
            if name == 0 && depth < DEPTH_MAX {
                let inner = self.by_id(id).filter(|inner| matches!(inner.kind, KIND_STRUCT | KIND_UNION));
                if let Some(bits) = inner.and_then(|inner| self.bits(inner, member, depth + 1)) {
                    return offset.checked_add(bits);
                }
            }
        }
        None
    }

    fn by_id(&self, id: u32) -> Option<Type> {
        self.at(*self.starts.get(usize::try_from(id.checked_sub(1)?).ok()?)?)
    }

    fn at(&self, start: usize) -> Option<Type> {
        let info = word(self.types, start + 4)?;
        Some(Type {
            name: word(self.types, start)?,
            kind: info >> 24 & 0x1f,
            count: usize::try_from(info & 0xffff).ok()?,
            has_bit_fields: info >> 31 == 1,
            size: word(self.types, start + 8)?,
            extra: start + TYPE_BYTES,
        })
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let Some(rest) = usize::try_from(at).ok().and_then(|at| self.strings.get(at..)) else { return false };
        rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// What follows a type, by its kind.
fn extra_bytes(one: Type) -> Option<usize> {
    Some(match one.kind {
        // Integers, variables and declaration tags.
        1 | 14 | 17 => 4,
        // Pointers, forwards, typedefs, qualifiers, functions, floating numbers, type tags.
        2 | 7..=12 | 16 | 18 => 0,
        KIND_ARRAY => 12,
        KIND_STRUCT | KIND_UNION => one.count * 12,
        KIND_ENUM => one.count * 8,
        // Function prototypes.
        13 => one.count * 8,
        // Sections; enumerations of 64 bits.
        15 | 19 => one.count * 12,
        _ => return None,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct outer { int:..; union { struct { u32 tail } } at 8 }`, `enum { ITER_X = 7 }`.
    fn sample() -> Vec<u8> {
        let strings = b"\0outer\0tail\0ITER_X\0";
        let at = |name: &str| {
            u32::try_from(strings.windows(name.len()).position(|w| w == name.as_bytes()).unwrap()).unwrap()
        };
        let types: Vec<u32> = [
            vec![0, 1 << 24, 4, 32],                                            // 1: int
            vec![0, (KIND_STRUCT << 24) | 1, 4, at("tail"), 1, 32],             // 2: inner, tail at bit 32
            vec![0, (KIND_UNION << 24) | 1, 4, 0, 2, 0],                        // 3: union of it
            vec![at("outer"), (KIND_STRUCT << 24) | 1 | 1 << 31, 24, 0, 3, 64], // 4: outer
            vec![0, (KIND_ENUM << 24) | 1, 4, at("ITER_X"), 7],                 // 5: enumeration
        ]
        .concat();
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let lengths = [24, 0, types.len(), types.len(), strings.len()];
        let head = lengths.iter().flat_map(|length| u32::try_from(*length).unwrap().to_ne_bytes());
        [MAGIC.to_ne_bytes().to_vec(), vec![1, 0], head.collect(), types, strings.to_vec()].concat()
    }

    #[test]
    fn a_member_of_an_anonymous_structure_is_one_of_the_structure_around_it() {
        let bytes = sample();
        let types = Types::parse(&bytes).unwrap();
        assert_eq!(types.offset("outer", "tail"), Some(12));
        assert_eq!(types.offset("outer", "head"), None);
        assert_eq!(types.offset("out", "tail"), None, "a name is a whole one");
        assert_eq!((types.size("outer"), types.value("ITER_X")), (Some(24), Some(7)));
    }

    #[test]
    fn cut_or_damaged_anywhere_it_does_not_panic() {
        let bytes = sample();
        for cut in 0..bytes.len() {
            let _any = Types::parse(&bytes[..cut]).map(|types| types.offset("outer", "tail"));
            for value in [0, 0x7f, 0xff] {
                let mut bytes = bytes.clone();
                bytes[cut] = value;
                let _any = Types::parse(&bytes).map(|types| (types.offset("outer", "tail"), types.value("ITER_X")));
            }
        }
    }
}
