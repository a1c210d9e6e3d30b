//! Linear and logistic regression.

use crate::LoadError;
use crate::head::{Finish, Head, Kernel, Missing};
use crate::plan::{Planner, Table};
use crate::sklearn::{Version, check_width, classes};
use crate::view::View;

/// LinearRegression, Ridge, Lasso, ElasticNet and their cross-validated forms.
pub(super) fn regressor(view: &View<'_>, planner: &mut Planner, table: &Table) -> Result<Head, LoadError> {
    let width = check_width(view, table)?;
    let coefficients = view.attr("coef_")?.floats()?;
    let intercept = numbers(&view.attr("intercept_")?)?;
    if coefficients.len() != width || intercept.len() != 1 {
        return Err(view.unsupported("more than one output"));
    }
    let name = short(view.class());
    Head::new(
        view,
        planner,
        table,
        Kernel::Linear { coefficients, intercept },
        Finish::Value,
        Vec::new(),
        Missing::Refuse(name),
    )
}

/// LogisticRegression and LogisticRegressionCV.
pub(super) fn classifier(
    view: &View<'_>,
    planner: &mut Planner,
    table: &Table,
    version: Version,
) -> Result<Head, LoadError> {
    let width = check_width(view, table)?;
    let classes = classes(view)?;
    let outputs = if classes.len() == 2 { 1 } else { classes.len() };
    let coefficients = view.attr("coef_")?.floats()?;
    let mut intercept = numbers(&view.attr("intercept_")?)?;
    if intercept.len() == 1 {
        // fit_intercept=False leaves a single zero
        intercept.resize(outputs, intercept[0]);
    }
    if coefficients.len() != width * outputs || intercept.len() != outputs {
        return Err(view.damaged("the coefficients do not fit the classes and columns"));
    }
    let finish = match (outputs, one_against_rest(view, classes.len(), version)?) {
        (1, true) => Finish::Sigmoid { factor: 1.0, tie: false },
        (1, false) => Finish::SoftmaxOfTwo,
        (_, true) => Finish::OneAgainstRest,
        (_, false) => Finish::Softmax,
    };
    let kernel = Kernel::Linear { coefficients, intercept };
    Head::new(view, planner, table, kernel, finish, classes, Missing::Refuse(short(view.class())))
}

/// scikit-learn's rule for `predict_proba`; from 1.8 on there is no `multi_class` and the number of classes alone decides.
fn one_against_rest(view: &View<'_>, classes: usize, version: Version) -> Result<bool, LoadError> {
    let Some(multi_class) = view.find("multi_class").filter(|_| version < (1, 8)) else { return Ok(classes <= 2) };
    let solver = view.attr("solver")?.text()?;
    Ok(match multi_class.text()? {
        "ovr" | "warn" => true,
        "auto" | "deprecated" => {
            classes <= 2 || solver == "liblinear" || (solver == "newton-cholesky" && version < (1, 6))
        }
        _ => false,
    })
}

/// A number or an array of them.
fn numbers(view: &View<'_>) -> Result<Vec<f64>, LoadError> {
    match view.plain() {
        Some(plain) => plain.as_f64().map(|number| vec![number]).ok_or_else(|| view.damaged("a number was expected")),
        None => view.floats(),
    }
}

fn short(class: &str) -> &'static str {
    const NAMES: [&str; 9] = [
        "LinearRegression",
        "Ridge",
        "RidgeCV",
        "Lasso",
        "LassoCV",
        "ElasticNet",
        "ElasticNetCV",
        "LogisticRegression",
        "LogisticRegressionCV",
    ];
    let name = class.rsplit('.').next().unwrap_or(class);
    NAMES.into_iter().find(|known| *known == name).unwrap_or("the estimator")
}
