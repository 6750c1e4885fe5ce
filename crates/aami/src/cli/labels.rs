//! Labels on the command line: `rack=A1`, and `rack-` to take one away.

use std::str::FromStr;

use aami_model::label::Labels;

use super::failure::Failure;

/// One `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    name: String,
    value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("a label is NAME=VALUE")?;
        Labels::from_iter([(name, value)])
            .check()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Labels out of pairs; the last one of a name stands.
pub(crate) fn labels(pairs: Vec<Pair>) -> Labels {
    pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
}

/// Makes `changes` (`NAME=VALUE` or `NAME-`) to labels.
pub(crate) fn change(labels: &mut Labels, changes: &[String]) -> Result<(), Failure> {
    for change in changes {
        if let Some(name) = change.strip_suffix('-').filter(|name| !name.contains('=')) {
            labels.0.remove(name);
        } else {
            let pair: Pair = change
                .parse()
                .map_err(|why| Failure::invalid(format!("{change:?}: {why}, or NAME- to take it away")))?;
            labels.0.insert(pair.name, pair.value);
        }
    }
    Ok(())
}

/// `a=1,b=2`.
pub(crate) fn shown(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .0
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_set_and_taken_away() {
        let mut labels = Labels::from_iter([("rack", "A1"), ("row", "3")]);
        change(&mut labels, &["rack=B2-".into(), "row-".into(), "gone-".into()]).unwrap();
        assert_eq!(shown(&labels), "rack=B2-");
    }

    #[test]
    fn a_label_nobody_may_set_is_refused_before_anything_is_sent() {
        for text in ["rack", "__address__=x", "job=x", "1a=x"] {
            assert!(text.parse::<Pair>().is_err(), "{text}");
        }
        assert!(change(&mut Labels::default(), &["rack".into()]).is_err());
    }
}
