//! Where things are in the running kernel's structures: read from its BTF by the agent, given to the programs at load
//! time as a read-only global.

/// Bytes from `pipe_buffer.offset` to `pipe_buffer.flags`, on every kernel known; the agent checks it.
pub const SLOT_FLAGS_AFTER_OFFSET: u32 = 16;

/// Bytes from `pipe_buffer.offset` to `pipe_buffer.len`, likewise. One load gets both.
pub const SLOT_LENGTH_AFTER_OFFSET: u32 = 4;

/// Bytes from `pipe_inode_info.head` to `tail` and to `ring_size`, likewise.
pub const RING_TAIL_AFTER_HEAD: u32 = 4;

/// See [`RING_TAIL_AFTER_HEAD`].
pub const RING_SLOTS_AFTER_HEAD: u32 = 12;

/// Words of 64 bits from `pipe_inode_info.head` on in which `bufs` is found, likewise.
pub const RING_WORDS: usize = 12;

/// Words of 64 bits from `inode.i_sb` on in which `i_ino` is found, likewise.
pub const INODE_WORDS: usize = 4;

macro_rules! words {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: u32,)* }) => {
        $(#[$about])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: u32,)* }

        impl $name {
            /// Size in 32-bit words.
            pub const WORDS: usize = [$(stringify!($field)),*].len();
            /// Nothing is known.
            pub const NONE: Self = Self { $($field: 0,)* };

            /// As the global holds it.
            #[must_use]
            pub const fn words(self) -> [u32; Self::WORDS] {
                [$(self.$field),*]
            }
        }

        const _: () = assert!(size_of::<$name>() == 4 * $name::WORDS);
    };
}

words! {
    /// Offsets in bytes, unless said otherwise.
    pub struct Offsets {
        /// `kiocb.ki_filp`
        pub kiocb_file: u32,
        /// `file.f_inode`
        pub file_inode: u32,
        /// `inode.i_ino`
        pub inode_number: u32,
        /// `inode.i_sb`
        pub inode_super: u32,
        /// `inode.i_pipe`
        pub inode_pipe: u32,
        /// `super_block.s_dev`
        pub super_device: u32,
        /// `pipe_inode_info.head`
        pub pipe_head: u32,
        /// `pipe_inode_info.tail`
        pub pipe_tail: u32,
        /// `pipe_inode_info.ring_size`
        pub pipe_slots: u32,
        /// `pipe_inode_info.bufs`
        pub pipe_buffers: u32,
        /// Number of the helper `bpf_get_current_task_btf` (since 5.11); 0 where there is none.
        pub task_helper: u32,
        /// Size of `pipe_buffer`.
        pub buffer_bytes: u32,
        /// `pipe_buffer.offset`
        pub buffer_offset: u32,
        /// `iov_iter.iter_type`, or `type` before 5.14
        pub iter_kind: u32,
        /// Size of that field: 1, or 4 with the direction in its lowest bit.
        pub iter_kind_bytes: u32,
        /// The pointer to the buffer or to the segments.
        pub iter_pointer: u32,
        /// `iov_iter.nr_segs`
        pub iter_segments: u32,
        /// `iov_iter.iov_offset`
        pub iter_skip: u32,
        /// `iov_iter.count`
        pub iter_count: u32,
        /// The kind that is one buffer (`ITER_UBUF`); `u32::MAX` where there is none.
        pub kind_one: u32,
        /// The kind that is an array of buffers (`ITER_IOVEC`).
        pub kind_array: u32,
        /// `task_struct.files`
        pub task_files: u32,
        /// `files_struct.fdt`
        pub files_table: u32,
        /// `fdtable.max_fds`
        pub table_length: u32,
        /// `fdtable.fd`
        pub table_files: u32,
        /// `pt_regs`: number of the system call.
        pub regs_number: u32,
        /// `pt_regs`: its first argument, as it still is at exit.
        pub regs_first: u32,
        /// `pt_regs`: its second argument.
        pub regs_second: u32,
        /// `pt_regs`: its third argument.
        pub regs_third: u32,
        /// Number of the system call `read`.
        pub call_read: u32,
        /// `readv`
        pub call_readv: u32,
        /// `preadv2`
        pub call_preadv2: u32,
        /// `splice`
        pub call_splice: u32,
        /// `vmsplice`
        pub call_vmsplice: u32,
    }
}
