//! A rotated file that the kubelet packed, read as if it were plain. For catching up after a stop.
//!
//! Reading on is cheap, going back begins anew at the first byte. Never: more memory than the unpacker's window.

use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// An open gzip file, with the place in the unpacked bytes up to which it was read.
#[derive(Debug)]
pub struct GzipFile {
    file: File,
    decoder: Option<MultiGzDecoder<File>>,
    unpacked: u64,
}

impl GzipFile {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file, decoder: None, unpacked: 0 }
    }

    /// The packed file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Unpacked bytes at `offset`, 0 at the end.
    ///
    /// # Errors
    /// Those of `read`, or a damaged file.
    pub fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset < self.unpacked {
            self.decoder = None;
        }
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => {
                let mut file = self.file.try_clone()?;
                file.seek(SeekFrom::Start(0))?;
                self.unpacked = 0;
                self.decoder.insert(MultiGzDecoder::new(file))
            }
        };
        let skip = offset.saturating_sub(self.unpacked);
        let skipped = io::copy(&mut decoder.take(skip), &mut io::sink())?;
        self.unpacked += skipped;
        if skipped < skip {
            return Ok(0);
        }
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match decoder.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                // What came before the damage is good; the next read tells of it.
                Err(_) if filled > 0 => break,
                Err(error) => return Err(error),
            }
        }
        self.unpacked += filled as u64;
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn any_part_of_a_packed_file_can_be_read_in_any_order() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut packer = flate2::write::GzEncoder::new(tempfile::tempfile().unwrap(), flate2::Compression::fast());
        packer.write_all(&text).unwrap();
        let mut packed = GzipFile::new(packer.finish().unwrap());
        for offset in [0_usize, 300_000, 17, 399_990, 400_000, 500_000, 4] {
            let mut buffer = [0; 1000];
            let count = packed.read_at(&mut buffer, offset as u64).unwrap();
            let wanted = text.get(offset..).unwrap_or_default();
            assert_eq!(buffer[..count], wanted[..wanted.len().min(1000)], "at {offset}");
        }
    }

    #[test]
    fn what_stands_before_the_damage_is_read() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&text).unwrap();
        let packed = packer.finish().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&packed[..packed.len() / 2]).unwrap();
        let (mut torn, mut read, mut buffer) = (GzipFile::new(file), 0, [0; 1000]);
        while let Ok(count) = torn.read_at(&mut buffer, read as u64) {
            assert!(count > 0, "a torn file does not end, it fails");
            assert_eq!(buffer[..count], text[read..read + count]);
            read += count;
        }
        assert!(read > text.len() / 4, "{read}");
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_panic() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"not gzip at all").unwrap();
        assert!(GzipFile::new(file).read_at(&mut [0; 10], 0).is_err());
    }
}
