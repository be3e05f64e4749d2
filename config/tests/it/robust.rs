//! Nothing that stands in a file can make the loader panic.

use super::read;
use std::fs;

fn everything() -> String {
    fs::read_to_string("tests/fixtures/valid/everything.yaml").unwrap()
}

/// xorshift64: the same mutations in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

#[test]
fn a_file_cut_at_any_byte_does_not_panic() {
    let text = everything();
    let mut broken = 0;
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let loaded = read(&text[..end]);
        broken += usize::from(loaded.report.has_errors());
        loaded.report.render(&loaded.sources);
    }
    assert!(broken > text.len() / 2, "only {broken} of {} cuts break the file", text.len());
}

#[test]
fn random_changes_do_not_panic() {
    let text: Vec<char> = everything().chars().collect();
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ":",
        "-",
        " ",
        "\n",
        "\t",
        "\"",
        "'",
        "*a",
        "&a ",
        "!x ",
        "|",
        ">",
        "#",
        "${",
        "$${",
        "${PORT}",
        "~",
        "0",
        "-1",
        "1e999",
        "é",
        "\u{0}",
        "\u{feff}",
        "<<: ",
        "? ",
        "---\n",
        "..",
        "%",
        "{{ x }}",
        "99999999999999999999",
        "services:",
        "path: ",
        "null",
    ];
    let mut dice = Dice(0x5eed);
    let mut broken = 0;
    for _ in 0..3000 {
        let mut changed = text.clone();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(changed.len());
            let end = (at + dice.roll(12)).min(changed.len());
            let piece = pieces[dice.roll(pieces.len())];
            changed.splice(at..end, piece.chars());
        }
        let loaded = read(&changed.into_iter().collect::<String>());
        broken += usize::from(loaded.report.has_errors());
        loaded.report.render(&loaded.sources);
        stitch_config::dump(&loaded.config);
    }
    assert!(broken > 1500, "only {broken} of 3000 changes break the file");
}
