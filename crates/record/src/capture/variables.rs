//! Variables of the environment that change results. A list of names, never the whole environment: that holds secrets.

use std::collections::BTreeMap;
use std::path::Path;

/// What is recorded, and set again when the run is repeated.
pub const ALLOWED: [&str; 25] = [
    "RONDO_SEED",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "PYTHONOPTIMIZE",
    "OMP_NUM_THREADS",
    "OMP_DYNAMIC",
    "MKL_NUM_THREADS",
    "MKL_CBWR",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
    "TOKENIZERS_PARALLELISM",
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_TF32_OVERRIDE",
    "PYTORCH_CUDA_ALLOC_CONF",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "XLA_FLAGS",
    "LANG",
    "LC_ALL",
    "TZ",
];

/// Parts of names whose values are nobody's business.
const SECRET: [&str; 7] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "API_KEY", "ACCESS_KEY"];

/// Where the root of the code stood in a value.
pub(crate) const ROOT: &str = "{root}";

/// Whether a variable looks as if it holds a secret.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET.iter().any(|part| name.contains(part))
}

/// The allowed ones of some variables.
pub(super) fn capture(
    all: &BTreeMap<String, String>,
    allow: &[String],
    root: Option<&Path>,
) -> BTreeMap<String, String> {
    let names = ALLOWED.into_iter().chain(allow.iter().map(String::as_str)).filter(|name| !looks_secret(name));
    let value = |value: &String| match root {
        Some(root) => value.replace(&*root.to_string_lossy(), ROOT),
        None => value.clone(),
    };
    names.filter_map(|name| Some((name.to_owned(), value(all.get(name)?)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_is_recorded_and_never_a_secret() {
        let pairs = [
            ("PYTHONHASHSEED", "7"),
            ("PYTHONPATH", "/code/src:/lib"),
            ("MY_FLAG", "x"),
            ("MY_TOKEN", "s"),
            ("HOME", "/h"),
        ];
        let all = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let kept = capture(&all, &["MY_FLAG".to_owned(), "MY_TOKEN".to_owned()], Some(Path::new("/code")));
        let expect = [("MY_FLAG", "x"), ("PYTHONHASHSEED", "7"), ("PYTHONPATH", "{root}/src:/lib")];
        assert_eq!(kept, expect.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
}
