//! The files of a model as the caller holds them: a directory that mlflow wrote, or a single model file.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Files by path, relative to the directory of the model (`MLmodel`, `model.skops`, ...).
#[derive(Clone, Debug, Default)]
pub struct Package {
    files: BTreeMap<String, Bytes>,
}

impl Package {
    /// A package of these files.
    pub fn new<N: Into<String>, B: Into<Bytes>>(files: impl IntoIterator<Item = (N, B)>) -> Self {
        Self { files: files.into_iter().map(|(name, bytes)| (name.into(), bytes.into())).collect() }
    }

    /// The bytes of a file.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.files.get(name)
    }

    /// All files, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes))
    }

    /// The digest that identifies these files: BLAKE3 over the names and contents, in the order of the names.
    pub fn digest(&self) -> String {
        let mut builder = kernel::digest::Builder::default();
        for (name, bytes) in &self.files {
            builder.piece(name.as_bytes()).piece(bytes);
        }
        builder.finish()
    }
}
