//! The nearest of some names to one that is none of them: what was probably meant.

use strsim::damerau_levenshtein;

/// The known name that differs least from this one, by at most a third of its letters.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let differs_most = name.chars().count().div_ceil(3);
    let distances = known.into_iter().map(|known| (damerau_levenshtein(name, known), known));
    let nearest = distances.filter(|(distance, _)| *distance <= differs_most).min_by_key(|(distance, _)| *distance);
    nearest.map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slip_is_known_and_another_word_is_not() {
        let known = ["email", "reports", "billing"];
        for (name, meant) in [("emial", Some("email")), ("report", Some("reports")), ("cat", None), ("", None)] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
    }
}
