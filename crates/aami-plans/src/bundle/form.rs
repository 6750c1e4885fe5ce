//! What lies around the archive: zstd or gzip, and the seal behind it.
//!
//! A compressed stream has bits that mean nothing: padding, a larger window than is needed, a time in a header. They
//! can flip and nobody notices. So a bundle ends with a *seal*, the SHA-256 of every byte before it, in a form that
//! any zstd or gzip passes over: a skippable frame (RFC 8878, 3.1.2), or a member that unpacks to nothing
//! (RFC 1952, 2.2). The signature does not need it. Whoever changes a bundle can write another seal, and then has
//! changed nothing that is ever looked at.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write};
use std::path::Path;

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use zstd::stream::{read::Decoder, write::Encoder};

use crate::components::Sha256Sum;

/// How hard zstd works. Most of a bundle was compressed by its publishers already.
const LEVEL: i32 = 6;
/// The largest window that is taken, as a power of two: what unpacking may cost in memory. The level asks for less.
const WINDOW: u32 = 23;
/// How long a SHA-256 is.
const SUM: usize = 32;

/// How the archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// zstd: smaller, and fast to unpack.
    Zstd,
    /// gzip: every machine unpacks it.
    Gzip,
}

impl Form {
    /// The form that a file's name asks for.
    pub fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let is = |ends: &[&str]| {
            ends.iter()
                .any(|end| name.len() > end.len() && name.ends_with(end))
        };
        if is(&[".tar.zst", ".tzst"]) {
            Some(Self::Zstd)
        } else if is(&[".tar.gz", ".tgz"]) {
            Some(Self::Gzip)
        } else {
            None
        }
    }

    /// The form that a file's first bytes tell.
    fn of_start(start: &[u8]) -> Option<Self> {
        if start.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Some(Self::Zstd)
        } else if start.starts_with(&[0x1f, 0x8b, 8]) {
            Some(Self::Gzip)
        } else {
            None
        }
    }

    /// What stands around the sum in the seal.
    fn seal(self) -> (Vec<u8>, Vec<u8>) {
        match self {
            // Magic number of a skippable frame, and its length.
            Self::Zstd => (
                [0x184d_2a50_u32.to_le_bytes(), 32_u32.to_le_bytes()].concat(),
                Vec::new(),
            ),
            // A header with an extra field; an empty final block; checksum and length of nothing.
            Self::Gzip => (
                [
                    &[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255][..],
                    &36_u16.to_le_bytes(),
                    b"AM",
                    &32_u16.to_le_bytes(),
                ]
                .concat(),
                [&[3, 0][..], &[0; 8]].concat(),
            ),
        }
    }

    /// How long the seal is.
    fn seal_length(self) -> u64 {
        let (before, after) = self.seal();
        (before.len() + SUM + after.len()) as u64
    }
}

/// What was found where the archive should end.
#[derive(Debug)]
pub(super) enum End {
    /// Bytes that belong to nothing.
    Trailing(u64),
    /// The bytes of the file are not those that were sealed.
    Unsealed {
        /// As sealed; none where there is no seal.
        expected: Option<Sha256Sum>,
        /// As read.
        actual: Sha256Sum,
    },
    /// The file cannot be read.
    Unreadable(io::Error),
}

/// The file without its seal, and the sum of what was read of it.
struct Summed {
    file: io::Take<File>,
    sum: Sha256,
}

impl Read for Summed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.sum.update(&buffer[..n]);
        Ok(n)
    }
}

enum Stream {
    Zstd(Decoder<'static, BufReader<Summed>>),
    Gzip(GzDecoder<BufReader<Summed>>),
}

/// The archive, unpacked as it is read.
pub(super) struct Unpacked {
    form: Form,
    stream: Stream,
    /// How long the file is.
    pub(super) length: u64,
}

impl Unpacked {
    /// Begins to unpack a file; none where it is neither zstd nor gzip.
    pub(super) fn open(mut file: File) -> io::Result<Option<Self>> {
        let mut start = Vec::new();
        (&mut file).take(4).read_to_end(&mut start)?;
        let Some(form) = Form::of_start(&start) else {
            return Ok(None);
        };
        file.seek(SeekFrom::Start(0))?;
        let length = file.metadata()?.len();
        let summed = BufReader::with_capacity(
            128 * 1024,
            Summed {
                file: file.take(length.saturating_sub(form.seal_length())),
                sum: Sha256::new(),
            },
        );
        let stream = match form {
            Form::Zstd => {
                let mut decoder = Decoder::with_buffer(summed)?.single_frame();
                decoder.window_log_max(WINDOW)?;
                Stream::Zstd(decoder)
            }
            Form::Gzip => Stream::Gzip(GzDecoder::new(summed)),
        };
        Ok(Some(Self { form, stream, length }))
    }

    /// After the archive's last byte: there must be nothing but the seal, and it must hold.
    pub(super) fn end(self) -> Result<(), End> {
        let mut rest = match self.stream {
            Stream::Zstd(decoder) => decoder.finish(),
            Stream::Gzip(decoder) => decoder.into_inner(),
        };
        let trailing = io::copy(&mut rest, &mut io::sink()).map_err(End::Unreadable)?;
        if trailing > 0 {
            return Err(End::Trailing(trailing));
        }
        let Summed { file, sum } = rest.into_inner();
        let actual = Sha256Sum(sum.finalize().into());
        let mut seal = Vec::new();
        let mut file = file.into_inner();
        (&mut file)
            .take(self.form.seal_length() + 1)
            .read_to_end(&mut seal)
            .map_err(End::Unreadable)?;
        let (before, after) = self.form.seal();
        let expected = seal
            .strip_prefix(before.as_slice())
            .and_then(|rest| rest.strip_suffix(after.as_slice()))
            .and_then(|sum| sum.try_into().ok())
            .map(Sha256Sum);
        if expected == Some(actual) {
            Ok(())
        } else {
            Err(End::Unsealed { expected, actual })
        }
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Zstd(decoder) => decoder.read(buffer),
            Stream::Gzip(decoder) => decoder.read(buffer),
        }
    }
}

/// What is written, and the sum of it.
struct Summing<W> {
    into: W,
    sum: Sha256,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.into.write(bytes)?;
        self.sum.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

enum Packing<W: Write> {
    Zstd(Encoder<'static, Summing<W>>),
    Gzip(GzEncoder<Summing<W>>),
}

/// The archive, compressed as it is written. The same bytes give the same bytes: one thread, no time, no name.
pub(super) struct Packer<W: Write> {
    form: Form,
    packing: Packing<W>,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(form: Form, into: W) -> io::Result<Self> {
        let summing = Summing {
            into,
            sum: Sha256::new(),
        };
        let packing = match form {
            Form::Zstd => {
                let mut encoder = Encoder::new(summing, LEVEL)?;
                encoder.include_checksum(true)?;
                Packing::Zstd(encoder)
            }
            Form::Gzip => Packing::Gzip(GzEncoder::new(summing, flate2::Compression::default())),
        };
        Ok(Self { form, packing })
    }

    /// Ends the archive and seals it.
    pub(super) fn finish(self) -> io::Result<W> {
        let Summing { mut into, sum } = match self.packing {
            Packing::Zstd(encoder) => encoder.finish()?,
            Packing::Gzip(encoder) => encoder.finish()?,
        };
        let (before, after) = self.form.seal();
        into.write_all(&before)?;
        into.write_all(&sum.finalize())?;
        into.write_all(&after)?;
        Ok(into)
    }
}

impl<W: Write> Write for Packer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.packing {
            Packing::Zstd(encoder) => encoder.write(bytes),
            Packing::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.packing {
            Packing::Zstd(encoder) => encoder.flush(),
            Packing::Gzip(encoder) => encoder.flush(),
        }
    }
}
