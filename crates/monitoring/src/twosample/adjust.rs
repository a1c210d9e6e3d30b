//! Many tests at once.

/// P-values adjusted after Benjamini and Hochberg (1995): rejecting where the result is at most q keeps the expected share of
/// false rejections at most q. A p-value that is not there takes no part and stays away.
pub fn benjamini_hochberg(p_values: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> =
        p_values.iter().enumerate().filter_map(|(index, p)| Some((index, (*p)?))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let m = order.len() as f64;
    let mut adjusted = vec![None; p_values.len()];
    let mut smallest = 1.0_f64;
    for (from_top, (index, p)) in order.into_iter().enumerate() {
        smallest = smallest.min(p * m / (m - from_top as f64));
        adjusted[index] = Some(smallest);
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_values_take_no_part() {
        assert_eq!(benjamini_hochberg(&[Some(0.01), None, Some(0.04)]), [Some(0.02), None, Some(0.04)]);
        assert_eq!(benjamini_hochberg(&[None]), [None]);
        assert!(benjamini_hochberg(&[]).is_empty());
    }
}
