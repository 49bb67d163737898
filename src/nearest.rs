//! The nearest known name to one that is not known: most often that was meant.

/// `; did you mean "email"?`, or nothing.
pub fn did_you_mean<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    nearest(name, known).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// The name that differs least from this one: in one of three signs at most, also where two neighbours are swapped.
pub fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let length = |name: &str| name.chars().count();
    let is_near = |(distance, known): &(usize, &str)| distance * 3 <= length(name).max(length(known));
    let others = known.filter(|known| *known != name);
    others.map(|known| (strsim::osa_distance(name, known), known)).filter(is_near).min().map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_may_have_been_meant() {
        let known = ["email", "mail", "bulk", "reports-daily", "q"];
        let near = |name: &str| nearest(name, known.into_iter());
        assert_eq!(
            [near("emial"), near("emai"), near("reports_daily")],
            [Some("email"), Some("email"), Some("reports-daily")]
        );
        assert_eq!(
            [near("bilk"), near("bulky"), near("thumbs"), near("r"), near("")],
            [Some("bulk"), Some("bulk"), None, None, None]
        );
        assert_eq!(near("email"), Some("mail"), "no name is the nearest to itself");
        assert_eq!(nearest("mail", ["mails", "maid"].into_iter()), Some("maid"), "of equals the first by name");
        assert_eq!(did_you_mean("emial", known.into_iter()), "; did you mean \"email\"?");
    }
}
