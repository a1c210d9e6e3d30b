//! Our numbers against SciPy, scikit-learn and Evidently, on the vectors in `tests/golden`.

use std::collections::BTreeMap;
use std::path::Path;

use rondo_monitoring::quality::{self, Measure, Metric, auc, calibration};
use rondo_monitoring::twosample::{self, Chi, Method, clean, evidently};
use serde_json::Value;

/// What statistics and p-values may differ by, relative.
const RELATIVE: f64 = 1e-9;

fn read(name: &str) -> anyhow::Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?)
}

/// All column pairs, by file name.
fn columns(kind: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|extension| extension == "json") {
            let value = read(&name)?;
            if value["column_type"] == kind {
                found.push((name, value));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map(|list| list.iter().map(|x| x.as_f64().unwrap_or(f64::NAN)).collect()).unwrap_or_default()
}

#[track_caller]
fn near(what: &str, have: f64, want: &Value) {
    let want = want.as_f64().unwrap_or_else(|| panic!("{what}: no number to compare with: {want}"));
    assert!((have - want).abs() <= RELATIVE * want.abs(), "{what}: {have:e}, want {want:e}");
}

#[test]
fn kolmogorov_smirnov_agrees_with_scipy_exactly_and_asymptotically() -> anyhow::Result<()> {
    let cases = columns("num")?;
    assert!(cases.len() >= 17, "vectors are missing");
    for (name, case) in cases {
        let (reference, current) = (clean(&numbers(&case["ref"])), clean(&numbers(&case["cur"])));
        assert_eq!(Some(reference.len() as u64), case["n_ref_clean"].as_u64(), "{name}");
        for (method, key) in [(Method::Auto, "ks_2samp_auto"), (Method::Asymptotic, "ks_2samp_asymp")] {
            let have = twosample::ks_sorted(&reference, &current, method).unwrap();
            near(&format!("{name} {key} statistic"), have.statistic, &case["scipy"][key]["statistic"]);
            near(&format!("{name} {key} p"), have.p_value, &case["scipy"][key]["pvalue"]);
        }
        let auto = twosample::ks_sorted(&reference, &current, Method::Auto).unwrap();
        near(&format!("{name} evidently ks"), auto.p_value, &case["evidently"]["ks"]["score"]);
        assert_eq!(auto.p_value <= 0.05, case["evidently"]["ks"]["detected"], "{name}");
    }
    Ok(())
}

#[test]
fn the_wasserstein_distance_agrees_with_scipy_and_evidently() -> anyhow::Result<()> {
    for (name, case) in columns("num")? {
        let (reference, current) = (clean(&numbers(&case["ref"])), clean(&numbers(&case["cur"])));
        near(&name, twosample::wasserstein(&reference, &current).unwrap(), &case["scipy"]["wasserstein"]["value"]);
        near(&name, evidently::wasserstein(&reference, &current).unwrap(), &case["evidently"]["wasserstein"]["score"]);
    }
    Ok(())
}

#[test]
fn distances_over_bins_agree_with_evidently() -> anyhow::Result<()> {
    for (name, case) in columns("num")? {
        let (reference, current) = (clean(&numbers(&case["ref"])), clean(&numbers(&case["cur"])));
        let integers = case["dtype"] == "int64";
        let shares = evidently::bin(&reference, &current, integers).unwrap();
        if let Some(bins) = case.get("bins") {
            for (side, key) in [(&shares.reference, "ref_share"), (&shares.current, "cur_share")] {
                let want = numbers(&bins[key]);
                assert_eq!(side.len(), want.len(), "{name} {key}");
                for (have, want) in side.iter().zip(want) {
                    assert!((have - want).abs() < 1e-12, "{name} {key}: {have} {want}");
                }
            }
        }
        check_distances(&name, &shares, &case["evidently"]);
    }
    Ok(())
}

fn check_distances(name: &str, shares: &evidently::Shares, want: &Value) {
    near(&format!("{name} psi"), shares.psi(), &want["psi"]["score"]);
    near(&format!("{name} kl"), shares.kullback_leibler().unwrap(), &want["kl_div"]["score"]);
    near(&format!("{name} js"), shares.jensen_shannon().unwrap(), &want["jensenshannon"]["score"]);
}

/// Counts of each value of both samples, in the order of the values.
fn table(case: &Value) -> (Vec<u64>, Vec<u64>) {
    let mut counts: BTreeMap<String, [u64; 2]> = BTreeMap::new();
    for (side, key) in ["ref", "cur"].into_iter().enumerate() {
        for value in case[key].as_array().unwrap().iter().filter(|value| !value.is_null()) {
            counts.entry(value.to_string()).or_default()[side] += 1;
        }
    }
    counts.values().map(|[a, b]| (*a, *b)).unzip()
}

fn check_chi(what: &str, have: Option<Chi>, want: &Value) {
    let Some(degrees) = want["dof"].as_f64() else { panic!("{what}: {want}") };
    let have = have.unwrap();
    near(&format!("{what} statistic"), have.statistic, &want["statistic"]);
    near(&format!("{what} p"), have.p_value, &want["pvalue"]);
    assert_eq!(f64::from(have.degrees), degrees, "{what}");
}

#[test]
fn tests_on_counts_agree_with_scipy_and_evidently() -> anyhow::Result<()> {
    let cases = columns("cat")?;
    assert!(cases.len() >= 6, "vectors are missing");
    for (name, case) in cases {
        let (a, b) = table(&case);
        let scipy = &case["scipy"];
        check_chi(&format!("{name} chi-square"), twosample::chi_square(&a, &b), &scipy["chi2_contingency"]);
        check_chi(&format!("{name} g"), twosample::g_test(&a, &b), &scipy["g_contingency"]);
        near(&format!("{name} v"), twosample::cramers_v(&a, &b).unwrap(), &scipy["cramers_v"]["value"]);
        let shares = evidently::Shares::of_counts(&a, &b);
        near(&format!("{name} tvd"), twosample::total_variation(&shares.reference, &shares.current), &scipy["tvd"]);
        near(
            &format!("{name} linf"),
            twosample::largest_difference(&shares.reference, &shares.current),
            &scipy["linf"],
        );
        let js = |base| twosample::jensen_shannon(&shares.reference, &shares.current, base).unwrap();
        near(&format!("{name} js"), js(std::f64::consts::E), &scipy["js_distance"]);
        near(&format!("{name} js 2"), js(2.0), &scipy["js_distance_base2"]);
        check_distances(&name, &shares, &case["evidently"]);
        let fit = twosample::goodness_of_fit(&a, &b).unwrap().p_value;
        near(&format!("{name} goodness of fit"), fit, &case["evidently"]["chisquare"]["score"]);
        if let Some(want) = case["evidently"].get("g_test") {
            near(&format!("{name} g"), twosample::goodness_of_fit_g(&a, &b).unwrap().p_value, &want["score"]);
        }
    }
    Ok(())
}

#[test]
fn benjamini_hochberg_agrees_with_statsmodels() -> anyhow::Result<()> {
    let case = read("multiple_testing.json")?;
    let p: Vec<Option<f64>> = numbers(&case["p"]).into_iter().map(Some).collect();
    for (have, want) in twosample::benjamini_hochberg(&p).into_iter().zip(case["bh"].as_array().unwrap()) {
        near("bh", have.unwrap(), want);
    }
    Ok(())
}

fn value_of(measures: &[Measure], metric: Metric) -> f64 {
    measures.iter().find(|measure| measure.metric == metric).and_then(|measure| measure.value).unwrap()
}

#[test]
fn quality_of_probabilities_agrees_with_scikit_learn() -> anyhow::Result<()> {
    for name in ["binary_a.json", "binary_small.json"] {
        let case = read(name)?;
        let (p, y) = (numbers(&case["p"]), numbers(&case["y_true"]));
        let ids: Vec<String> = (0..p.len()).map(|row| row.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let measures = quality::binary(&p, &y, &ids);
        for (metric, key) in [
            (Metric::Auc, "roc_auc"),
            (Metric::LogLoss, "log_loss"),
            (Metric::Brier, "brier"),
            (Metric::Accuracy, "accuracy"),
        ] {
            near(&format!("{name} {key}"), value_of(&measures, metric), &case["metrics"][key]);
        }
        near(name, value_of(&measures, Metric::Ece), &case["ece15"]["ece"]);
        for (bins, key) in [(15, "ece15"), (10, "ece10")] {
            let have = calibration(&p, &y, bins);
            near(name, have.ece, &case[key]["ece"]);
            near(name, have.mce, &case[key]["mce"]);
            for (bin, want) in have.bins.iter().zip(case[key]["bins"].as_array().unwrap()) {
                assert_eq!(Some(bin.0), want["n"].as_u64(), "{name}");
            }
        }
        let area = auc(&p, &y).unwrap();
        near(name, area.standard_error.unwrap(), &case["ci"]["delong_se"]);
        let (low, high) = area.interval().unwrap();
        near(name, low, &case["ci"]["delong_95"][0]);
        near(name, high, &case["ci"]["delong_95"][1]);
        let accuracy = measures.iter().find(|measure| measure.metric == Metric::Accuracy).unwrap();
        near(name, accuracy.low.unwrap(), &case["ci"]["accuracy_wilson_95"][0]);
        near(name, accuracy.high.unwrap(), &case["ci"]["accuracy_wilson_95"][1]);
    }
    Ok(())
}

#[test]
fn quality_of_numbers_and_classes_agrees_with_scikit_learn() -> anyhow::Result<()> {
    let case = read("regression_r1.json")?;
    let measures = quality::regression(&numbers(&case["y_pred"]), &numbers(&case["y_true"]));
    for (metric, key) in [(Metric::Mae, "mae"), (Metric::Rmse, "rmse"), (Metric::Bias, "mean_error_pred_minus_true")] {
        near(key, value_of(&measures, metric), &case["metrics"][key]);
    }
    let case = read("multiclass_m4.json")?;
    let rows = case["proba"].as_array().unwrap();
    let probabilities: Vec<f64> = rows.iter().flat_map(numbers).collect();
    let truths: Vec<usize> = numbers(&case["y_true"]).into_iter().map(|class| class as usize).collect();
    let measures = quality::multiclass(&probabilities, 4, &truths);
    near("accuracy", value_of(&measures, Metric::Accuracy), &case["metrics"]["accuracy"]);
    near("log loss", value_of(&measures, Metric::LogLoss), &case["metrics"]["log_loss"]);
    Ok(())
}
