//! The two cookies: the session, and the mark of a browser that began to sign in at a provider.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// The session. No script sees it, and no page of others makes a browser send it.
pub(crate) const SESSION: &str = "rondo_session";
/// The browser. It must come along when the provider sends the browser back.
pub(super) const BROWSER: &str = "rondo_sign_in";

/// The value of a cookie, if it is there once.
pub(crate) fn value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(have, _)| *have == name).map(|(_, value)| value);
    let first = values.next()?;
    (values.next().is_none() && !first.is_empty()).then_some(first)
}

/// A cookie to set; `None` in the value's place deletes it.
pub(super) fn set(name: &str, value: Option<&str>, rest: &str, base: &str) -> Option<HeaderValue> {
    let (value, age) = value.map_or(("", "; Max-Age=0"), |value| (value, ""));
    let secure = if base.starts_with("https://") { "; Secure" } else { "" };
    HeaderValue::from_str(&format!("{name}={value}; HttpOnly; {rest}{age}{secure}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others_and_only_once() {
        let check = |lines: &[&str], expect: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, line.parse().unwrap());
            }
            assert_eq!(value(&headers, SESSION), expect, "{lines:?}");
        };
        check(&[], None);
        check(&["rondo_session=x"], Some("x"));
        check(&["a=b; rondo_session=x; c=d"], Some("x"));
        check(&["a=b", "rondo_session=x"], Some("x"));
        check(&["rondo_session=x; rondo_session=y"], None);
        check(&["rondo_session=", "xrondo_session=x"], None);
    }
}
