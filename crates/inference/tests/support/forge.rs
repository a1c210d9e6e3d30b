//! Writes pickles, zips and npy files by hand, for files that no honest program would write.

use std::io::Write;

/// A pickle under construction, protocol 4.
#[derive(Clone)]
pub(crate) struct Pickle(pub(crate) Vec<u8>);

impl Pickle {
    pub(crate) fn new() -> Self {
        Self(vec![0x80, 4])
    }

    pub(crate) fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.op(b"X").op(&length).op(text.as_bytes())
    }

    /// A class by its dotted name.
    pub(crate) fn class(self, module: &str, name: &str) -> Self {
        self.text(module).text(name).op(&[0x93])
    }

    /// An object of a class whose state has these attributes; each value is pushed by its closure.
    pub(crate) fn object(self, module: &str, name: &str, attributes: &[(&str, &dyn Fn(Self) -> Self)]) -> Self {
        let mut pickle = self.class(module, name).op(b")\x81}(");
        for (attribute, value) in attributes {
            pickle = value(pickle.text(attribute));
        }
        pickle.op(b"ub")
    }

    /// A Pipeline with these steps (each pushed by its closure), of a version we know.
    pub(crate) fn pipeline(self, steps: &[&dyn Fn(Self) -> Self]) -> Self {
        let list = |pickle: Self| {
            let mut pickle = pickle.op(b"](");
            for step in steps {
                pickle = step(pickle.text("step")).op(&[0x86]);
            }
            pickle.op(b"e")
        };
        let version = |pickle: Self| pickle.text("1.9.1");
        self.object("sklearn.pipeline", "Pipeline", &[("steps", &list), ("_sklearn_version", &version)])
    }

    pub(crate) fn stop(self) -> Vec<u8> {
        self.op(b".").0
    }
}

/// A zip entry as the directory will tell it.
pub(crate) struct Entry<'e> {
    pub(crate) name: &'e str,
    pub(crate) contents: Vec<u8>,
    pub(crate) deflate: bool,
    /// The size that the directory announces, if it lies.
    pub(crate) announced: Option<u32>,
}

impl<'e> Entry<'e> {
    pub(crate) fn new(name: &'e str, contents: impl Into<Vec<u8>>) -> Self {
        Self { name, contents: contents.into(), deflate: false, announced: None }
    }
}

/// A zip archive of these entries, in this order, whatever their names.
pub(crate) fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for entry in entries {
        let mut crc = flate2::Crc::new();
        crc.update(&entry.contents);
        let packed = if entry.deflate {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            let _ = encoder.write_all(&entry.contents);
            encoder.finish().unwrap_or_default()
        } else {
            entry.contents.clone()
        };
        let offset = archive.len() as u32;
        let mut fields = Vec::new();
        fields.extend([20, 0, 0, 0]);
        fields.extend(if entry.deflate { [8, 0] } else { [0, 0] });
        fields.extend([0; 4]);
        fields.extend(crc.sum().to_le_bytes());
        fields.extend((packed.len() as u32).to_le_bytes());
        fields.extend(entry.announced.unwrap_or(entry.contents.len() as u32).to_le_bytes());
        fields.extend((entry.name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&fields);
        archive.extend(entry.name.as_bytes());
        archive.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(entry.name.as_bytes());
    }
    let start = archive.len() as u32;
    let length = directory.len() as u32;
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend((entries.len() as u16).to_le_bytes());
    archive.extend((entries.len() as u16).to_le_bytes());
    archive.extend(length.to_le_bytes());
    archive.extend(start.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

/// The entries of an archive of stored entries that mlflow wrote.
pub(crate) fn unzip(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut at = 0;
    while archive[at..].starts_with(b"PK\x03\x04") {
        let u16_at = |at: usize| usize::from(u16::from_le_bytes([archive[at], archive[at + 1]]));
        let size = u16_at(at + 18) | u16_at(at + 20) << 16;
        let (name, extra) = (u16_at(at + 26), u16_at(at + 28));
        let start = at + 30 + name + extra;
        let text = String::from_utf8_lossy(&archive[at + 30..at + 30 + name]).into_owned();
        entries.push((text, archive[start..start + size].to_vec()));
        at = start + size;
    }
    entries
}
