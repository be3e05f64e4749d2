//! Many patterns, one look-up whose cost does not depend on how many there are.
//!
//! Fully literal patterns sit in one hash map; the others in a trie of segments; regular
//! expressions in a list that is only read when nothing else matched.

use super::path::{Kind, PathPattern, Segment, decode, split_segment};
use hashbrown::HashMap;

/// Values by path pattern, found in order of precedence.
#[derive(Clone, Debug)]
pub struct PathIndex<T> {
    entries: Vec<T>,
    literal: HashMap<String, Vec<usize>>,
    nodes: Vec<Node>,
    regexes: Vec<(PathPattern, usize)>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<String, usize>,
    param: Option<usize>,
    /// Entries whose pattern ends here.
    ends: Vec<usize>,
    /// Entries whose pattern goes on with `**`.
    rests: Vec<usize>,
}

impl<T> Default for PathIndex<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            literal: HashMap::new(),
            nodes: vec![Node::default()],
            regexes: Vec::new(),
        }
    }
}

impl<T> PathIndex<T> {
    /// Adds a value. Among values of the same shape, the one added first is tried first.
    pub fn insert(&mut self, pattern: &PathPattern, value: T) {
        let entry = self.entries.len();
        self.entries.push(value);
        match pattern.kind() {
            Kind::Regex(_) => self.regexes.push((pattern.clone(), entry)),
            Kind::Segments(segments) if pattern.is_literal() => {
                let path = segments.iter().fold(String::new(), |path, segment| match segment {
                    Segment::Literal(text) => path + "/" + text,
                    Segment::Param(_) | Segment::Rest => path,
                });
                self.literal.entry(path).or_default().push(entry);
            }
            Kind::Segments(segments) => self.insert_segments(segments, entry),
        }
    }

    /// The most specific value that matches the path and that `accept` takes.
    ///
    /// `accept` sees candidates from the most to the least specific, each at most once.
    pub fn find(&self, path: &str, mut accept: impl FnMut(&T) -> bool) -> Option<&T> {
        let mut take = |entry: &usize| accept(&self.entries[*entry]);
        let entry = self
            .find_literal(path)
            .and_then(|entries| entries.iter().find(|entry| take(entry)))
            .or_else(|| self.descend(0, path.strip_prefix('/'), &mut take))
            .or_else(|| {
                let mut matching = self.regexes.iter().filter(|(regex, _)| regex.matches(path));
                matching.find(|(_, entry)| take(entry)).map(|(_, entry)| entry)
            })?;
        Some(&self.entries[*entry])
    }

    /// Every value, in the order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    /// Whether nothing was inserted.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find_literal(&self, path: &str) -> Option<&Vec<usize>> {
        if self.literal.is_empty() {
            return None;
        }
        if !path.contains('%') {
            return self.literal.get(path);
        }
        // An encoded slash is data; such a path equals no literal pattern but one that spells it so.
        let decoded: Vec<_> = path.split('/').map(decode).collect();
        if decoded.iter().any(|segment| segment.contains('/')) {
            return None;
        }
        self.literal.get(&decoded.join("/"))
    }

    fn insert_segments(&mut self, segments: &[Segment], entry: usize) {
        let mut at = 0;
        for segment in segments {
            at = match segment {
                Segment::Rest => {
                    self.nodes[at].rests.push(entry);
                    return;
                }
                Segment::Literal(text) => match self.nodes[at].literals.get(text) {
                    Some(next) => *next,
                    None => {
                        let next = self.grow();
                        self.nodes[at].literals.insert(text.clone(), next);
                        next
                    }
                },
                Segment::Param(_) => match self.nodes[at].param {
                    Some(next) => next,
                    None => {
                        let next = self.grow();
                        self.nodes[at].param = Some(next);
                        next
                    }
                },
            };
        }
        self.nodes[at].ends.push(entry);
    }

    fn grow(&mut self) -> usize {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }

    /// Depth is bounded by the longest pattern, not by the path.
    fn descend<'a>(
        &'a self,
        at: usize,
        left: Option<&str>,
        take: &mut impl FnMut(&usize) -> bool,
    ) -> Option<&'a usize> {
        let node = &self.nodes[at];
        let Some(left) = left else {
            return node.ends.iter().chain(&node.rests).find(|entry| take(entry));
        };
        let (part, after) = split_segment(left);
        let literal = match node.literals.is_empty() {
            true => None,
            false => node.literals.get(&*decode(part)),
        };
        if let Some(found) = literal.and_then(|next| self.descend(*next, after, take)) {
            return Some(found);
        }
        let param = node.param.filter(|_| !part.is_empty());
        if let Some(found) = param.and_then(|next| self.descend(next, after, take)) {
            return Some(found);
        }
        node.rests.iter().find(|entry| take(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(patterns: &[&'static str]) -> PathIndex<&'static str> {
        let mut index = PathIndex::default();
        for text in patterns {
            index.insert(&PathPattern::parse(text).unwrap(), *text);
        }
        index
    }

    fn first(index: &PathIndex<&'static str>, path: &str) -> Option<&'static str> {
        index.find(path, |_| true).copied()
    }

    #[test]
    fn literal_beats_name_beats_rest_beats_regex() {
        let index = index(&["~^/a/b$", "/**", "/a/**", "/a/{x}", "/a/b"]);
        let mut order = Vec::new();
        index.find("/a/b", |entry| {
            order.push(*entry);
            false
        });
        assert_eq!(order, ["/a/b", "/a/{x}", "/a/**", "/**", "~^/a/b$"]);
    }

    #[test]
    fn the_first_differing_segment_decides() {
        let index = index(&["/{tenant}/users", "/acme/{what}", "/acme/{what}/x"]);
        assert_eq!(first(&index, "/acme/users"), Some("/acme/{what}"));
        assert_eq!(first(&index, "/other/users"), Some("/{tenant}/users"));
        assert_eq!(first(&index, "/acme"), None);
    }

    #[test]
    fn a_dead_end_is_left_again() {
        let index = index(&["/a/b/c", "/a/{x}/d", "/{y}/b/e"]);
        assert_eq!(first(&index, "/a/b/d"), Some("/a/{x}/d"));
        assert_eq!(first(&index, "/a/b/e"), Some("/{y}/b/e"));
    }

    #[test]
    fn equal_shapes_keep_file_order() {
        let index = index(&["/u/{id}", "/u/{name}"]);
        assert_eq!(first(&index, "/u/1"), Some("/u/{id}"));
        assert_eq!(index.find("/u/1", |p| *p != "/u/{id}"), Some(&"/u/{name}"));
    }

    #[test]
    fn encoded_paths_match_their_decoded_patterns() {
        let index = index(&["/a b/c", "/x/{y}"]);
        assert_eq!(first(&index, "/a%20b/c"), Some("/a b/c"));
        assert_eq!(first(&index, "/a%20b%2Fc"), None);
        assert_eq!(first(&index, "/x/1%2F2"), Some("/x/{y}"));
    }

    #[test]
    fn the_root_and_the_rest() {
        let index = index(&["/", "/s/**"]);
        assert_eq!(first(&index, "/"), Some("/"));
        assert_eq!(first(&index, "/s"), Some("/s/**"));
        assert_eq!(first(&index, "/s/"), Some("/s/**"));
        assert_eq!(first(&index, "*"), None);
    }
}
