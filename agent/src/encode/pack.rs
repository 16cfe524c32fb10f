//! The snappy block of a request, made of the request's pieces without putting them together first.
//!
//! In: the pieces in order, and how long they are together. Out: the very bytes that snappy makes of the whole. Never: a piece copied
//! that fills a block of its own.
//!
//! Source: snappy's `format_description.txt`: the length of the whole, then elements. What stands in one block of 64 KiB refers to
//! nothing outside it, as snappy compresses each by itself, so that blocks may be compressed apart and put one behind the other.

use super::CompressError;
use prost::encoding::{encode_varint, encoded_len_varint};

/// What snappy compresses at once.
const BLOCK_BYTES: usize = 65_536;
/// Of the length that stands in front of a block that is compressed by itself.
const LENGTH_BYTES_MAX: usize = 5;

/// Buffers that are kept from one request to the next.
#[derive(Debug)]
pub struct Packer {
    encoder: snap::raw::Encoder,
    /// Pieces that do not fill a block.
    block: Vec<u8>,
    /// What is compressed, and behind it room, which is not cleared.
    out: Vec<u8>,
    length: usize,
}

impl Default for Packer {
    fn default() -> Self {
        Self { encoder: snap::raw::Encoder::new(), block: Vec::new(), out: Vec::new(), length: 0 }
    }
}

impl Packer {
    /// Begins a request of so many bytes.
    pub(super) fn begin(&mut self, bytes: usize) {
        self.block.clear();
        let blocks = bytes / BLOCK_BYTES + 1;
        let room = snap::raw::max_compress_len(bytes).saturating_add(blocks * snap::raw::max_compress_len(0));
        if self.out.len() < room {
            self.out.resize(room, 0);
        }
        let mut head = Vec::with_capacity(LENGTH_BYTES_MAX);
        encode_varint(bytes as u64, &mut head);
        self.length = head.len();
        if let Some(place) = self.out.get_mut(..head.len()) {
            place.copy_from_slice(&head);
        }
    }

    /// Appends a piece.
    pub(super) fn add(&mut self, mut piece: &[u8]) -> Result<(), CompressError> {
        while !piece.is_empty() {
            if self.block.is_empty()
                && let Some((whole, rest)) = piece.split_at_checked(BLOCK_BYTES)
            {
                self.compress(whole)?;
                piece = rest;
                continue;
            }
            let room = BLOCK_BYTES - self.block.len();
            let (fits, rest) = piece.split_at(room.min(piece.len()));
            self.block.extend_from_slice(fits);
            piece = rest;
            if self.block.len() == BLOCK_BYTES {
                self.compress_started()?;
            }
        }
        Ok(())
    }

    /// The block of the whole.
    pub(super) fn finish(&mut self) -> Result<&[u8], CompressError> {
        if !self.block.is_empty() {
            self.compress_started()?;
        }
        Ok(self.out.get(..self.length).unwrap_or_default())
    }

    fn compress_started(&mut self) -> Result<(), CompressError> {
        let mut block = std::mem::take(&mut self.block);
        let done = self.compress(&block);
        block.clear();
        self.block = block;
        done
    }

    /// The encoder writes the block's own length in front of it: over bytes that are put back after that.
    fn compress(&mut self, block: &[u8]) -> Result<(), CompressError> {
        let failed = |source| CompressError { bytes: block.len(), source };
        let head = encoded_len_varint(block.len() as u64);
        let start = self.length.saturating_sub(head);
        let room = self.out.get_mut(start..).unwrap_or_default();
        let before = room.first_chunk::<LENGTH_BYTES_MAX>().copied().unwrap_or_default();
        let written = self.encoder.compress(block, room).map_err(failed)?;
        room.iter_mut().zip(before).take(head).for_each(|(place, byte)| *place = byte);
        self.length = start + written;
        Ok(())
    }

    /// Bytes of its buffers.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.block.capacity() + self.out.capacity()
    }
}
