//! Where the files of versions are, so that nobody takes them away.

use db::Tx;

use crate::Result;

/// The URIs of the files of every version of every workspace, each once.
pub fn locations(tx: &mut Tx<'_>) -> Result<Vec<String>> {
    let rows = tx.query(
        "SELECT storage_location AS uri FROM model_versions WHERE NOT deleted
         UNION SELECT source AS uri FROM model_versions WHERE NOT deleted",
        &[],
    )?;
    Ok(rows.iter().map(|row| row.text("uri")).collect::<std::result::Result<_, _>>()?)
}
