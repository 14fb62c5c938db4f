//! Nest: whether an ONNX file is well nested. Functions that read it call themselves for what is nested, and
//! ask for as much memory as a length says, so a file that nests without end, or whose parts are longer than
//! what they lie in, is refused before it is read.

/// Messages of ONNX that are read.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Value,
    Type,
    Sequence,
    TensorType,
    Shape,
    Tensor,
    /// One of those that have only numbers and texts: a dimension, a set of operators, a pair of texts.
    Plain,
}

/// Most messages in each other: twenty loops in loops.
const DEPTH_MAX: usize = 72;

impl Kind {
    /// What lies in a field, by the numbers of onnx.proto.
    fn inside(self, field: u64) -> Option<Kind> {
        match (self, field) {
            (Kind::Model, 7) | (Kind::Attribute, 6 | 11) => Some(Kind::Graph),
            (Kind::Graph, 1) => Some(Kind::Node),
            (Kind::Graph, 11..=13) => Some(Kind::Value),
            (Kind::Node, 5) => Some(Kind::Attribute),
            (Kind::Value, 2) | (Kind::Sequence, 1) => Some(Kind::Type),
            (Kind::Type, 4) => Some(Kind::Sequence),
            (Kind::Type, 1) => Some(Kind::TensorType),
            (Kind::TensorType, 2) => Some(Kind::Shape),
            (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) => Some(Kind::Tensor),
            (Kind::Model, 8 | 14) | (Kind::Shape, 1) | (Kind::Tensor, 13) => Some(Kind::Plain),
            _ => None,
        }
    }
}

/// What is wrong with how a file nests, if something is.
pub(super) fn wrong(bytes: &[u8]) -> Option<&'static str> {
    let mut open = vec![(Kind::Model, bytes)];
    while let Some((kind, rest)) = open.last_mut() {
        if rest.is_empty() {
            open.pop();
            continue;
        }
        let Some((field, part, after)) = field(rest) else {
            return Some(
                "cannot be read: a part of it does not end, or is longer than what it lies in",
            );
        };
        *rest = after;
        if let Some(inner) = kind.inside(field) {
            if open.len() == DEPTH_MAX {
                return Some("nests too deep");
            }
            open.push((inner, part));
        }
    }
    None
}

/// The number of the first field, its bytes if it has a length, and what comes after.
fn field(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (tag, rest) = varint(bytes)?;
    let long = match tag & 7 {
        0 => return Some((tag >> 3, &[], varint(rest)?.1)),
        1 => (8, rest),
        2 => varint(rest)?,
        5 => (4, rest),
        _ => return None,
    };
    let (part, after) = long.1.split_at_checked(usize::try_from(long.0).ok()?)?;
    Some((tag >> 3, if tag & 7 == 2 { part } else { &[] }, after))
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at).min(63);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(field: u8, inner: &[u8]) -> Vec<u8> {
        let mut bytes = vec![field << 3 | 2];
        let mut long = inner.len();
        while long >= 0x80 {
            bytes.push(long as u8 | 0x80);
            long >>= 7;
        }
        bytes.push(long as u8);
        bytes.extend(inner);
        bytes
    }

    /// Goal: loops in loops are allowed, an abyss is not. Method: graphs in attributes of nodes.
    #[test]
    fn a_file_that_nests_without_end_is_seen() {
        let graph = |depth: usize| {
            let mut bytes = Vec::new();
            for _ in 0..depth {
                bytes = wrap(1, &wrap(5, &wrap(6, &bytes)));
            }
            wrap(7, &bytes)
        };
        assert_eq!((wrong(&graph(0)), wrong(&graph(20))), (None, None));
        let deep = Some("nests too deep");
        assert_eq!((wrong(&graph(24)), wrong(&graph(5000))), (deep, deep));
    }

    /// Goal: a length beyond its message is seen, wherever the reader would believe it.
    #[test]
    fn a_part_longer_than_what_it_lies_in_is_seen() {
        assert_eq!(wrong(&[]), None);
        // In turn: a model's text, a tensor's numbers, a dimension's name; each of 127 bytes, with one.
        let long = |field: u8| vec![field << 3 | 2, 0x7f, 1];
        let dimension = wrap(7, &wrap(11, &wrap(2, &wrap(1, &wrap(2, &wrap(1, &long(2)))))));
        for bytes in [long(2), wrap(7, &wrap(5, &long(9))), dimension, vec![0xff; 40]] {
            assert!(wrong(&bytes).is_some_and(|why| why.contains("longer")), "{bytes:?}");
        }
    }
}
