//! Dashboards, in Grafana's JSON model.
//! <https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/>
//!
//! A [`Dashboard`] is a list of [`Panel`]s with their queries, in the order in which they are read; where each lies
//! follows from its size. Each dashboard is a file here. [`Dashboard::render`] writes the JSON. Every query is run by
//! the tests against a real Prometheus that has scraped what exporters export.
//!
//! Nothing here names a data source: a dashboard asks whoever opens it, and takes the default.

mod fleet;
mod gpu;
mod installation;
mod node;
mod render;
mod select;
mod variable;
mod xid;

pub use fleet::fleet;
pub use gpu::gpu;
pub use installation::installation;
pub use node::node;
pub use variable::Variable;
pub use xid::xid;

/// Every dashboard, the widest view first.
pub fn all() -> Vec<Dashboard> {
    vec![fleet(), node(), gpu(), xid(), installation()]
}

/// A dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Dashboard {
    /// Its stable id, and the name of its file without `.json`.
    pub uid: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// What can be chosen, from the widest to the narrowest.
    pub variables: Vec<Variable>,
    /// Its panels, in groups.
    pub sections: Vec<Section>,
}

/// Panels under one heading.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The heading; none where it is empty.
    pub title: &'static str,
    /// Its panels.
    pub panels: Vec<Panel>,
}

/// One panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Its title.
    pub title: &'static str,
    /// What it answers, for whoever hovers over it.
    pub description: &'static str,
    /// What it asks.
    pub queries: Vec<Query>,
    /// How it is shown.
    pub shown: Shown,
    /// In what its values are.
    pub unit: Unit,
    /// From which value on it has which colour; green below the first.
    pub thresholds: &'static [(f64, Colour)],
    /// What single values mean.
    pub states: &'static [State],
    /// Columns of Grafana's grid of 24, and rows.
    pub size: (u32, u32),
}

/// What a panel asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// PromQL. The dashboard's variables stand in it as regular expressions.
    pub expr: String,
    /// What a series is called, e.g. `{{step}}`; in a table, the column.
    pub legend: &'static str,
    /// In what this column of a table is.
    pub unit: Unit,
    /// The colours of this column of a table.
    pub thresholds: &'static [(f64, Colour)],
}

/// How a panel shows what its queries give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// How each series' state changed over time.
    StateTimeline,
    /// The names of what there is now.
    Names,
    /// A number now.
    Number,
    /// A share from 0 to 1, now.
    Share,
    /// Lines over time.
    Lines,
    /// Lines over time, one on the other.
    Stacked,
    /// Counts over time.
    Bars,
    /// A row for each set of labels, a column for each query.
    Table {
        /// Labels that are not shown.
        without: &'static [&'static str],
    },
}

/// A value that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The value.
    pub value: u32,
    /// Its name.
    pub text: &'static str,
    /// Its colour.
    pub colour: Colour,
}

/// Colours by their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Nothing to do.
    Green,
    /// Look at it.
    Yellow,
    /// Somebody is needed.
    Red,
    /// At work.
    Blue,
    /// Says nothing.
    Plain,
}

/// Units of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count.
    Count,
    /// Seconds.
    Seconds,
    /// A moment, in milliseconds since 1970.
    Moment,
    /// 0 to 100.
    Percent,
    /// 0 to 1.
    Share,
    /// Degrees.
    Celsius,
    /// Watts.
    Watts,
    /// Hertz.
    Hertz,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
    /// Things a second.
    PerSecond,
}

impl Dashboard {
    /// Its panels, from the first to the last.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.sections.iter().flat_map(|section| &section.panels)
    }

    /// The name of its file.
    pub fn file_name(&self) -> String {
        format!("{}.json", self.uid)
    }
}

impl Section {
    const fn of(title: &'static str, panels: Vec<Panel>) -> Self {
        Self { title, panels }
    }
}

impl Panel {
    /// A panel that asks one thing.
    fn new(shown: Shown, title: &'static str, legend: &'static str, expr: impl Into<String>) -> Self {
        let size = match shown {
            Shown::Number | Shown::Names => (4, 4),
            Shown::Share => (6, 5),
            Shown::Lines | Shown::Stacked | Shown::Bars | Shown::StateTimeline => (12, 8),
            Shown::Table { .. } => (24, 9),
        };
        Self {
            title,
            description: "",
            queries: vec![Query::of(legend, Unit::Count, expr)],
            shown,
            unit: Unit::Count,
            thresholds: &[],
            states: &[],
            size,
        }
    }

    /// A number now.
    fn number(title: &'static str, unit: Unit, expr: impl Into<String>) -> Self {
        Self::new(Shown::Number, title, "", expr).unit(unit)
    }

    /// Lines over time.
    fn lines(title: &'static str, unit: Unit, legend: &'static str, expr: impl Into<String>) -> Self {
        Self::new(Shown::Lines, title, legend, expr).unit(unit)
    }

    /// A table with these columns beside the labels.
    fn table(title: &'static str, without: &'static [&'static str], columns: Vec<Query>) -> Self {
        Self {
            queries: columns,
            ..Self::new(Shown::Table { without }, title, "", "")
        }
    }

    /// What is said to whoever hovers over it.
    const fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    const fn coloured(mut self, thresholds: &'static [(f64, Colour)]) -> Self {
        self.thresholds = thresholds;
        self
    }

    const fn states(mut self, states: &'static [State]) -> Self {
        self.states = states;
        self
    }

    const fn sized(mut self, width: u32, height: u32) -> Self {
        self.size = (width, height);
        self
    }

    /// One more query.
    fn and(mut self, legend: &'static str, expr: impl Into<String>) -> Self {
        self.queries.push(Query::of(legend, self.unit, expr));
        self
    }

    /// Whether its queries are asked over the shown time; else as of its end.
    pub const fn is_over_time(&self) -> bool {
        match self.shown {
            Shown::StateTimeline | Shown::Lines | Shown::Stacked | Shown::Bars => true,
            Shown::Names | Shown::Number | Shown::Share | Shown::Table { .. } => false,
        }
    }
}

impl Query {
    /// A query; in a table, a column.
    fn of(legend: &'static str, unit: Unit, expr: impl Into<String>) -> Self {
        Self {
            expr: expr.into(),
            legend,
            unit,
            thresholds: &[],
        }
    }

    const fn coloured(mut self, thresholds: &'static [(f64, Colour)]) -> Self {
        self.thresholds = thresholds;
        self
    }
}

impl Colour {
    const fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "orange",
            Self::Red => "red",
            Self::Blue => "blue",
            Self::Plain => "text",
        }
    }
}

impl Unit {
    /// Grafana's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::Seconds => "s",
            Self::Moment => "dateTimeAsIso",
            Self::Percent => "percent",
            Self::Share => "percentunit",
            Self::Celsius => "celsius",
            Self::Watts => "watt",
            Self::Hertz => "hertz",
            Self::Bytes => "bytes",
            Self::BytesPerSecond => "Bps",
            Self::PerSecond => "cps",
        }
    }

    /// The least and the most there can be, where that is known.
    const fn range(self) -> (Option<u32>, Option<u32>) {
        match self {
            Self::Percent => (Some(0), Some(100)),
            Self::Share => (Some(0), Some(1)),
            Self::Celsius | Self::Moment => (None, None),
            Self::Count
            | Self::Seconds
            | Self::Watts
            | Self::Hertz
            | Self::Bytes
            | Self::BytesPerSecond
            | Self::PerSecond => (Some(0), None),
        }
    }
}
