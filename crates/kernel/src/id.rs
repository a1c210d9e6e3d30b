//! Ids. A UUIDv7 (ordered by time) unless a protocol prescribes another form.

/// A UUIDv7 with hyphens.
pub fn new() -> String {
    uuid::Uuid::now_v7().hyphenated().to_string()
}

/// 32 random hexadecimal digits (a UUIDv4 without hyphens), the form of MLflow's run ids.
pub fn random_hex() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
