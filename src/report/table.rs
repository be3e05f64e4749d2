//! The table of services for people: aligned, and no wider than the terminal where that is possible.

use super::{Colour, Listening, Paint, ServiceLine};
use std::fmt::Write as _;

const HEADINGS: [&str; 4] = ["SERVICE", "KIND", "MODE", "URL"];
const GAP: &str = "  ";

/// The whole picture: table, empty line, `ready` line.
pub(super) fn render(listening: &Listening, width: Option<usize>, paint: Paint) -> String {
    let table = services(&listening.services, width, paint);
    let gap = if table.is_empty() { "" } else { "\n" };
    format!("{table}{gap}{}\n", ready_line(listening, paint))
}

/// `ready  proxy http://127.0.0.1:8080  admin http://127.0.0.1:9900`, and what was decided at start.
pub(super) fn ready_line(listening: &Listening, paint: Paint) -> String {
    let seed = listening.seed.map(|seed| seed.to_string());
    let proxies = listening.proxy.iter().chain(&listening.also).map(|url| ("proxy", url));
    let transparent = listening.transparent.iter().map(|address| ("transparent", address));
    let rest = [
        ("mockd", &listening.mockd),
        ("admin", &listening.admin),
        ("events", &listening.events),
        ("seed", &seed),
    ];
    let rest = rest.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)));
    let mut line = paint.paint(Colour::Green, "ready");
    for (name, value) in proxies.chain(transparent).chain(rest) {
        let _ = write!(line, "{GAP}{} {value}", paint.paint(Colour::Dim, name));
    }
    if let Some(overlay) = &listening.overlay {
        let _ = write!(line, "{GAP}{} {overlay}", paint.paint(Colour::Dim, "with changes from"));
    }
    line
}

/// One line per service, more where its URLs do not fit beside each other.
fn services(services: &[ServiceLine], width: Option<usize>, paint: Paint) -> String {
    if services.is_empty() {
        return String::new();
    }
    let rows: Vec<[&str; 3]> = services
        .iter()
        .map(|service| [service.name.as_str(), service.kind, service.mode.unwrap_or("-")])
        .collect();
    let columns: [usize; 3] = std::array::from_fn(|column| {
        let widths = rows.iter().map(|row| row[column].len());
        widths.chain([HEADINGS[column].len()]).max().unwrap_or(0)
    });
    let indent = columns.iter().map(|width| width + GAP.len()).sum::<usize>();
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent));

    let mut out = String::new();
    let [name, kind, mode, url] = HEADINGS;
    let headings = cells([name, kind, mode], columns, |_, text| paint.paint(Colour::Bold, text));
    let _ = writeln!(out, "{headings}{}", paint.paint(Colour::Bold, url));
    for (row, service) in rows.into_iter().zip(services) {
        let mut lines = fill(&service.urls, room).into_iter();
        let colour = Colour::of(row[0]);
        let start = cells(row, columns, |column, text| match column {
            0 => paint.paint(colour, text),
            _ => text.to_owned(),
        });
        let first = lines.next().unwrap_or_else(|| "-".to_owned());
        let _ = writeln!(out, "{start}{first}");
        for line in lines {
            let _ = writeln!(out, "{:indent$}{line}", "");
        }
    }
    out
}

/// The first three columns. Padding follows the colour codes, which have no width.
fn cells(row: [&str; 3], columns: [usize; 3], style: impl Fn(usize, &str) -> String) -> String {
    row.into_iter().enumerate().fold(String::new(), |mut line, (column, text)| {
        let padding = columns[column] - text.len();
        let _ = write!(line, "{}{:padding$}{GAP}", style(column, text), "");
        line
    })
}

/// As many URLs per line as there is room for, at least one.
fn fill(urls: &[String], room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for url in urls {
        match lines.last_mut() {
            Some(line) if line.len() + GAP.len() + url.len() <= room => {
                let _ = write!(line, "{GAP}{url}");
            }
            _ => lines.push(url.clone()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, kind: &'static str, urls: &[&str]) -> ServiceLine {
        let mode = (kind != "infra").then_some("mock-then-real");
        ServiceLine {
            name: name.into(),
            kind,
            mode,
            urls: urls.iter().map(ToString::to_string).collect(),
        }
    }

    fn listening() -> Listening {
        let urls = ["http://127.0.0.1:8001", "http://[::1]:8001"];
        Listening {
            proxy: Some("http://127.0.0.1:8080".into()),
            admin: Some("http://127.0.0.1:9900".into()),
            services: vec![line("users", "mixed", &urls), line("payments", "infra", &[])],
            ..Listening::default()
        }
    }

    #[test]
    fn columns_are_aligned() {
        assert_eq!(
            render(&listening(), None, Paint::OFF),
            "\
SERVICE   KIND   MODE            URL
users     mixed  mock-then-real  http://127.0.0.1:8001  http://[::1]:8001
payments  infra  -               -

ready  proxy http://127.0.0.1:8080  admin http://127.0.0.1:9900
"
        );
    }

    #[test]
    fn urls_wrap_under_their_column() {
        for width in [0, 40, 72] {
            let table = render(&listening(), Some(width), Paint::OFF);
            let wrapped =
                "http://127.0.0.1:8001\n                                 http://[::1]:8001\n";
            assert!(table.contains(wrapped), "{width}: {table}");
        }
        let table = render(&listening(), Some(73), Paint::OFF);
        assert!(table.contains("8001  http://[::1]:8001\n"), "{table}");
    }

    #[test]
    fn colours_change_no_width() {
        let painted = render(&listening(), Some(40), Paint::ON);
        assert!(painted.contains("\x1b["), "{painted}");
        let mut plain = String::new();
        for part in painted.split('\x1b') {
            plain.push_str(
                part.strip_prefix('[')
                    .map_or(part, |code| code.split_once('m').map_or(code, |(_, text)| text)),
            );
        }
        assert_eq!(plain, render(&listening(), Some(40), Paint::OFF));
    }

    #[test]
    fn the_ready_line_tells_what_was_decided() {
        let listening = Listening {
            proxy: Some("http://a".into()),
            also: vec!["http://b".into()],
            transparent: vec!["127.0.0.1:15001".into()],
            mockd: Some("http://m".into()),
            events: Some("in-process".into()),
            seed: Some(7),
            overlay: Some("stitch.overlay.yaml".into()),
            ..Listening::default()
        };
        assert_eq!(
            render(&listening, None, Paint::OFF),
            "ready  proxy http://a  proxy http://b  transparent 127.0.0.1:15001  mockd http://m  \
             events in-process  seed 7  with changes from stitch.overlay.yaml\n"
        );
    }
}
