//! The JSON that Grafana reads from a provisioning folder, and that its import page takes.

use serde_json::{Map, Value, json};

use super::{Colour, Dashboard, Panel, Query, Shown, State, variable};

/// The schema of the JSON that is written: what Grafana 10 writes itself. Later versions migrate it, older ones read it.
const SCHEMA: u32 = 38;

/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;

/// Whatever was chosen as the data source.
pub(super) fn data_source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

impl Dashboard {
    /// Its JSON.
    pub fn render(&self) -> String {
        let mut variables = vec![variable::source()];
        variables.extend(self.variables.iter().map(variable::Variable::render));
        let dashboard = json!({
            "id": null, "uid": self.uid, "title": self.title, "description": self.description, "tags": ["aami"],
            "schemaVersion": SCHEMA, "version": 1, "editable": true, "graphTooltip": 1,
            "refresh": "30s", "time": { "from": "now-3h", "to": "now" }, "timezone": "browser",
            "templating": { "list": variables },
            "annotations": { "list": [] },
            "links": [{
                "type": "dashboards", "title": "AAMI", "tags": ["aami"], "asDropdown": true, "includeVars": true,
                "keepTime": true, "targetBlank": false, "icon": "external link", "tooltip": "", "url": "",
            }],
            "panels": self.laid_out(),
        });
        format!("{dashboard:#}\n")
    }

    /// Its panels, each in its place: from left to right, and below when a line is full.
    fn laid_out(&self) -> Vec<Value> {
        let mut panels = Vec::new();
        let mut top = 0;
        for section in &self.sections {
            if !section.title.is_empty() {
                panels.push(json!({
                    "id": panels.len() + 1, "type": "row", "title": section.title, "collapsed": false, "panels": [],
                    "gridPos": { "x": 0, "y": top, "w": COLUMNS, "h": 1 },
                }));
                top += 1;
            }
            let (mut left, mut height) = (0, 0);
            for panel in &section.panels {
                let (wide, high) = (panel.size.0.clamp(1, COLUMNS), panel.size.1.max(1));
                if left + wide > COLUMNS {
                    top += height;
                    (left, height) = (0, 0);
                }
                let place = json!({ "x": left, "y": top, "w": wide, "h": high });
                panels.push(panel.render(panels.len() + 1, place));
                left += wide;
                height = height.max(high);
            }
            top += height;
        }
        panels
    }
}

impl Panel {
    fn render(&self, id: usize, place: Value) -> Value {
        let mut panel = json!({
            "id": id, "title": self.title, "description": self.description, "type": self.kind(),
            "datasource": data_source(), "gridPos": place,
            "targets": self.queries.iter().zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ".chars())
                .map(|(query, letter)| self.target(query, letter)).collect::<Vec<_>>(),
            "options": self.options(),
            "fieldConfig": { "defaults": self.defaults(), "overrides": self.overrides() },
        });
        if let Shown::Table { without } = self.shown {
            panel["transformations"] = self.columns(without);
        }
        panel
    }

    const fn kind(&self) -> &'static str {
        match self.shown {
            Shown::StateTimeline => "state-timeline",
            Shown::Names | Shown::Number => "stat",
            Shown::Share => "bargauge",
            Shown::Lines | Shown::Stacked | Shown::Bars => "timeseries",
            Shown::Table { .. } => "table",
        }
    }

    fn target(&self, query: &Query, letter: char) -> Value {
        let mut target = json!({
            "refId": letter.to_string(), "datasource": data_source(), "editorMode": "code",
            "expr": query.expr, "legendFormat": query.legend,
            "instant": !self.is_over_time(), "range": self.is_over_time(),
        });
        if matches!(self.shown, Shown::Table { .. }) {
            target["format"] = "table".into();
            target["legendFormat"] = "__auto".into();
        }
        target
    }

    fn options(&self) -> Value {
        let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
        let legend = json!({ "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] });
        match self.shown {
            Shown::StateTimeline => json!({
                "mergeValues": true, "showValue": "never", "alignValue": "left", "rowHeight": 0.8,
                "legend": legend, "tooltip": { "mode": "single", "sort": "none" },
            }),
            Shown::Names => stat("name", &last),
            Shown::Number => stat("auto", &last),
            Shown::Share => json!({
                "orientation": "horizontal", "displayMode": "basic", "showUnfilled": true, "reduceOptions": last,
            }),
            Shown::Lines | Shown::Stacked | Shown::Bars => json!({
                "legend": legend, "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Shown::Table { .. } => json!({
                "showHeader": true, "cellHeight": "sm",
                "footer": { "show": false, "reducer": ["sum"], "countRows": false, "fields": "" },
            }),
        }
    }

    fn defaults(&self) -> Value {
        let mut defaults = Map::new();
        let mut set = |name: &str, value: Value| {
            defaults.insert(name.to_owned(), value);
        };
        set("unit", self.unit.name().into());
        set("mappings", mappings(self.states));
        set("thresholds", thresholds(self.thresholds));
        let (least, most) = self.unit.range();
        let by_thresholds = json!({ "mode": "thresholds" });
        match self.shown {
            Shown::StateTimeline => {
                set("color", by_thresholds);
                set("custom", json!({ "fillOpacity": 80, "lineWidth": 0 }));
            }
            Shown::Names | Shown::Number => {
                set("color", by_thresholds);
                set("noValue", "none".into());
            }
            Shown::Share => {
                set("color", by_thresholds);
                set("noValue", "none".into());
                set("min", least.into());
                set("max", most.into());
            }
            Shown::Lines | Shown::Stacked | Shown::Bars => {
                set("color", json!({ "mode": "palette-classic" }));
                set("custom", self.line());
                if let Some(least) = least {
                    set("min", least.into());
                }
                // A scale that always ends at 100 % can be compared; on a pile it would be wrong.
                if let Some(most) = most.filter(|_| self.shown == Shown::Lines) {
                    set("max", most.into());
                }
            }
            Shown::Table { .. } => {
                set("color", by_thresholds);
                set("custom", json!({ "align": "auto", "filterable": true }));
            }
        }
        Value::Object(defaults)
    }

    fn line(&self) -> Value {
        let is_bars = self.shown == Shown::Bars;
        let is_pile = self.shown != Shown::Lines;
        json!({
            "drawStyle": if is_bars { "bars" } else { "line" },
            "lineWidth": 1, "fillOpacity": if is_bars { 80 } else if is_pile { 30 } else { 0 },
            "showPoints": "never", "spanNulls": false,
            "stacking": { "mode": if is_pile { "normal" } else { "none" }, "group": "A" },
            "thresholdsStyle": { "mode": if self.thresholds.is_empty() { "off" } else { "dashed" } },
        })
    }

    /// The units and colours of columns, and where names lead.
    fn overrides(&self) -> Vec<Value> {
        if !matches!(self.shown, Shown::Table { .. }) {
            return Vec::new();
        }
        let of_column = |query: &Query| {
            let mut properties = vec![json!({ "id": "unit", "value": query.unit.name() })];
            if !query.thresholds.is_empty() {
                properties.push(json!({ "id": "thresholds", "value": thresholds(query.thresholds) }));
                properties.push(json!({ "id": "custom.cellOptions", "value": { "type": "color-text" } }));
            }
            by_name(query.legend, &properties)
        };
        let mut overrides: Vec<Value> = self.queries.iter().map(of_column).collect();
        overrides.push(by_name(
            "node",
            &[link("Node", "aami-node", "node=${__data.fields.node}")],
        ));
        overrides
    }

    /// One table of all queries: rows joined by their labels, a column for each query, under its name.
    fn columns(&self, without: &[&str]) -> Value {
        let mut hidden = Map::from_iter([("Time".to_owned(), Value::Bool(true))]);
        hidden.extend(
            without
                .iter()
                .map(|label| ((*label).to_owned(), Value::Bool(true))),
        );
        let names: Map<String, Value> = match self.queries.as_slice() {
            // Alone, Grafana does not tell a value by its query.
            [only] => Map::from_iter([("Value".to_owned(), only.legend.into())]),
            several => several
                .iter()
                .zip('A'..='Z')
                .map(|(query, letter)| (format!("Value #{letter}"), query.legend.into()))
                .collect(),
        };
        json!([
            { "id": "merge", "options": {} },
            { "id": "organize",
              "options": { "excludeByName": hidden, "indexByName": {}, "renameByName": names } },
        ])
    }
}

fn stat(text: &str, last: &Value) -> Value {
    json!({ "textMode": text, "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
            "orientation": "auto", "reduceOptions": last })
}

fn by_name(name: &str, properties: &[Value]) -> Value {
    json!({ "matcher": { "id": "byName", "options": name }, "properties": properties })
}

/// A link to another dashboard, with the same data source and cluster.
fn link(title: &str, uid: &str, chosen: &str) -> Value {
    let url = format!("/d/{uid}?${{datasource:queryparam}}&${{cluster:queryparam}}&var-{chosen}");
    json!({ "id": "links", "value": [{ "title": title, "url": url, "targetBlank": false }] })
}

fn mappings(states: &[State]) -> Value {
    if states.is_empty() {
        return json!([]);
    }
    let options: Map<String, Value> = states
        .iter()
        .enumerate()
        .map(|(index, state)| {
            let shown = json!({ "text": state.text, "color": state.colour.name(), "index": index });
            (state.value.to_string(), shown)
        })
        .collect();
    json!([{ "type": "value", "options": options }])
}

fn thresholds(steps: &[(f64, Colour)]) -> Value {
    let base = (Value::Null, Colour::Green);
    let steps: Vec<Value> = std::iter::once(base)
        .chain(steps.iter().map(|(from, colour)| (json!(from), *colour)))
        .map(|(from, colour)| json!({ "value": from, "color": colour.name() }))
        .collect();
    json!({ "mode": "absolute", "steps": steps })
}

#[cfg(test)]
mod tests {
    use super::super::{Section, Unit};
    use super::*;

    #[test]
    fn panels_go_from_left_to_right_and_below_what_is_highest() {
        let of = |width, height| Panel::number("n", Unit::Count, "up").sized(width, height);
        let dashboard = Dashboard {
            uid: "x",
            title: "x",
            description: "",
            variables: vec![],
            sections: vec![
                Section::of("", vec![of(10, 2), of(10, 5), of(10, 3)]),
                Section::of("Below", vec![of(99, 1)]),
            ],
        };
        let places: Vec<[u64; 4]> = dashboard
            .laid_out()
            .iter()
            .map(|panel| ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap()))
            .collect();
        assert_eq!(
            places,
            [
                [0, 0, 10, 2],
                [10, 0, 10, 5],
                [0, 5, 10, 3],
                [0, 8, 24, 1],
                [0, 9, 24, 1]
            ]
        );
    }

    #[test]
    fn units_have_a_name_and_a_range() {
        assert_eq!(
            (Unit::Share.name(), Unit::Share.range()),
            ("percentunit", (Some(0), Some(1)))
        );
        assert_eq!(Unit::Celsius.range(), (None, None));
    }
}
