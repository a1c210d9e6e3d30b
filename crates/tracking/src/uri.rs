//! Where artifacts lie: locations of experiments and what is below them.

/// A location with more path behind it; a query stays at the end.
pub(crate) fn join(location: &str, parts: &[&str]) -> String {
    let (base, query) = location.split_once('?').map_or((location, None), |(base, query)| (base, Some(query)));
    let base = if base.ends_with(":/") || base == "/" { base } else { base.trim_end_matches('/') };
    let slash = if base.ends_with('/') { "" } else { "/" };
    let joined = format!("{base}{slash}{}", parts.join("/"));
    query.map_or_else(|| joined.clone(), |query| format!("{joined}?{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_put_before_the_query() {
        let check = |location: &str, expect: &str| assert_eq!(join(location, &["r", "artifacts"]), expect);
        check("mlflow-artifacts:/0", "mlflow-artifacts:/0/r/artifacts");
        check("mlflow-artifacts:/", "mlflow-artifacts:/r/artifacts");
        check("s3://bucket/a/", "s3://bucket/a/r/artifacts");
        check("s3://bucket?x=1", "s3://bucket/r/artifacts?x=1");
        check("/tmp/x", "/tmp/x/r/artifacts");
    }
}
