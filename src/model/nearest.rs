//! Nearest: a graph over a model's vectors of items, for vocabularies that take long to score whole.
//!
//! The vectors are a segment of their own, row by code, and the graph is the one that spaces of a
//! database have; both lie in the artifact's sections under numbers of their own.

use crate::{
    artifact::{Opened, Saved},
    error::Result,
    format::{Kind, batch::Row, codec::Blob, envelope::Sections, sink::Sink},
    key::{Key, Seq},
    limits::EFFORT_MAX,
    model::method::Vectors,
    progress::Progress,
    schema::{Metric, Schema, Space},
    search::{
        choose::{Choice, Task, choose},
        graph::{
            Graph,
            build::{self, Plan},
            walk::{Ask, walk},
        },
        scan::Query,
        top::Top,
    },
    segment::{self, Segment, bits::Bits},
    store::check_number,
    vector::{encode, probe::Probe},
};
use std::sync::Arc;

/// What the numbers of sections of the segment, and of the graph, begin at: the kind is added.
const SEGMENT: u16 = 1_000;
const GRAPH: u16 = 2_000;
/// Kinds are below this.
const KINDS: u16 = 256;
/// The one space that the segment has.
const SPACE: &str = "out";

/// Vectors of items, and the graph over them.
#[derive(Debug)]
pub(crate) struct Nearest {
    space: Arc<Space>,
    segment: Segment,
    graph: Graph,
}

fn schema(dim: usize) -> Schema {
    Schema::new().space(SPACE, dim as u32, Metric::Dot)
}

impl Nearest {
    /// Builds the graph.
    ///
    /// # Errors
    /// `Cancelled`; `Invalid` for vectors of more than 4,096 numbers.
    pub(crate) fn build(
        vectors: Vectors<'_>,
        threads: usize,
        progress: &mut Progress<'_>,
    ) -> Result<Nearest> {
        let schema = schema(vectors.dim);
        schema.check()?;
        let space = Arc::new(schema.find_space(SPACE)?.clone());
        let mut rows = Vec::with_capacity(vectors.out.len() / vectors.dim);
        for (code, vector) in (0u64..).zip(vectors.out.chunks_exact(vectors.dim)) {
            let mut bytes = Vec::new();
            encode::encode(&space, vector, &mut bytes)?;
            let vectors = vec![(space.id, Blob(bytes))];
            rows.push(Row { key: Key::Id(code), vectors, attrs: Vec::new() });
        }
        let refs: Vec<&Row> = rows.iter().collect();
        let segment = segment::build::fresh(&schema, (&refs, &[]), Seq(1), 0)?;
        drop(rows);
        let plan =
            Plan { segment: &segment, space: &space, threads, memory_bytes: u64::MAX, seed: None };
        let built = build::build(&plan, &mut |_, _| Ok(()), progress)?;
        let mut sink = Sink::heap();
        built.save(&mut sink, progress)?;
        let graph = Graph::open(sink.into_heap()?, &segment, &space)?;
        let graph = graph.with_rows(built.into_rows(), None);
        Ok(Nearest { space, segment, graph })
    }

    /// The codes with the best scores among those allowed, best first; `None` if scoring all of them
    /// is less work, or the walk did not find as many as there are.
    pub(crate) fn best(
        &self,
        user: &[f32],
        allowed: &Bits,
        (limit, effort): (usize, u32),
    ) -> Result<Option<Vec<(f32, u32)>>> {
        let rows = u64::from(self.segment.rows());
        let dim = self.space.dim;
        let task = Task { rows, allowed: allowed.len(), dim, queries: 1, k: limit, effort };
        if choose(&task) == Choice::Scan {
            return Ok(None);
        }
        let probe = Probe::new(&self.space, user)?;
        let queries = [Query { space: self.space.clone(), probe, weight: 1.0 }];
        let may = |row: u32| allowed.contains(row);
        let whole = allowed.len() == rows;
        // Items that are alike score alike, so more of them are scored exactly than are wanted.
        let wide = limit.saturating_mul(2).saturating_add(64);
        let ask = Ask {
            graph: &self.graph,
            segment: &self.segment,
            queries: &queries,
            allowed: if whole { None } else { Some(&may) },
            share: allowed.len() as f32 / rows as f32,
            k: wide,
            effort,
        };
        let mut top = Top::new(wide);
        walk(&ask, &mut top)?;
        let mut found = top.into_sorted();
        found.truncate(limit);
        Ok((found.len() == limit).then_some(found))
    }

    /// Whether an effort can be asked for.
    pub(crate) fn check_effort(name: &str, effort: u32) -> Result<()> {
        check_number(name, effort as usize, EFFORT_MAX as usize)
    }

    pub(crate) fn save(&self, out: &mut Saved) -> Result<()> {
        for (from, sections) in [(SEGMENT, &self.segment.sections), (GRAPH, self.graph.sections())]
        {
            for section in sections.iter() {
                out.section(from + section.kind.0, &section.all()?)?;
            }
        }
        Ok(())
    }

    /// What `save` wrote, read in place; `None` if there is none.
    pub(crate) fn open(from: &Opened, (items, dim): (usize, usize)) -> Result<Option<Nearest>> {
        let schema = schema(dim);
        let Ok(space) = schema.find_space(SPACE) else { return Ok(None) };
        let space = Arc::new(space.clone());
        let own = |first: u16, field: &dyn Fn(Kind) -> u16| -> Sections {
            let first = Kind::ARTIFACT_FIRST + first;
            let kinds = first..first + KINDS;
            let mine = from.all().iter().filter(|section| kinds.contains(&section.kind.0));
            let named = mine.map(|section| {
                let kind = Kind(section.kind.0 - first);
                section.renamed(kind, field(kind))
            });
            Sections::part_of(&from.all().path, named.collect())
        };
        let of_space = [Kind::VECTORS, Kind::VECTOR_ROWS, Kind::SCALES];
        let sections = own(SEGMENT, &|kind| if of_space.contains(&kind) { space.id } else { 0 });
        if sections.iter().next().is_none() {
            return Ok(None);
        }
        let segment = Segment::open(sections, 0)?;
        if segment.rows() as usize != items {
            return Err(from.damage("rows of the vectors"));
        }
        let graph = own(GRAPH, &|_| 0);
        if graph.get(Kind::GRAPH_META, 0).is_none() {
            // Of a layout that is no longer read.
            return Ok(None);
        }
        let graph = Graph::open(graph, &segment, &space)?;
        let graph = graph.warmed((&segment, &space), (1, None), &mut || Ok(()))?;
        Ok(Some(Nearest { space, segment, graph }))
    }
}
