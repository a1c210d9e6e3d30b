//! The guard for calls to where a user says: public addresses over TLS only, unless the configuration allows others.
//!
//! A name is resolved once, every address it has is judged, and the connection goes to those addresses and no others: there is no
//! second look-up that could say something else. No redirects, no proxies, a deadline, and a small answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::Url;

use crate::{Error, House};

/// How long a name may take to resolve, and a call to be answered.
const RESOLVE: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
/// How much of an answer is read, bytes.
const MAX_ANSWER: usize = 16 << 10;

/// A place that may be called, with the addresses that were judged.
#[derive(Debug)]
pub struct Target {
    url: Url,
    host: String,
    addresses: Vec<SocketAddr>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body, as text.
    pub body: String,
}

/// Judges a URL; what is refused is a mistake of its author, a name that does not resolve may be a passing one.
pub async fn judge(house: &House, text: &str) -> Result<Target, Error> {
    let refused = |reason: String| Error::Target { url: text.to_owned(), reason };
    let url = Url::parse(text).map_err(|error| refused(format!("it is not a URL: {error}")))?;
    let lenient = house.allows_private_targets();
    match url.scheme() {
        "https" => {}
        "http" if lenient => {}
        other => return Err(refused(format!("its scheme is `{other}`, and only https is called"))),
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("it names no host".to_owned()))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => resolve(text, &host, port).await?,
    };
    if let Some(inner) = addresses.iter().find(|address| !lenient && !is_public(address.ip())) {
        return Err(refused(format!("{} is not a public address", inner.ip())));
    }
    Ok(Target { url, host, addresses })
}

async fn resolve(url: &str, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let nowhere = |answer: String| Error::Webhook { url: url.to_owned(), answer };
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host, port))).await;
    let found = found.map_err(|_| nowhere(format!("nothing: `{host}` was not resolved in time")))?;
    let found: Vec<_> = found.map_err(|error| nowhere(format!("nothing: `{host}` has no address: {error}")))?.collect();
    if found.is_empty() { Err(nowhere(format!("nothing: `{host}` has no address"))) } else { Ok(found) }
}

/// Posts JSON.
pub async fn post(target: Target, headers: &[(&'static str, String)], body: String) -> Result<Answer, Error> {
    let shown = target.url.to_string();
    let nothing = |error: reqwest::Error| Error::Webhook {
        url: shown.clone(),
        answer: format!("nothing: {}", error.without_url()),
    };
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .resolve_to_addrs(&target.host, &target.addresses)
        .timeout(ANSWER)
        .no_proxy()
        .build()
        .map_err(nothing)?;
    let mut request = client.post(target.url).header("content-type", "application/json").body(body);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let mut response = request.send().await.map_err(nothing)?;
    let status = response.status().as_u16();
    let mut read = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(nothing)? {
        let room = MAX_ANSWER - read.len();
        read.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read.len() == MAX_ANSWER {
            break;
        }
    }
    Ok(Answer { status, body: String::from_utf8_lossy(&read).into_owned() })
}

/// Whether an address is one of the internet at large. What carries an IPv4 address inside is judged by that.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let inner = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_unspecified();
    let special = address.is_broadcast() || address.is_multicast() || address.is_documentation();
    // "This network", carrier-grade NAT, protocol assignments, benchmarks, the reserved end, and relays of 6to4.
    let reserved = matches!(
        (a, b, c),
        (0 | 240..=255, _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) | (192, 88, 99)
    );
    !(inner || special || reserved)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => return is_public_v4(embedded(high, low)),
        _ => {}
    }
    // Global unicast is 2000::/3; in it Teredo and other protocol assignments, documentation, and benchmarks are not.
    let global = segments[0] & 0xe000 == 0x2000;
    let reserved = matches!(segments, [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..]);
    global && !reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_at_large_are_public() {
        for public in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        let inner = [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "240.0.0.1",
            "192.0.0.8",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
            "64:ff9b:1::1",
            "100::1",
            "fec0::1",
        ];
        for inner in inner {
            assert!(!is_public(inner.parse().unwrap()), "{inner}");
        }
    }
}
