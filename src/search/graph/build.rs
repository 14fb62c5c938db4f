//! Building a graph: from the vectors of a segment to the sections of a file.

use super::{
    Meta, by_distance,
    course::Keep,
    grow::{Care, Grow},
    links::LINKS_BYTES,
    seed::Seed,
    sums::sums_of,
    trials,
};
use crate::{
    error::{Error, Result},
    format::{Kind, codec, columns::raw, sink::Sink},
    io::{AlignedBytes, hot::Hot},
    progress::Progress,
    schema::Space,
    segment::{Segment, numbers},
    vector::{encode, hop::Layout, rotate::Rotation, signs},
};
use std::sync::Arc;

/// What to build, and with how much.
pub(crate) struct Plan<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) space: &'a Space,
    pub(crate) threads: usize,
    /// Heap memory that the build may take.
    pub(crate) memory_bytes: u64,
    /// What to begin with.
    pub(crate) seed: Option<Arc<Seed>>,
}

/// A graph on the heap, not yet written.
pub(crate) struct Built {
    meta: Meta,
    center: Vec<f32>,
    grown: Grow,
    /// A checksum of each stored vector.
    vector_sums: Vec<u32>,
    /// The signs of each node.
    signs: AlignedBytes,
}

/// Of the rotation: any number will do.
const SEED: u64 = 0x0b0e_7b1d;
/// Vectors of up to so many numbers get two bits per number in codes: one says too little of them.
const TWO_BITS_DIM_MAX: usize = 128;
/// Of vectors with at least so many numbers, codes cover half: a row is then three fifths as long, and
/// what its estimates are worse by costs less than reading the rest did.
const HALF_CODED_DIM_MIN: usize = 512;
/// Doors, each with 32 nodes to begin with.
const DOORS: usize = 8;
/// Vectors decoded, or rows written, at a time.
const PIECE: u32 = 4096;

/// Builds a graph. The same plan gives the same bytes, for any number of threads, and however often it
/// was cut short and went on from what `keep` kept.
///
/// # Errors
/// `Cancelled` when `progress` says so; `Invalid` when the memory limit is too small for any graph.
pub(crate) fn build(
    plan: &Plan<'_>,
    keep: &mut Keep<'_>,
    progress: &mut Progress<'_>,
) -> Result<Built> {
    let count = plan.segment.space(plan.space)?.map_or(0, |stored| stored.count);
    let layout = layout(plan, count)?;
    let l2 = by_distance(plan.space);
    let rotation = Rotation::new(plan.space.dim as usize, SEED);
    let mut center = vec![0f32; plan.space.dim as usize];
    progress.begin(0)?;
    if l2 {
        let mut sums = vec![0f64; center.len()];
        let go_on = &mut || progress.check();
        each_vector(plan.segment, plan.space, go_on, &mut |_, vector| {
            sums.iter_mut().zip(vector).for_each(|(sum, x)| *sum += f64::from(*x));
        })?;
        let mean = |sum: &f64| (sum / f64::from(count.max(1))) as f32;
        center.iter_mut().zip(&sums).for_each(|(center, sum)| *center = mean(sum));
    }
    let mut vector_sums = Vec::with_capacity(count as usize);
    let sign_bytes = signs::stride(layout.padded);
    let mut signs = AlignedBytes::zeroed(count as usize * sign_bytes);
    let mut codes = signs.chunks_exact_mut(sign_bytes);
    let turn = (&center[..], &rotation, &layout);
    let go_on = &mut || progress.check();
    let owns = owns(plan.segment, plan.space, turn, go_on, &mut |bytes, turned| {
        vector_sums.extend(sums_of(bytes, bytes.len()));
        codes.next().into_iter().for_each(|codes| signs::encode(turned, codes));
    })?;
    let mut grown = Grow::new((layout, l2), count, plan.threads, Care::for_count(count), owns)?;
    grown.grow(plan.seed.as_deref(), DOORS, (keep, progress))?;
    let vectors = (plan.segment, plan.space);
    let [trials, row_trials] = trials::calibrate(&grown, vectors, &signs, progress)?;
    let doors = (grown.doors.len() / layout.stride) as u32;
    let meta = Meta {
        nodes: count,
        dim: plan.space.dim,
        coded: layout.coded as u32,
        bits: layout.bits as u32,
        seed: SEED,
        scales: grown.measure.scales,
        doors,
        trials,
        row_trials,
    };
    Ok(Built { meta, center, grown, vector_sums, signs })
}

/// The richest layout whose graph fits the memory.
fn layout(plan: &Plan<'_>, count: u32) -> Result<Layout> {
    let padded = (plan.space.dim as usize).next_multiple_of(16);
    let bits = if padded <= TWO_BITS_DIM_MAX { 2 } else { 1 };
    let half = (padded / 2).next_multiple_of(16);
    let choices = [(padded, bits), (padded, 1), (half, 1), ((half / 2).next_multiple_of(16), 1)];
    let richest = if padded >= HALF_CODED_DIM_MIN { 2 } else { 0 };
    let signs = signs::stride(padded);
    let needs =
        |layout: &Layout| u64::from(count) * (layout.stride + layout.own + signs + 64) as u64;
    let layouts = choices.map(|(coded, bits)| Layout::new(padded, coded, bits));
    let found = layouts.into_iter().skip(richest).find(|layout| needs(layout) <= plan.memory_bytes);
    found.ok_or_else(|| {
        let (need, have) = (needs(&layouts[3]), plan.memory_bytes);
        let why = format!(
            "leaves {have} bytes for building the graph of space {:?} over {count} vectors, which \
             takes {need}; the part is scanned. Raise it, or set `Graphs::Off`",
            plan.space.name
        );
        Error::invalid("memory_limit_bytes", why)
    })
}

/// Gets a vector as it is stored, and decoded or rotated.
type Visit<'v> = dyn FnMut(&[u8], &[f32]) + 'v;
/// Is asked before every piece.
type GoOn<'g> = dyn FnMut() -> Result<()> + 'g;

/// The own codes of all vectors of a space, each of which `visit` gets.
pub(super) fn owns(
    segment: &Segment,
    space: &Space,
    (center, rotation, layout): (&[f32], &Rotation, &Layout),
    go_on: &mut GoOn<'_>,
    visit: &mut Visit<'_>,
) -> Result<AlignedBytes> {
    let count = segment.space(space)?.map_or(0, |stored| stored.count);
    let mut owns = AlignedBytes::zeroed(count as usize * layout.own);
    let mut rest = owns.chunks_exact_mut(layout.own);
    let (mut moved, mut turned) = (vec![0f32; center.len()], vec![0f32; layout.padded]);
    each_vector(segment, space, go_on, &mut |bytes, vector| {
        let Some(own) = rest.next() else { return };
        moved.iter_mut().zip(vector).zip(center).for_each(|((to, x), c)| *to = x - c);
        rotation.apply(&moved, &mut turned);
        code(&turned, own);
        visit(bytes, &turned);
    })?;
    Ok(owns)
}

/// Every vector of the space, by place.
fn each_vector(
    segment: &Segment,
    space: &Space,
    go_on: &mut GoOn<'_>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let Some(stored) = segment.space(space)? else { return Ok(()) };
    let (dim, mut vectors, mut from) = (space.dim as usize, Vec::new(), 0);
    while from < stored.count {
        go_on()?;
        let to = stored.count.min(from + PIECE);
        let bytes = stored.read(from, to)?;
        let scales = match stored.scales {
            Some(section) => {
                let bytes = section.read(u64::from(from) * 4..u64::from(to) * 4)?;
                numbers::<f32>(section, &bytes)?.to_vec()
            }
            None => Vec::new(),
        };
        vectors.clear();
        for (at, row) in bytes.chunks_exact(stored.row_bytes as usize).enumerate() {
            let scale = scales.get(at).copied().unwrap_or(1.0);
            encode::decode(space, row, scale, &mut vectors);
        }
        // Numbers that no vector was written with take a forged file; they must not spread.
        vectors.iter_mut().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
        let rows = bytes.chunks_exact(stored.row_bytes as usize);
        rows.zip(vectors.chunks_exact(dim)).for_each(|(row, vector)| visit(row, vector));
        from = to;
    }
    Ok(())
}

/// A rotated vector as an own code: whole steps of a scale of its own.
fn code(turned: &[f32], own: &mut [u8]) {
    let largest = turned.iter().fold(0f32, |max, x| max.max(x.abs()));
    let scale = largest / 127.0;
    let per_step = if scale > 0.0 { scale.recip() } else { 0.0 };
    let mut norm = 0f32;
    for (x, code) in turned.iter().zip(own.iter_mut()) {
        let step = (x * per_step).round().clamp(-127.0, 127.0);
        *code = (step as i8).cast_unsigned();
        norm += step * scale * step * scale;
    }
    let end = own.len() - 8;
    own[end..end + 4].copy_from_slice(&norm.to_le_bytes());
    own[end + 4..].copy_from_slice(&scale.to_le_bytes());
}

impl Built {
    /// Writes the graph's sections.
    pub(crate) fn save(&self, sink: &mut Sink, progress: &mut Progress<'_>) -> Result<()> {
        let mut meta = Vec::new();
        codec::encode(&self.meta, &mut meta).map_err(|why| Error::invalid("graph", why))?;
        sink.section(Kind::GRAPH_META, 0, &meta)?;
        sink.section(Kind::GRAPH_CENTER, 0, raw(&self.center))?;
        sink.section(Kind::GRAPH_DOORS, 0, &self.grown.doors)?;
        sink.begin(Kind::GRAPH_NODES, 0)?;
        let layout = self.grown.measure.layout;
        let mut row_sums: Vec<u32> = Vec::with_capacity(self.vector_sums.len());
        for piece in self.grown.rows.chunks(PIECE as usize * layout.stride) {
            progress.check()?;
            for row in piece.chunks_exact(layout.stride) {
                let links = &row[layout.ids..][..LINKS_BYTES];
                row_sums.extend(sums_of(links, LINKS_BYTES));
                sink.write(links)?;
            }
        }
        sink.section(Kind::GRAPH_ROW_SUMS, 0, raw(&row_sums))?;
        sink.section(Kind::GRAPH_VECTOR_SUMS, 0, raw(&self.vector_sums))?;
        sink.section(Kind::GRAPH_SIGNS, 0, &self.signs)?;
        Ok(())
    }

    /// The rows, which need not be made again in this process.
    pub(crate) fn into_rows(self) -> Hot {
        self.grown.rows
    }
}
