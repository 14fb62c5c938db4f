//! Nest: how deep an ONNX file nests. Functions that read it call themselves for what is nested, so a
//! file that nests without end is refused before it is read.

/// Messages of ONNX in which messages of the same kind may lie.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Value,
    Type,
    Sequence,
}

/// Most messages in each other: twenty loops in loops.
const DEPTH_MAX: usize = 64;

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
            _ => None,
        }
    }
}

/// Whether a file nests no deeper than a reader can go. Of what cannot be read it says nothing: the
/// reader will.
pub(super) fn shallow(bytes: &[u8]) -> bool {
    let mut open = vec![(Kind::Model, bytes)];
    while let Some((kind, rest)) = open.last_mut() {
        let Some((field, part, after)) = field(rest) else {
            open.pop();
            continue;
        };
        *rest = after;
        if let Some(inner) = kind.inside(field) {
            if open.len() == DEPTH_MAX {
                return false;
            }
            open.push((inner, part));
        }
    }
    true
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
        assert!(shallow(&graph(0)) && shallow(&graph(20)));
        assert!(!shallow(&graph(21)) && !shallow(&graph(5000)));
    }

    #[test]
    fn noise_is_left_to_the_reader() {
        assert!(shallow(&[]) && shallow(&[0xff; 40]) && shallow(&[0x3a, 0x7f, 1]));
    }
}
