/// A number as logs and pages may show it: `***` and its last four digits, whatever it looked like
/// (`+1 (555) 123-4567`, `tel:...`, `sip:+15551234567@host` all give `***4567`). Without a digit only `***`.
#[must_use]
pub fn mask_number(number: &str) -> String {
    // Of an address only the user part is the number: its host has digits too.
    let user = number.split(['@', ';']).next().unwrap_or_default();
    let mut last: Vec<char> = user.chars().rev().filter(char::is_ascii_digit).take(4).collect();
    last.reverse();
    let mut masked = "***".to_owned();
    masked.extend(last);
    masked
}

#[cfg(test)]
mod tests {
    use super::mask_number;

    #[test]
    fn keeps_the_last_four_digits() {
        let table = [
            ("+15551234567", "***4567"),
            ("+1 (555) 123-4567", "***4567"),
            ("sip:+15551234567@10.0.0.99:5060", "***4567"),
            ("tel:+15551234567;phone-context=9999", "***4567"),
            ("6001", "***6001"),
            ("12", "***12"),
            ("anonymous", "***"),
            ("sip:alice@10.0.0.99", "***"),
            ("", "***"),
            ("+٣٤٥٦", "***"),
        ];
        for (number, masked) in table {
            assert_eq!(mask_number(number), masked, "{number}");
        }
    }
}
