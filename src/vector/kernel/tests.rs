//! Goal: every kernel agrees with its plain twin, and scores a row alike wherever it stands.
//! Method: all short dimensions, so that every tail occurs, some long ones, few and odd numbers of
//! rows, at addresses that are not aligned to anything.

use super::*;
use half::f16;

type Fast = fn(Kernel, &Numbers, &[u8], &mut [f32]);
type Plain = fn(&Numbers, &[u8], &mut [f32]);

const FLOATS: [(usize, Fast, Plain); 6] = [
    (4, Kernel::dot_f32, plain::floats::<4, false>),
    (4, Kernel::l2_f32, plain::floats::<4, true>),
    (2, Kernel::dot_f16, plain::floats::<2, false>),
    (2, Kernel::l2_f16, plain::floats::<2, true>),
    (1, Kernel::dot_u8, plain::floats::<1, false>),
    (1, Kernel::l2_u8, plain::floats::<1, true>),
];

fn dims() -> impl Iterator<Item = usize> {
    (1..=130).chain([384, 768, 4096])
}

/// A stream of numbers that is the same on every run.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 32) as u32
    }

    /// An integer in -8..=7, whose squares in any number allowed here add up exactly in `f32`.
    fn whole(&mut self) -> f32 {
        (self.bits() >> 28) as f32 - 8.0
    }

    /// A number in -1..1 that is exact in `f16`.
    fn fraction(&mut self) -> f32 {
        f16::from_f32(self.bits() as i32 as f32 / 2.2e9).to_f32()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.bits() >> 24) as u8).collect()
    }
}

/// The numbers as little-endian rows of `width` bytes each, behind one byte that spoils alignment.
fn unaligned(numbers: impl Iterator<Item = f32>, width: usize) -> Vec<u8> {
    let mut bytes = vec![0];
    for number in numbers {
        match width {
            4 => bytes.extend(number.to_le_bytes()),
            1 => bytes.push(number.abs() as u8),
            _ => bytes.extend(f16::from_f32(number).to_le_bytes()),
        }
    }
    bytes
}

#[test]
fn sums_of_whole_numbers_are_exact() {
    let mut random = Random(1);
    for dim in dims() {
        let query: Vec<f32> = (0..dim).map(|_| random.whole()).collect();
        let query = Numbers::new(&query);
        for (width, kernel_fn, plain_fn) in FLOATS {
            let rows = unaligned((0..9 * dim).map(|_| random.whole()), width);
            for count in 1..=9 {
                let rows = &rows[1..][..count * dim * width];
                let mut expected = vec![f32::NAN; count];
                plain_fn(&query, rows, &mut expected);
                for kernel in Kernel::here() {
                    let mut scores = vec![f32::NAN; count];
                    kernel_fn(kernel, &query, rows, &mut scores);
                    assert_eq!(scores, expected, "{kernel:?}, dim {dim}, width {width}");
                }
            }
        }
    }
}

#[test]
fn sums_of_fractions_are_close() {
    let mut random = Random(2);
    for dim in dims() {
        let query: Vec<f32> = (0..dim).map(|_| random.fraction()).collect();
        let query = Numbers::new(&query);
        for (width, kernel_fn, plain_fn) in FLOATS {
            let rows = unaligned((0..9 * dim).map(|_| random.fraction()), width);
            let (mut expected, mut scores) = ([f32::NAN; 9], [f32::NAN; 9]);
            plain_fn(&query, &rows[1..], &mut expected);
            for kernel in Kernel::here() {
                kernel_fn(kernel, &query, &rows[1..], &mut scores);
                for (score, expected) in scores.iter().zip(&expected) {
                    // No term is larger than 4; a third of that is what they come to.
                    let error_max = 1e-5 * expected.abs().max(dim as f32 / 3.0);
                    let error = (score - expected).abs();
                    assert!(error <= error_max, "{kernel:?}, dim {dim}, width {width}: {error}");
                }
            }
        }
    }
}

/// Goal: rows of bytes are compared by their numbers, 0 to 255, all of them.
#[test]
fn bytes_of_all_values_are_close() {
    let mut random = Random(5);
    for dim in dims() {
        let query: Vec<f32> = (0..dim).map(|_| 300.0 * random.fraction()).collect();
        let size: f64 = query.iter().map(|x| f64::from(x.abs()) * 255.0 + 255.0 * 255.0).sum();
        let query = Numbers::new(&query);
        for (_, kernel_fn, plain_fn) in &FLOATS[4..] {
            let rows = random.bytes(9 * dim + 1);
            let (mut expected, mut scores) = ([f32::NAN; 9], [f32::NAN; 9]);
            plain_fn(&query, &rows[1..], &mut expected);
            for kernel in Kernel::here() {
                kernel_fn(kernel, &query, &rows[1..], &mut scores);
                for (score, expected) in scores.iter().zip(&expected) {
                    let error = f64::from(score - expected).abs();
                    assert!(error <= 1e-6 * size, "{kernel:?}, dim {dim}: {error}");
                }
            }
        }
    }
}

/// Goal: what a scan says of a row is what a look at the row alone says, to the last bit.
#[test]
fn a_row_scores_alike_wherever_it_stands() {
    let mut random = Random(3);
    for dim in dims() {
        let query: Vec<f32> = (0..dim).map(|_| random.fraction()).collect();
        let query = Numbers::new(&query);
        for (width, kernel_fn, _) in FLOATS {
            let rows = unaligned((0..9 * dim).map(|_| random.fraction()), width);
            for kernel in Kernel::here() {
                let mut all = [f32::NAN; 9];
                kernel_fn(kernel, &query, &rows[1..], &mut all);
                for (first, last) in (0..9).flat_map(|a| (a..9).map(move |b| (a, b))) {
                    // Copied, so that it stands at another address too.
                    let row_bytes = dim * width;
                    let some = rows[1..][first * row_bytes..(last + 1) * row_bytes].to_vec();
                    let mut scores = vec![f32::NAN; last + 1 - first];
                    kernel_fn(kernel, &query, &some, &mut scores);
                    let bits =
                        |scores: &[f32]| scores.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&scores), bits(&all[first..=last]), "{kernel:?}, dim {dim}");
                }
            }
        }
    }
}

#[test]
fn integers_are_exact() {
    let mut random = Random(4);
    for dim in dims() {
        let mut codes = || random.bytes(dim).iter().map(|&c| c as i8).collect::<Vec<_>>();
        let query = Codes::new(&codes(), &codes());
        let rows = random.bytes(9 * dim + 1);
        for count in 1..=9 {
            integers_agree(&query, &rows[1..][..count * dim]);
        }
    }
    // The ends of the range, in the longest vector: the largest sums there can be.
    for q in [-128, -127, 127] {
        let query = Codes::new(&[q; 4096], &[q; 4096]);
        for x in [-128i8, -127, 127] {
            integers_agree(&query, &[x as u8; 4096]);
        }
    }
}

fn integers_agree(query: &Codes, rows: &[u8]) {
    let count = rows.len() / query.dim;
    let (mut dots, mut all) = (vec![Sums::default(); count], vec![Sums::default(); count]);
    plain::i8_sums::<false>(query, rows, &mut dots);
    plain::i8_sums::<true>(query, rows, &mut all);
    for kernel in Kernel::here() {
        let mut sums = vec![Sums { hi: 1, lo: 1, squares: 1 }; count];
        kernel.dot_i8(query, rows, &mut sums);
        assert_eq!(sums, dots, "{kernel:?}, dim {}", query.dim);
        kernel.l2_i8(query, rows, &mut sums);
        assert_eq!(sums, all, "{kernel:?}, dim {}", query.dim);
    }
}

#[test]
fn differing_bits_are_counted() {
    let mut random = Random(5);
    for row_bytes in (1..=130).chain([512]) {
        let query = random.bytes(row_bytes);
        let rows = random.bytes(9 * row_bytes + 1);
        for count in 1..=9 {
            let rows = &rows[1..][..count * row_bytes];
            let mut expected = vec![f32::NAN; count];
            plain::hamming(&query, rows, &mut expected);
            for kernel in Kernel::here() {
                let mut scores = vec![f32::NAN; count];
                kernel.hamming(&query, rows, &mut scores);
                assert_eq!(scores, expected, "{kernel:?}, {row_bytes} bytes");
            }
        }
    }
}

#[test]
#[should_panic(expected = "2 rows of 12 bytes are not 23 bytes")]
fn rows_that_do_not_fit_are_a_bug() {
    Kernel::best().dot_f32(&Numbers::new(&[1.0; 3]), &[0; 23], &mut [0.0; 2]);
}
