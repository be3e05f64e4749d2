//! "Did you mean …?": the known name that was probably meant.

/// The nearest of the known names, when it is near enough to be worth saying.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let limit = (name.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| {
            let candidate_lower = candidate.to_lowercase();
            let distance =
                match candidate_lower.trim_end_matches('s') == lower.trim_end_matches('s') {
                    true => 0,
                    false => strsim::damerau_levenshtein(&lower, &candidate_lower),
                };
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "…"?`, or the list of what is known.
pub fn suggest<'a>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("did you mean {near:?}?");
    }
    let list: Vec<_> = known.into_iter().collect();
    match list.as_slice() {
        [] => format!("there are no {what}"),
        list => format!("known {what}: {}", list.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = ["endpoints", "method", "url", "urls", "PUT"];
        for (name, near) in [
            ("enpoints", Some("endpoints")),
            ("Method", Some("method")),
            ("endpoint", Some("endpoints")),
            ("put", Some("PUT")),
            ("color", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known), near, "{name}");
        }
    }

    #[test]
    fn without_a_near_name_all_are_listed() {
        assert_eq!(suggest("keys", "color", ["a", "b"]), "known keys: a, b");
        assert_eq!(suggest("services", "color", []), "there are no services");
    }
}
