//! Files of runs and of logged models.

use std::collections::HashMap;

use super::Copy;
use super::server::proxied;
use super::source::{Owner, listed};

impl Copy<'_> {
    /// Copies the files of an owner that are not there with the same size.
    pub(super) async fn files(
        &mut self,
        from: Owner<'_>,
        location: &str,
        to: Owner<'_>,
        there: &str,
    ) -> anyhow::Result<()> {
        let Some(files) = self.source.files(from, location).await? else {
            if !location.is_empty() {
                self.report.warn(format!("the artifacts at {location} cannot be seen from here: they are left out"));
            }
            return Ok(());
        };
        if files.is_empty() {
            return Ok(());
        }
        if proxied(there).is_none() {
            self.report.warn(format!("the target does not take files for {there}: they are left out"));
            return Ok(());
        }
        let have: HashMap<String, Option<u64>> =
            listed(&self.target.server, to).await?.into_iter().map(|file| (file.path, file.size)).collect();
        for file in files {
            if file.size.is_some() && have.get(&file.path) == Some(&file.size) {
                continue;
            }
            let (size, bytes) = self.source.bytes(from, &file).await?;
            self.target.server.upload(there, &file.path, size, bytes).await?;
            self.report.sent_file(size.or(file.size).unwrap_or(0));
        }
        Ok(())
    }
}
