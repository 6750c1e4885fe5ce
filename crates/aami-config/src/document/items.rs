//! Items of lists, added and removed.

use super::change::Change;
use super::place::{self, column, line_break, line_end, line_start, next_line};
use super::plain::Plain;
use super::{EditError, field, render};
use crate::tree::{Node, Value};

/// Adds items at the end of the list at `path`. The list, and the sections above it, are written where they are
/// missing.
pub(super) fn append(
    root: &Node<'_>,
    path: &[&str],
    items: &[Plain],
    change: &mut Change<'_>,
) -> Result<(), EditError> {
    let mut wanted = &mut change.wanted;
    for key in path {
        wanted = wanted.under(key);
    }
    if let Some(wanted) = wanted.items() {
        wanted.extend(items.iter().cloned());
    }

    let Some(list) = path.iter().try_fold(root, |node, key| node.get(key)) else {
        return field::write(root, path, &Plain::List(items.to_vec()), change);
    };
    by_hand_if_aliased(list, path)?;
    let Value::List { items: there, flow } = &list.value else {
        return Err(by_hand(list, path));
    };
    match (flow, there.last()) {
        (false, Some(last)) => {
            after_block(list, last, items, change).ok_or_else(|| by_hand(list, path))?;
        }
        (true, Some(last)) => {
            let more: String = items
                .iter()
                .map(|item| format!(", {}", render::flow(item)))
                .collect();
            let at = place::end(change.text, last);
            change.insert(at, more);
        }
        (_, None) => {
            // `[]`: entries of one word stay on the line, others get lines of their own.
            let is_short = items.iter().all(|item| matches!(item, Plain::Text(_)));
            let inside = change.text.get(list.span.clone()).unwrap_or_default();
            let is_bare = inside
                .trim_start_matches('[')
                .trim_end_matches(']')
                .trim()
                .is_empty();
            if is_short || !is_bare {
                let written: Vec<String> = items.iter().map(render::flow).collect();
                change.insert(list.span.start + 1, written.join(", "));
            } else {
                return field::write(root, path, &Plain::List(items.to_vec()), change);
            }
        }
    }
    Ok(())
}

/// Adds items below the last one of a block list, written as that one is.
fn after_block(list: &Node<'_>, last: &Node<'_>, items: &[Plain], change: &mut Change<'_>) -> Option<()> {
    let text = change.text;
    let dash = place::dash(text, list, list.items().len() - 1)?;
    let indent = column(text, dash);
    // How far the last item's own text is from its dash; one written below it tells nothing.
    let gap = if line_start(text, dash) == line_start(text, last.span.start) {
        column(text, last.span.start).saturating_sub(indent).clamp(2, 8)
    } else {
        2
    };
    let broken = line_break(text);
    let mut more = String::new();
    for item in items {
        more.push_str(broken);
        more.push_str(&" ".repeat(indent));
        more.push('-');
        more.push_str(&" ".repeat(gap - 1));
        more.push_str(
            &if place::is_flow(last) && matches!(last.value, Value::Map { .. }) {
                render::flow(item)
            } else {
                render::block(item, indent + gap, broken)
            },
        );
    }
    change.insert(line_end(text, place::end(text, last).max(dash)), more);
    Some(())
}

/// Removes the items at these positions, ascending.
pub(super) fn remove(
    root: &Node<'_>,
    path: &[&str],
    gone: &[usize],
    change: &mut Change<'_>,
) -> Result<(), EditError> {
    let Some(list) = path.iter().try_fold(root, |node, key| node.get(key)) else {
        return Err(EditError::NotThere(path.join(".")));
    };
    by_hand_if_aliased(list, path)?;
    let Value::List { items, flow } = &list.value else {
        return Err(by_hand(list, path));
    };
    let mut wanted = &mut change.wanted;
    for key in path {
        wanted = wanted.under(key);
    }
    if let Some(wanted) = wanted.items() {
        let mut at = 0;
        wanted.retain(|_| {
            at += 1;
            gone.binary_search(&(at - 1)).is_err()
        });
    }

    if *flow {
        let mut kept_before = false;
        for (at, item) in items.iter().enumerate() {
            if gone.binary_search(&at).is_err() {
                kept_before = true;
                continue;
            }
            let text = change.text;
            match (kept_before, items.get(at + 1)) {
                (true, _) => change.replace(place::end(text, &items[at - 1])..place::end(text, item), ""),
                (false, Some(next)) => change.replace(item.span.start..next.span.start, ""),
                (false, None) => change.replace(item.span.start..place::end(text, item), ""),
            }
        }
        return Ok(());
    }
    for at in gone {
        let text = change.text;
        let dash = place::dash(text, list, *at).ok_or_else(|| by_hand(list, path))?;
        let start = line_start(text, dash);
        let is_alone = text[start..dash].trim().is_empty();
        if !is_alone {
            return Err(by_hand(list, path));
        }
        let last = items
            .get(*at)
            .map_or(dash, |item| place::end(text, item).max(dash));
        change.forget(start..next_line(text, last));
    }
    if gone.len() == items.len() {
        // A list without items is `[]`; a key without anything would be nothing at all.
        let (above, key) = path.split_at(path.len() - 1);
        let entry = above
            .iter()
            .try_fold(root, |node, key| node.get(key))
            .and_then(|above| above.entry(key[0]));
        let colon = entry.and_then(|entry| place::colon(change.text, entry));
        change.insert(colon.ok_or_else(|| by_hand(list, path))? + 1, " []");
    }
    Ok(())
}

fn by_hand(node: &Node<'_>, path: &[&str]) -> EditError {
    EditError::ByHand {
        field: path.join("."),
        line: node.line,
    }
}

fn by_hand_if_aliased(node: &Node<'_>, path: &[&str]) -> Result<(), EditError> {
    if node.aliased {
        return Err(by_hand(node, path));
    }
    Ok(())
}
