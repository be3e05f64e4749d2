//! Who needs or calls whom, where only what has no cycles makes sense: a start order, mirrors.

use super::context::Context;
use crate::yaml::Spot;
use std::collections::HashMap;

/// Who calls whom, in the order of the file; only declared services.
#[derive(Debug, Default)]
pub(super) struct Calls {
    edges: Vec<(String, String, Spot)>,
}

impl Calls {
    pub(super) fn add(&mut self, from: &str, to: &str, spot: &Spot) {
        self.edges.push((from.to_owned(), to.to_owned(), spot.clone()));
    }

    /// Reports each cycle once, at the edge that closes it, in these words.
    pub(super) fn check(&self, cx: &mut Context<'_>, circle: &str, hint: &str) {
        let mut next: HashMap<&str, Vec<(&str, &Spot)>> = HashMap::new();
        for (from, to, spot) in &self.edges {
            next.entry(from).or_default().push((to, spot));
        }
        let mut done: HashMap<&str, bool> = HashMap::new();
        for (from, _, _) in &self.edges {
            if !done.contains_key(from.as_str()) {
                walk(from, &next, &mut done, |spot, cycle| {
                    let cycle = cycle.join(" → ");
                    cx.push(spot.error(format!("{circle}: {cycle}")).hint(hint));
                });
            }
        }
    }
}

/// Depth first without recursion: a chain of ten thousand services is no reason to overflow.
/// `done` is false while a service is on the current path.
fn walk<'a>(
    start: &'a str,
    next: &HashMap<&'a str, Vec<(&'a str, &'a Spot)>>,
    done: &mut HashMap<&'a str, bool>,
    mut report: impl FnMut(&Spot, &[&str]),
) {
    let mut path = vec![(start, 0)];
    done.insert(start, false);
    while let Some((at, edge)) = path.last_mut() {
        let Some((to, spot)) = next.get(at).and_then(|edges| edges.get(*edge)).copied() else {
            done.insert(at, true);
            path.pop();
            continue;
        };
        *edge += 1;
        match done.get(to) {
            Some(true) => {}
            Some(false) => {
                let begin = path.iter().position(|(name, _)| *name == to).unwrap_or(0);
                let mut cycle: Vec<_> = path[begin..].iter().map(|(name, _)| *name).collect();
                cycle.push(to);
                report(spot, &cycle);
            }
            None => {
                done.insert(to, false);
                path.push((to, 0));
            }
        }
    }
}
