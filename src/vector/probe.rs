//! A query prepared once and compared many times. A larger score is closer, whatever the metric.

use super::{
    encode,
    kernel::{Codes, Kernel, Numbers, Sums},
};
use crate::{
    error::{Error, Result},
    schema::{Encoding, Metric, Space},
};

/// Rows scored between passes over their scores, so that these are still in the nearest cache.
const STRIP: usize = 64;
/// Steps of the fine codes of a query per step of its coarse ones: -127..=127 covers half a step.
const FINE_STEPS: f64 = 254.0;

/// A query, checked and brought into the form in which it meets the rows of one space.
///
/// Scores are `dot`: the inner product; `cosine`: that of unit vectors, which rounding (and, under
/// [`Encoding::I8`], quantization) can carry a little beyond -1..=1; `l2`: minus the squared
/// distance. They are those of the query as given with the row as stored. Where rows are signs, the
/// query is reduced to signs too.
pub(crate) struct Probe {
    kernel: Kernel,
    metric: Metric,
    dim: usize,
    row_bytes: usize,
    query: Query,
    /// As they would be stored: of length one in a cosine space.
    numbers: Vec<f32>,
}

enum Query {
    F32(Numbers),
    F16(Numbers),
    I8(Coded),
    Binary(Vec<u8>),
    U8(Numbers),
}

/// A query as `coarse * hi + fine * lo`, in integers of 8 bits: 16 bits of every number in all.
///
/// Against rows of `i8` this makes everything but the last few operations exact and fast, and
/// leaves an error two orders of magnitude below that of the rows.
struct Coded {
    codes: Codes,
    coarse: f64,
    fine: f64,
    /// The squared length of what the codes stand for.
    squares: f64,
}

impl Probe {
    /// Prepares `query` for the rows of `space`.
    ///
    /// Fails with [`Error::Invalid`] if its numbers cannot be compared with those of the space.
    pub(crate) fn new(space: &Space, query: &[f32]) -> Result<Probe> {
        encode::check(space, query).map_err(|why| Error::invalid("the query", why))?;
        let numbers: Vec<f32> = encode::prepared(space, query).collect();
        let query = match space.encoding {
            Encoding::F32 => Query::F32(Numbers::new(&numbers)),
            Encoding::F16 => Query::F16(Numbers::new(&numbers)),
            Encoding::I8 => Query::I8(Coded::new(&numbers)),
            Encoding::Binary => {
                let mut signs = Vec::new();
                encode::encode(space, query, &mut signs)?;
                Query::Binary(signs)
            }
            Encoding::U8 => Query::U8(Numbers::new(&numbers)),
        };
        let (metric, dim) = (space.metric, space.dim as usize);
        let row_bytes = space.encoding.row_bytes(space.dim);
        Ok(Probe { kernel: Kernel::best(), metric, dim, row_bytes, query, numbers })
    }

    /// The query's numbers, as they would be stored.
    pub(crate) fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// Writes the score of each row.
    ///
    /// `rows` are as many rows as `out` has places, end to end; `scales` has one number for each
    /// under [`Encoding::I8`] and is empty otherwise. A row that no vector is encoded to, which
    /// takes a forged file, gets some finite score: the lowest there is if its own is not.
    pub(crate) fn scores(&self, rows: &[u8], scales: &[f32], out: &mut [f32]) {
        let fits = out.len().checked_mul(self.row_bytes) == Some(rows.len());
        assert!(fits, "{} scores for {} bytes of rows", out.len(), rows.len());
        let scales_wanted = if let Query::I8(_) = self.query { out.len() } else { 0 };
        assert_eq!(scales.len(), scales_wanted, "one scale for each row of i8");
        let strips = rows.chunks(STRIP * self.row_bytes).zip(out.chunks_mut(STRIP));
        for (i, (rows, out)) in strips.enumerate() {
            match &self.query {
                Query::F32(query) => self.floats(rows, out, |rows, out| match self.metric {
                    Metric::L2 => self.kernel.l2_f32(query, rows, out),
                    Metric::Dot | Metric::Cosine => self.kernel.dot_f32(query, rows, out),
                }),
                Query::F16(query) => self.floats(rows, out, |rows, out| match self.metric {
                    Metric::L2 => self.kernel.l2_f16(query, rows, out),
                    Metric::Dot | Metric::Cosine => self.kernel.dot_f16(query, rows, out),
                }),
                Query::I8(query) => {
                    self.integers(query, rows, &scales[i * STRIP..][..out.len()], out);
                }
                Query::Binary(query) => self.signs(query, rows, out),
                Query::U8(query) => self.floats(rows, out, |rows, out| match self.metric {
                    Metric::L2 => self.kernel.l2_u8(query, rows, out),
                    Metric::Dot | Metric::Cosine => self.kernel.dot_u8(query, rows, out),
                }),
            }
            for score in out {
                *score = finite(*score);
            }
        }
    }

    fn floats(&self, rows: &[u8], out: &mut [f32], kernel: impl Fn(&[u8], &mut [f32])) {
        kernel(rows, out);
        if self.metric == Metric::L2 {
            // Subtracted from zero, not negated: a distance of zero is no minus zero.
            out.iter_mut().for_each(|score| *score = 0.0 - *score);
        }
    }

    fn integers(&self, query: &Coded, rows: &[u8], scales: &[f32], out: &mut [f32]) {
        let mut strip = [Sums::default(); STRIP];
        let strip = &mut strip[..out.len()];
        if self.metric == Metric::L2 {
            self.kernel.l2_i8(&query.codes, rows, strip);
        } else {
            self.kernel.dot_i8(&query.codes, rows, strip);
        }
        for ((out, sums), &scale) in out.iter_mut().zip(strip).zip(scales) {
            let scale = f64::from(scale);
            let dot = scale * (query.coarse * f64::from(sums.hi) + query.fine * f64::from(sums.lo));
            *out = if self.metric == Metric::L2 {
                let score = 2.0 * dot - query.squares - scale * scale * f64::from(sums.squares);
                // Rounding can leave a little more than zero. `min` would make a zero of NaN.
                if score > 0.0 { 0.0 } else { score as f32 }
            } else {
                dot as f32
            };
        }
    }

    /// Vectors of +1 and -1 that differ in `h` places have the inner product `dim - 2 h`.
    fn signs(&self, query: &[u8], rows: &[u8], out: &mut [f32]) {
        self.kernel.hamming(query, rows, out);
        let dim = self.dim as f32;
        for out in out {
            *out = match self.metric {
                Metric::Dot => dim - 2.0 * *out,
                Metric::Cosine => (dim - 2.0 * *out) / dim,
                Metric::L2 => 0.0 - 4.0 * *out,
            };
        }
    }
}

impl Coded {
    fn new(numbers: &[f32]) -> Coded {
        let coarse = encode::scale(numbers.iter().copied());
        let hi: Vec<i8> = numbers.iter().map(|&x| encode::code(x, coarse)).collect();
        let coarse = f64::from(coarse);
        let fine = coarse / FINE_STEPS;
        let rest = |(&x, &hi): (&f32, &i8)| f64::from(x) - coarse * f64::from(hi);
        // A query too small to have codes at all has no fine ones either; 0 / 0 would be one.
        let lo = |rest: f64| {
            if fine == 0.0 { 0 } else { encode::rounded((rest / fine) as f32) as i8 }
        };
        let lo: Vec<i8> = numbers.iter().zip(&hi).map(rest).map(lo).collect();
        let number = |(&hi, &lo): (&i8, &i8)| coarse * f64::from(hi) + fine * f64::from(lo);
        let squares = hi.iter().zip(&lo).map(number).map(|x| x * x).sum();
        Coded { codes: Codes::new(&hi, &lo), coarse, fine, squares }
    }
}

/// The score, or the lowest there is. Without a branch, so a strip of scores is a few instructions.
fn finite(score: f32) -> f32 {
    if score.abs() <= f32::MAX { score } else { f32::MIN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{limits::COMPONENT_F16_MAX, limits::COMPONENT_MAX, schema::Schema};
    use proptest::prelude::*;

    const ENCODINGS: [Encoding; 5] =
        [Encoding::F32, Encoding::F16, Encoding::I8, Encoding::Binary, Encoding::U8];
    const METRICS: [Metric; 3] = [Metric::Dot, Metric::Cosine, Metric::L2];

    fn all_spaces(dim: usize) -> Vec<Space> {
        let pairs = ENCODINGS.into_iter().flat_map(|e| METRICS.map(|m| (e, m)));
        let pairs = pairs.filter(|pair| *pair != (Encoding::U8, Metric::Cosine));
        let schema = pairs.fold(Schema::new(), |schema, (e, m)| {
            schema.space_as(&format!("{m:?} {e:?}"), dim as u32, m, e)
        });
        schema.spaces().to_vec()
    }

    /// Rows end to end, and their scales. Where only whole numbers can be stored, they are made whole.
    fn stored(space: &Space, vectors: &[Vec<f32>]) -> (Vec<u8>, Vec<f32>) {
        let (mut rows, mut scales) = (Vec::new(), Vec::new());
        let whole = |x: &f32| x.abs().round().min(255.0);
        for vector in vectors {
            match space.encoding {
                Encoding::U8 => {
                    let vector: Vec<f32> = vector.iter().map(whole).collect();
                    encode::encode(space, &vector, &mut rows).unwrap();
                }
                _ => encode::encode(space, vector, &mut rows).unwrap(),
            }
            if space.encoding == Encoding::I8 {
                let scale = rows.split_off(rows.len() - 4);
                scales.push(f32::from_le_bytes(scale.try_into().unwrap()));
            }
        }
        (rows, scales)
    }

    fn scored(probe: &Probe, rows: &[u8], scales: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; rows.len() / probe.row_bytes];
        probe.scores(rows, scales, &mut out);
        out
    }

    /// The metric by its definition, and the size of what is added up in it.
    fn defined(space: &Space, query: &[f32], row: &[f32]) -> (f64, f64) {
        let query: Vec<f64> = match space.encoding {
            Encoding::Binary => query.iter().map(|&x| if x < 0.0 { -1.0 } else { 1.0 }).collect(),
            _ => encode::prepared(space, query).map(f64::from).collect(),
        };
        let pairs = || query.iter().zip(row).map(|(&q, &x)| (q, f64::from(x)));
        let dot: f64 = pairs().map(|(q, x)| q * x).sum();
        let l2: f64 = pairs().map(|(q, x)| (q - x).powi(2)).sum();
        let size = pairs().map(|(q, x)| q * q + x * x).sum();
        match (space.metric, space.encoding) {
            (Metric::L2, _) => (-l2, size),
            (Metric::Cosine, Encoding::Binary) => (dot / query.len() as f64, 1.0),
            (Metric::Dot | Metric::Cosine, _) => (dot, size),
        }
    }

    fn vectors() -> impl Strategy<Value = Vec<Vec<f32>>> {
        (1usize..150, 2usize..140).prop_flat_map(|(dim, rows)| {
            let number = prop_oneof![4 => -1f32..1.0, 1 => -100f32..100.0, 1 => Just(0.0)];
            let vector = prop::collection::vec(number, dim)
                .prop_filter("a direction", |v| v.iter().any(|&x| x != 0.0));
            prop::collection::vec(vector, rows)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Goal: a score is its metric, by definition, of the query and the row as stored.
        #[test]
        fn scores_are_the_metric(vectors in vectors()) {
            let query = &vectors[0];
            for space in all_spaces(query.len()) {
                let (rows, scales) = stored(&space, &vectors);
                let probe = Probe::new(&space, query).unwrap();
                let scores = scored(&probe, &rows, &scales);
                for (i, row) in rows.chunks(probe.row_bytes).enumerate() {
                    let mut numbers = Vec::new();
                    let scale = scales.get(i).copied().unwrap_or(1.0);
                    encode::decode(&space, row, scale, &mut numbers);
                    let (expected, size) = defined(&space, query, &numbers);
                    let error = (f64::from(scores[i]) - expected).abs();
                    let relative = if space.encoding == Encoding::I8 { 3e-5 } else { 2e-6 };
                    let (name, score) = (&space.name, scores[i]);
                    prop_assert!(error <= relative * size, "{name}: {score} not {expected}");
                }
            }
        }

        /// Goal: a row has the same score alone as in a block, bit for bit, so that a scan and a
        /// look at one row agree.
        #[test]
        fn a_row_alone_scores_as_in_a_block(vectors in vectors()) {
            for space in all_spaces(vectors[0].len()) {
                let (rows, scales) = stored(&space, &vectors);
                let probe = Probe::new(&space, &vectors[0]).unwrap();
                let scores = scored(&probe, &rows, &scales);
                for (i, row) in rows.chunks(probe.row_bytes).enumerate() {
                    let scale = scales.get(i..=i).unwrap_or_default();
                    let alone = scored(&probe, row, scale)[0];
                    prop_assert_eq!(alone.to_bits(), scores[i].to_bits(), "{}", &space.name);
                }
            }
        }

        /// Goal: no bytes at all make a score that is not finite. A forged file must not panic.
        #[test]
        fn any_bytes_have_a_finite_score(
            bytes in prop::collection::vec(any::<u8>(), 37 * 4 * 9),
            scales in prop::collection::vec(any::<f32>(), 9),
        ) {
            for space in all_spaces(37) {
                let probe = Probe::new(&space, &[0.5; 37]).unwrap();
                let rows = &bytes[..9 * probe.row_bytes];
                let scales = if space.encoding == Encoding::I8 { &scales[..] } else { &[] };
                let scores = scored(&probe, rows, scales);
                prop_assert!(scores.iter().all(|s| s.is_finite()), "{}: {scores:?}", &space.name);
            }
        }
    }

    #[test]
    fn what_is_not_a_number_scores_lowest() {
        for space in all_spaces(3) {
            let probe = Probe::new(&space, &[0.5; 3]).unwrap();
            let rows = vec![0xFF; probe.row_bytes];
            let scores = match space.encoding {
                Encoding::F32 | Encoding::F16 => scored(&probe, &rows, &[]),
                Encoding::I8 => scored(&probe, &rows, &[f32::NAN]),
                Encoding::Binary | Encoding::U8 => continue,
            };
            assert_eq!(scores, [f32::MIN], "{}", space.name);
        }
    }

    #[test]
    fn the_largest_vectors_have_finite_scores() {
        for space in all_spaces(4096) {
            let max = match space.encoding {
                Encoding::F16 => COMPONENT_F16_MAX,
                _ => COMPONENT_MAX,
            };
            let vectors = [vec![max; 4096], vec![-max; 4096]];
            let (rows, scales) = match space.encoding {
                Encoding::U8 => stored(&space, &[vec![255.0; 4096], vec![0.0; 4096]]),
                _ => stored(&space, &vectors),
            };
            let probe = Probe::new(&space, &vectors[0]).unwrap();
            let scores = scored(&probe, &rows, &scales);
            assert!(f32::MAX > scores[0] && scores[1] > f32::MIN);
            // Beside the largest query, all whole numbers of a byte are as far.
            let far = (space.metric, space.encoding) == (Metric::L2, Encoding::U8);
            assert!(scores[0] > scores[1] || far && scores[0] == scores[1], "{}", space.name);
        }
    }

    #[test]
    fn a_query_is_checked_as_a_vector_is() {
        let space = &all_spaces(2)[1];
        let error = Probe::new(space, &[1.0]).err().unwrap().to_string();
        assert!(error.starts_with("the query: has 1 numbers, but space \"Cosine F32\" has 2."));
        assert!(Probe::new(space, &[f32::NAN, 1.0]).is_err());
        assert!(Probe::new(space, &[0.0, 0.0]).is_err());
    }

    #[test]
    fn a_vector_is_nearest_to_itself_and_never_at_minus_zero() {
        for space in all_spaces(5).into_iter().filter(|space| space.metric == Metric::L2) {
            let vectors = [vec![1.0, -2.0, 3.0, 0.0, 0.5]];
            let (rows, scales) = stored(&space, &vectors);
            let mut query = Vec::new();
            encode::decode(&space, &rows, *scales.first().unwrap_or(&1.0), &mut query);
            let score = scored(&Probe::new(&space, &query).unwrap(), &rows, &scales)[0];
            assert!(score.abs() < 1e-6 && score.to_bits() != (-0.0f32).to_bits(), "{}", space.name);
        }
    }

    #[test]
    fn tiny_queries_score_without_codes() {
        let space = &all_spaces(2)[8];
        let probe = Probe::new(space, &[f32::from_bits(1), 0.0]).unwrap();
        assert_eq!(scored(&probe, &[100, 0], &[0.5]), [-2500.0]);
    }
}
