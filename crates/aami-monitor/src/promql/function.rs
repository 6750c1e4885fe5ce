//! The functions of PromQL, and what each takes and gives.
//! <https://prometheus.io/docs/prometheus/2.42/querying/functions/>

use super::Kind;
use super::Kind::{Range, Scalar, Text, Vector};

/// A function.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// What it takes, in order.
    pub(super) takes: &'static [Kind],
    /// How many of the last of them may be left out; with `repeats` the last may also stand again.
    pub(super) optional: usize,
    pub(super) repeats: bool,
    pub(super) gives: Kind,
}

const fn of(name: &'static str, takes: &'static [Kind], gives: Kind) -> Function {
    Function {
        name,
        takes,
        optional: 0,
        repeats: false,
        gives,
    }
}

const fn optional(name: &'static str, takes: &'static [Kind], gives: Kind) -> Function {
    Function {
        optional: 1,
        ..of(name, takes, gives)
    }
}

const fn repeats(name: &'static str, takes: &'static [Kind], gives: Kind) -> Function {
    Function {
        optional: 1,
        repeats: true,
        ..of(name, takes, gives)
    }
}

/// The function of this name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

static FUNCTIONS: &[Function] = &[
    of("abs", &[Vector], Vector),
    of("absent", &[Vector], Vector),
    of("absent_over_time", &[Range], Vector),
    of("acos", &[Vector], Vector),
    of("acosh", &[Vector], Vector),
    of("asin", &[Vector], Vector),
    of("asinh", &[Vector], Vector),
    of("atan", &[Vector], Vector),
    of("atanh", &[Vector], Vector),
    of("avg_over_time", &[Range], Vector),
    of("ceil", &[Vector], Vector),
    of("changes", &[Range], Vector),
    of("clamp", &[Vector, Scalar, Scalar], Vector),
    of("clamp_max", &[Vector, Scalar], Vector),
    of("clamp_min", &[Vector, Scalar], Vector),
    of("cos", &[Vector], Vector),
    of("cosh", &[Vector], Vector),
    of("count_over_time", &[Range], Vector),
    optional("day_of_month", &[Vector], Vector),
    optional("day_of_week", &[Vector], Vector),
    optional("day_of_year", &[Vector], Vector),
    optional("days_in_month", &[Vector], Vector),
    of("deg", &[Vector], Vector),
    of("delta", &[Range], Vector),
    of("deriv", &[Range], Vector),
    of("exp", &[Vector], Vector),
    of("floor", &[Vector], Vector),
    of("histogram_count", &[Vector], Vector),
    of("histogram_fraction", &[Scalar, Scalar, Vector], Vector),
    of("histogram_quantile", &[Scalar, Vector], Vector),
    of("histogram_sum", &[Vector], Vector),
    of("holt_winters", &[Range, Scalar, Scalar], Vector),
    optional("hour", &[Vector], Vector),
    of("idelta", &[Range], Vector),
    of("increase", &[Range], Vector),
    of("irate", &[Range], Vector),
    repeats("label_join", &[Vector, Text, Text, Text], Vector),
    of("label_replace", &[Vector, Text, Text, Text, Text], Vector),
    of("last_over_time", &[Range], Vector),
    of("ln", &[Vector], Vector),
    of("log10", &[Vector], Vector),
    of("log2", &[Vector], Vector),
    of("max_over_time", &[Range], Vector),
    of("min_over_time", &[Range], Vector),
    optional("minute", &[Vector], Vector),
    optional("month", &[Vector], Vector),
    of("pi", &[], Scalar),
    of("predict_linear", &[Range, Scalar], Vector),
    of("present_over_time", &[Range], Vector),
    of("quantile_over_time", &[Scalar, Range], Vector),
    of("rad", &[Vector], Vector),
    of("rate", &[Range], Vector),
    of("resets", &[Range], Vector),
    optional("round", &[Vector, Scalar], Vector),
    of("scalar", &[Vector], Scalar),
    of("sgn", &[Vector], Vector),
    of("sin", &[Vector], Vector),
    of("sinh", &[Vector], Vector),
    of("sort", &[Vector], Vector),
    of("sort_desc", &[Vector], Vector),
    of("sqrt", &[Vector], Vector),
    of("stddev_over_time", &[Range], Vector),
    of("stdvar_over_time", &[Range], Vector),
    of("sum_over_time", &[Range], Vector),
    of("tan", &[Vector], Vector),
    of("tanh", &[Vector], Vector),
    of("time", &[], Scalar),
    of("timestamp", &[Vector], Vector),
    of("vector", &[Scalar], Vector),
    optional("year", &[Vector], Vector),
];

/// What an aggregation takes before its series, where it takes anything.
pub(super) fn aggregation(word: &str) -> Option<Option<Kind>> {
    match word.to_ascii_lowercase().as_str() {
        "sum" | "avg" | "count" | "min" | "max" | "group" | "stddev" | "stdvar" => Some(None),
        "topk" | "bottomk" | "quantile" => Some(Some(Scalar)),
        "count_values" => Some(Some(Text)),
        _ => None,
    }
}
