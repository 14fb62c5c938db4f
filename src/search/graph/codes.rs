//! The signs of the nodes of a file: one bit per number of each, close together.

use super::Graph;
use crate::{
    error::Result,
    format::{Kind, section::Section},
    vector::{kernel::hop::touch, signs},
};

/// Where they are read.
pub(super) struct Codes<'a> {
    section: &'a Section,
    /// A copy in memory.
    hot: Option<&'a [u8]>,
    /// Bytes of each.
    stride: usize,
}

impl<'a> Codes<'a> {
    pub(super) fn of(graph: &'a Graph) -> Result<Codes<'a>> {
        let section = graph.sections.need(Kind::GRAPH_SIGNS, 0)?;
        let hot = graph.hot_signs.get().map(|(copy, _)| &copy[..]);
        Ok(Codes { section, hot, stride: signs::stride(graph.rotation.padded()) })
    }

    /// Appends the signs of a node; an error if there is no such node.
    #[inline]
    pub(super) fn append(&self, node: u32, codes: &mut Vec<u8>) -> Result<()> {
        let from = node as usize * self.stride;
        let ready = match self.hot {
            Some(hot) => hot.get(from..from + self.stride),
            None => self.section.ready(from as u64, self.stride as u64),
        };
        match ready {
            Some(bytes) => codes.extend_from_slice(bytes),
            None => {
                let range = from as u64..(from + self.stride) as u64;
                codes.extend_from_slice(&self.section.read(range)?);
            }
        }
        Ok(())
    }

    /// Asks for the signs of a node to be brought nearer.
    #[inline]
    pub(super) fn touch(&self, node: u32) {
        let from = node as usize * self.stride;
        let bytes = match self.hot {
            Some(hot) => hot.get(from..from + self.stride),
            None => self.section.peek(from as u64..(from + self.stride) as u64),
        };
        bytes.into_iter().for_each(touch);
    }
}
