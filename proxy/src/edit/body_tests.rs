//! Whole bodies: which are read, which are edited, and how the others pass.

use super::*;
use stitch_config::data::Data;
use stitch_config::model::JsonStep;

fn path(name: &str) -> JsonPath {
    JsonPath { steps: vec![JsonStep::Key(name.to_owned())] }
}

/// Removes `secret`, sets `debug` to true, up to 64 bytes.
fn editor() -> (BodyEditor, Arc<EditStats>) {
    let stats = Arc::new(EditStats::default());
    let edit = BodyEdit {
        remove: vec![path("secret")],
        set: vec![(path("debug"), Data::Bool(true))],
        max: 64,
    };
    (BodyEditor::new(&edit, Direction::Response, stats.clone()), stats)
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn json() -> HeaderMap {
    headers(&[("content-type", "application/json")])
}

/// A body of unknown length in pieces, which may break off, and counts what was taken from it.
fn pieces(
    pieces: &[&'static str],
    end: Option<&'static str>,
) -> (Body, Arc<std::sync::atomic::AtomicUsize>) {
    let taken = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let frames = pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))));
    let frames: Vec<Result<_, BoxError>> =
        frames.chain(end.map(|error| Err(error.into()))).collect();
    let counter = taken.clone();
    let frames = frames.into_iter().inspect(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    });
    (Body::boxed(StreamBody::new(futures_util::stream::iter(frames))), taken)
}

async fn text(body: Body) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[track_caller]
fn counted(stats: &EditStats, outcome: Option<Outcome>) {
    use Outcome::*;
    for each in [Edited, Unchanged, TooLarge, Encoded, NotJson, Broken] {
        let expected = u64::from(outcome == Some(each));
        assert_eq!(stats.read(Direction::Response, each), expected, "{each:?}");
        assert_eq!(stats.read(Direction::Request, each), 0);
    }
}

#[tokio::test]
async fn json_is_edited_and_its_headers_fit_again() {
    for kind in ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"]
    {
        let (editor, stats) = editor();
        let mut headers = headers(&[
            ("content-type", kind),
            ("content-length", "18"),
            ("etag", "\"1\""),
            ("digest", "x"),
            ("content-digest", "x"),
            ("repr-digest", "x"),
            ("content-md5", "x"),
            ("cache-control", "no-store"),
        ]);
        let body = editor.apply(Body::from("{\"secret\":1,\"a\":2}"), &mut headers).await;
        assert_eq!(body.size_hint().exact(), Some(20));
        assert_eq!(text(body).await, "{\"a\":2,\"debug\":true}");
        assert_eq!(headers["content-length"], "20");
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["cache-control", "content-length", "content-type"]);
        counted(&stats, Some(Outcome::Edited));
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_gets_no_promise_of_one() {
    let (editor, stats) = editor();
    let mut headers = json();
    let (body, _) = pieces(&["{\"secr", "et\":1}"], None);
    assert_eq!(text(editor.apply(body, &mut headers).await).await, "{\"debug\":true}");
    assert_eq!(headers.len(), 1);
    counted(&stats, Some(Outcome::Edited));
}

#[tokio::test]
async fn what_need_not_change_stays_as_it_is() {
    let (editor, stats) = editor();
    let mut headers = headers(&[("content-type", "application/json"), ("etag", "\"1\"")]);
    let before = "{ \"debug\" : true, \"n\": 1e400 }\n";
    let (body, _) = pieces(&["{ \"debug\" : true", ", \"n\": 1e400 }\n"], None);
    assert_eq!(text(editor.apply(body, &mut headers).await).await, before);
    assert_eq!(headers["etag"], "\"1\"");
    counted(&stats, Some(Outcome::Unchanged));
}

#[tokio::test]
async fn what_is_no_json_passes_as_it_is() {
    for (body, outcome) in [
        (Body::from("{\"secret\":1"), Outcome::NotJson),
        (Body::from(vec![b'"', 0xff, b'"']), Outcome::NotJson),
    ] {
        let (editor, stats) = editor();
        let Body::Full(before) = &body else { panic!("a full body") };
        let (before, mut headers) = (before.clone(), json());
        let after = editor.apply(body, &mut headers).await;
        assert_eq!(after.collect().await.unwrap().to_bytes(), before);
        counted(&stats, Some(outcome));
    }
}

#[tokio::test]
async fn other_kinds_of_bodies_are_not_even_read() {
    for (lines, outcome) in [
        (&[("content-type", "text/html")][..], None),
        (&[("content-type", "application/jsonp")], None),
        (&[("content-type", "application/x-ndjson")], None),
        (&[("content-type", "application/grpc+json")], None),
        (&[("content-type", "application/grpc-web+json")], None),
        (&[], None),
        (
            &[("content-type", "application/json"), ("content-encoding", "gzip")],
            Some(Outcome::Encoded),
        ),
        (
            &[("content-type", "application/json"), ("content-range", "bytes 0-1/9")],
            Some(Outcome::Encoded),
        ),
    ] {
        let (editor, stats) = editor();
        let mut headers = headers(lines);
        let (body, taken) = pieces(&["{\"secret\":", "1}"], None);
        let body = editor.apply(body, &mut headers).await;
        assert_eq!(taken.load(std::sync::atomic::Ordering::Relaxed), 0, "{lines:?}");
        assert_eq!(text(body).await, "{\"secret\":1}");
        counted(&stats, outcome);
    }
    let (editor, stats) = editor();
    let mut headers =
        headers(&[("content-type", "application/json"), ("content-encoding", "identity")]);
    assert_eq!(text(editor.apply("{}".into(), &mut headers).await).await, "{\"debug\":true}");
    counted(&stats, Some(Outcome::Edited));
}

#[tokio::test]
async fn an_answer_to_head_keeps_the_length_that_it_promises() {
    let (editor, stats) = editor();
    let mut headers = headers(&[("content-type", "application/json"), ("content-length", "99")]);
    assert!(matches!(editor.apply(Body::Empty, &mut headers).await, Body::Empty));
    assert_eq!(headers["content-length"], "99");
    counted(&stats, None);
}

#[tokio::test]
async fn a_large_body_passes_as_it_arrives() {
    const PIECE: &str = "[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5]";
    // Its length says so: nothing is read.
    let (editor, stats) = editor();
    let known = PIECE.repeat(3);
    assert_eq!(text(editor.apply(known.clone().into(), &mut json()).await).await, known);
    counted(&stats, Some(Outcome::TooLarge));
    // It turns out: what has been read goes first, and the rest has not been waited for.
    let (editor, stats) = self::editor();
    let (body, taken) = pieces(&[PIECE; 20], None);
    let body = editor.apply(body, &mut json()).await;
    assert_eq!(taken.load(std::sync::atomic::Ordering::Relaxed), 3, "up to the bound and no more");
    assert_eq!(text(body).await, PIECE.repeat(20));
    counted(&stats, Some(Outcome::TooLarge));
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_there_again() {
    let (editor, stats) = editor();
    let (body, _) = pieces(&["{\"secret\":1,", "\"a\""], Some("reset"));
    let mut body = editor.apply(body, &mut json()).await;
    let mut seen = String::new();
    let error = loop {
        match body.frame().await.expect("no end without an error") {
            Ok(frame) => seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
            Err(error) => break error,
        }
    };
    assert_eq!((seen.as_str(), error.to_string().as_str()), ("{\"secret\":1,\"a\"", "reset"));
    assert!(body.frame().await.is_none());
    counted(&stats, Some(Outcome::Broken));
}

#[tokio::test]
async fn trailers_survive() {
    for (before, after) in [
        ("{\"secret\":1}", "{\"debug\":true}"),
        ("{\"debug\":true}", "{\"debug\":true}"),
        ("{", "{"),
    ] {
        let (editor, _) = editor();
        let trailers = headers(&[("x-sum", "1")]);
        let body = with_trailers(Bytes::from_static(before.as_bytes()), Some(trailers));
        let after_edit = editor.apply(body, &mut json()).await.collect().await.unwrap();
        assert_eq!(after_edit.trailers().unwrap()["x-sum"], "1");
        assert_eq!(after_edit.to_bytes(), after);
    }
}

#[test]
fn a_service_is_asked_for_what_can_be_edited() {
    let edit = || Some(BodyEdit { remove: vec![path("a")], set: vec![], max: 10 });
    let stats = Arc::default();
    for (edits, lines, asked) in [
        (BodyEdits { request: None, response: edit() }, &["gzip", "br"][..], &["identity"][..]),
        (BodyEdits { request: None, response: edit() }, &[], &[]),
        (BodyEdits { request: edit(), response: None }, &["gzip"], &["gzip"]),
    ] {
        let mut request = HeaderMap::new();
        for line in lines {
            request.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
        }
        BodyEditors::new(&edits, &stats).ask(&mut request);
        assert_eq!(request.get_all(ACCEPT_ENCODING).iter().collect::<Vec<_>>(), asked);
    }
}

#[tokio::test]
async fn both_directions_are_prepared_and_published() {
    let stats = Arc::new(EditStats::default());
    let edit = BodyEdit { remove: vec![path("a")], set: vec![], max: 10 };
    let editors = BodyEditors::new(&BodyEdits { request: Some(edit), response: None }, &stats);
    assert!(editors.response.is_none());
    let editor = editors.request.unwrap();
    assert_eq!(text(editor.apply("{\"a\":1}".into(), &mut json()).await).await, "{}");
    assert_eq!(stats.read(Direction::Request, Outcome::Edited), 1);
    stats.publish("users");
}
