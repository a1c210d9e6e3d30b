//! The PostgreSQL server of a test run.

/// A database on the server of this test run; dropped with this handle.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
}

impl Database {
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }
}

/// Makes an empty database, starting the server if need be.
pub(crate) fn fresh_database() -> anyhow::Result<Database> {
    anyhow::bail!("the PostgreSQL half of testkit is not built yet")
}
