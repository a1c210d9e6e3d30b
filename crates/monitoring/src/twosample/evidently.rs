//! The binning of Evidently 0.7, for monitors that must go on with its numbers. Known weakness: a reference with few distinct values
//! gets a bin for each of them, which makes the distances explode on continuous data; our own are in the parent module.

/// Shares of the two samples over common bins.
#[derive(Clone, Debug, PartialEq)]
pub struct Shares {
    /// Of the reference.
    pub reference: Vec<f64>,
    /// Of the current sample.
    pub current: Vec<f64>,
}

/// Bins two sorted samples: Sturges' edges over both if the reference has more than 20 distinct values, else one bin a value.
/// `integers`: the values are of an integer type, whose bins are at least 1 wide.
pub fn bin(reference: &[f64], current: &[f64], integers: bool) -> Option<Shares> {
    if reference.is_empty() || current.is_empty() {
        return None;
    }
    let mut distinct = reference.to_vec();
    distinct.dedup();
    if distinct.len() > 20 {
        let edges = sturges(reference, current, integers);
        return Some(Shares { reference: histogram(reference, &edges), current: histogram(current, &edges) });
    }
    let mut values = [reference, current].concat();
    values.sort_unstable_by(f64::total_cmp);
    values.dedup();
    let share = |sample: &[f64], value: f64| {
        let count = sample.partition_point(|x| *x <= value) - sample.partition_point(|x| *x < value);
        count as f64 / sample.len() as f64
    };
    Some(Shares {
        reference: values.iter().map(|value| share(reference, *value)).collect(),
        current: values.iter().map(|value| share(current, *value)).collect(),
    })
}

/// The edges of `numpy.histogram_bin_edges(both, "sturges")`.
fn sturges(a: &[f64], b: &[f64], integers: bool) -> Vec<f64> {
    let low = a[0].min(b[0]);
    let high = a[a.len() - 1].max(b[b.len() - 1]);
    let n = (a.len() + b.len()) as f64;
    let mut width = (high - low) / (n.log2() + 1.0);
    if integers {
        width = width.max(1.0);
    }
    let bins = if width > 0.0 { ((high - low) / width).ceil().max(1.0) } else { 1.0 };
    let step = (high - low) / bins;
    let mut edges: Vec<f64> = (0..=bins as usize).map(|index| low + index as f64 * step).collect();
    edges[bins as usize] = high;
    edges
}

/// Shares of the bins `[edge, next)`, the last one closed.
fn histogram(sorted: &[f64], edges: &[f64]) -> Vec<f64> {
    let last = edges.len() - 1;
    let below = |index: usize| match index {
        index if index == last => sorted.partition_point(|x| *x <= edges[index]),
        index => sorted.partition_point(|x| *x < edges[index]),
    };
    (0..last).map(|index| (below(index + 1) - below(index)) as f64 / sorted.len() as f64).collect()
}

impl Shares {
    /// From counts of categories.
    pub fn of_counts(reference: &[u64], current: &[u64]) -> Self {
        let shares = |counts: &[u64]| {
            let n = counts.iter().sum::<u64>() as f64;
            counts.iter().map(|&count| count as f64 / n).collect()
        };
        Self { reference: shares(reference), current: shares(current) }
    }

    /// The same with zeros replaced, each side for itself and without norming: by 0.0001, or a millionth of the smallest share if
    /// that is not above 0.0001.
    #[must_use]
    pub fn filled(&self) -> Self {
        let fill = |shares: &[f64]| -> Vec<f64> {
            let smallest = shares.iter().copied().filter(|share| *share > 0.0).fold(f64::INFINITY, f64::min);
            let with = if smallest <= 0.0001 { smallest / 1e6 } else { 0.0001 };
            shares.iter().map(|share| if *share == 0.0 { with } else { *share }).collect()
        };
        Self { reference: fill(&self.reference), current: fill(&self.current) }
    }

    /// Population stability index.
    pub fn psi(&self) -> f64 {
        let filled = self.filled();
        super::psi(&filled.reference, &filled.current)
    }

    /// Kullback-Leibler divergence.
    pub fn kullback_leibler(&self) -> Option<f64> {
        let filled = self.filled();
        super::kullback_leibler(&filled.reference, &filled.current)
    }

    /// Jensen-Shannon distance, natural logarithm.
    pub fn jensen_shannon(&self) -> Option<f64> {
        super::jensen_shannon(&self.reference, &self.current, std::f64::consts::E)
    }
}

/// Wasserstein distance in standard deviations of the reference, which count as at least 0.001. Both samples sorted.
pub fn wasserstein(reference: &[f64], current: &[f64]) -> Option<f64> {
    let distance = super::wasserstein(reference, current)?;
    let mean = reference.iter().sum::<f64>() / reference.len() as f64;
    let variance = reference.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / reference.len() as f64;
    Some(distance / variance.sqrt().max(0.001))
}
