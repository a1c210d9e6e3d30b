//! An S3-compatible store named by a URL, its endpoint and credentials by the variables that every S3 tool reads (`AWS_*`).

pub(crate) mod sign;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{ClientOptions, RetryConfig};

use crate::{Error, SafePath};

/// How long one request may take; an upload sends parts of some MiB, a download that is cut off goes on where it was.
const REQUEST_TIME: Duration = Duration::from_mins(5);
/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How often a request that failed on the way is sent again, and for how long.
const RETRIES: usize = 4;
const RETRY_TIME: Duration = Duration::from_secs(20);

/// A bucket, and what links to it are made with.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) store: Arc<AmazonS3>,
    pub(crate) region: String,
    /// The folder of the bucket that is ours.
    pub(crate) prefix: Option<SafePath>,
}

/// Opens `s3://BUCKET` or `s3://BUCKET/PREFIX`. Settings are `AWS_*` variables; others are passed over. Nothing is sent yet.
pub(crate) fn open(url: &str, settings: impl IntoIterator<Item = (String, String)>) -> Result<Bucket, Error> {
    let rest = url.strip_prefix("s3://").unwrap_or(url);
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let prefix = if prefix.is_empty() { None } else { Some(SafePath::parse(prefix)?) };
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    if bucket.is_empty() || !bucket.bytes().all(is_name) {
        return Err(Error::Url { url: url.to_owned(), reason: format!("\"{bucket}\" is not the name of a bucket") });
    }
    let mut builder = AmazonS3Builder::new();
    let mut plain = false;
    for (name, value) in settings {
        if value.is_empty() || !name.starts_with("AWS_") {
            continue;
        }
        if let Ok(key) = AmazonS3ConfigKey::from_str(&name.to_ascii_lowercase()) {
            plain |= name.starts_with("AWS_ENDPOINT_URL") && value.starts_with("http://");
            builder = builder.with_config(key, value);
        }
    }
    let client = ClientOptions::new().with_timeout(REQUEST_TIME).with_connect_timeout(CONNECT_TIME);
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() };
    let client = client.with_allow_http(plain);
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
    let built = builder.with_bucket_name(bucket).with_client_options(client).with_retry(retry).build();
    let store = built.map_err(|error| Error::Url { url: url.to_owned(), reason: error.to_string() })?;
    Ok(Bucket { store: Arc::new(store), region, prefix })
}
