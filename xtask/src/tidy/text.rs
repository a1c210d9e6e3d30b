//! What no tracked file may hold: paths of one machine, and the hosts of package registries (the clients know them).

/// Paths that exist on one machine only. Written in two halves, so that this file passes its own check.
const MACHINE_PATHS: &[(&str, &str)] = &[("/wo", "rk/"), ("/ro", "ot/"), ("/tmp", "/t/"), ("/tmp", "/plan/")];

const HOSTS: &[(&str, &str)] = &[
    ("py", "pi.org"),
    ("files.python", "hosted.org"),
    ("static.", "crates.io"),
    ("index.", "crates.io"),
    ("registry.", "npmjs.org"),
    ("deb.", "debian.org"),
    ("proxy.", "golang.org"),
];

/// Files that package managers write themselves.
const GENERATED: &[&str] = &["Cargo.lock"];

/// Findings about one text file. `path` is relative to the checkout.
pub(crate) fn check(path: &str, content: &str) -> Vec<String> {
    if GENERATED.contains(&path) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in content.lines().enumerate() {
        let place = format!("{path}:{}", number + 1);
        for word in MACHINE_PATHS.iter().map(|(a, b)| format!("{a}{b}")).filter(|word| has_path(line, word)) {
            findings.push(format!("{place}: holds {word}, a path of one machine"));
        }
        for word in HOSTS.iter().map(|(a, b)| format!("{a}{b}")).filter(|word| line.contains(word.as_str())) {
            findings.push(format!("{place}: holds {word}, the host of a package registry"));
        }
    }
    findings
}

/// True if the path begins in the line, not in the middle of a longer one.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '/' | '.' | '_' | '-' | '}' | '>' | '$'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_hosts_are_found() {
        let check = |line: &str, expect: usize| assert_eq!(check("docs/A.md", line).len(), expect, "{line}");
        check("plain text about work and root", 0);
        check(&format!("see {}{}main", "/wo", "rk/"), 1);
        check(&format!("see https://host{}{}main", "/wo", "rk/"), 0);
        check(&format!("pip install -i https://{}{}", "py", "pi.org/simple x"), 1);
    }

    #[test]
    fn what_a_package_manager_wrote_is_left_alone() {
        assert!(check("Cargo.lock", &format!("{}{}", "index.", "crates.io")).is_empty());
    }
}
