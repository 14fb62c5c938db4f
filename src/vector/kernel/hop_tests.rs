//! Goal: every kernel of a hop does what its plain twin does, on any bytes and any finite query.
//! Method: all lengths up to 1024, and the longest; random codes, those at the ends of their range,
//! and those that no encoder writes; queries of zeros, of the largest numbers and of the least.

use super::{
    Kernel,
    hop::{
        Residual, Terms, estimates_plain, levels_plain, own_plain, pack_plain, residual_plain,
        signs_plain, steps_plain, tables_plain, turn_plain,
    },
};
use crate::vector::{
    hop::{DEGREE, Hops, Layout, TABLES_MAX},
    rotate::splitmix,
};

/// Every padded length up to 1024, and the longest that graphs have.
fn lengths() -> impl Iterator<Item = usize> {
    (16..=1024).step_by(16).chain([4096])
}

fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    (0..count).map(|_| (splitmix(&mut state) >> 56) as u8).collect()
}

/// Numbers from -1 to 1.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed;
    (0..count).map(|_| (splitmix(&mut state) as i64 as f64 / 9.3e18) as f32).collect()
}

/// Queries of a length: of chance, and the worst there are.
fn queries(len: usize) -> Vec<Vec<f32>> {
    let scaled = |by: f32| numbers(len as u64, len).iter().map(|x| x * by).collect::<Vec<f32>>();
    let mut one = vec![0.0; len];
    one[len / 2] = -3.0;
    let (tiny, least) = (f32::MIN_POSITIVE / 64.0, f32::from_bits(1));
    let signs = scaled(1.0).iter().map(|x| x.signum() * 1e15).collect();
    vec![
        scaled(1.0),
        scaled(1e15),
        signs,
        scaled(1e-20),
        scaled(tiny),
        scaled(least),
        vec![0.0; len],
        vec![1.0; len],
        vec![-1e15; len],
        one,
    ]
}

fn layouts() -> impl Iterator<Item = Layout> {
    let all = lengths().flat_map(|len| [(len, 1), (len, 2)]);
    let fit = all.filter(|(len, bits)| len * bits / 4 <= TABLES_MAX);
    fit.map(|(len, bits)| Layout::new(len, len, bits)).chain([Layout::new(96, 48, 1)])
}

/// Bits, with all that are not numbers alike.
fn bits(numbers: &[f32]) -> Vec<u32> {
    let bits = |x: &f32| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() };
    numbers.iter().map(bits).collect()
}

#[test]
fn sums_over_signs_are_exact() {
    for len in lengths() {
        let whole = len.next_multiple_of(64);
        let ends = [vec![127; whole], vec![-127; whole]];
        let random = bytes(len as u64, whole).iter().map(|b| b.cast_signed().max(-127)).collect();
        for steps in ends.into_iter().chain([random]) {
            // Some codes end to end, with a little between them.
            let (size, stride) = (len / 8, len / 8 + 3);
            let random = bytes(len as u64 + 1, 7 * stride);
            for codes in [random, vec![0; stride], vec![255; 6 * stride]] {
                let (mut plain, count) = (Vec::new(), codes.len() / stride);
                for code in codes.chunks(stride) {
                    let mut one = [0];
                    signs_plain(&steps, code, (stride, size), &mut one);
                    plain.extend(one);
                }
                for kernel in Kernel::here() {
                    let mut found = vec![7; count];
                    kernel.signs(&steps, &codes, (stride, size), &mut found);
                    assert_eq!(found, plain, "{kernel:?} {len}");
                }
            }
        }
    }
}

#[test]
fn own_distances_are_exact() {
    for len in lengths() {
        let layout = Layout::new(len, len, 1);
        let mut hops = Hops::default();
        for query in queries(len) {
            hops.prepare(&query, &layout);
            for own in [bytes(1, layout.own), vec![0x80; layout.own], vec![0x7f; layout.own]] {
                owns_agree(&hops, &own);
            }
        }
        for code in [bytes(2, layout.own), vec![0x80; layout.own]] {
            hops.prepare_code(&code, (1.0, 1.0), len);
            owns_agree(&hops, &bytes(3, layout.own));
            owns_agree(&hops, &code);
        }
    }
}

fn owns_agree(hops: &Hops, own: &[u8]) {
    let expected = own_plain(hops.steps(), own);
    for kernel in Kernel::here() {
        assert_eq!(kernel.own(hops, own), expected, "{kernel:?}, {} bytes", own.len());
    }
}

/// Goal: a query never comes to more steps than its products with codes have room for.
#[test]
fn own_distances_of_codes_do_not_wrap() {
    for len in lengths() {
        let layout = Layout::new(len, len, 1);
        let mut hops = Hops::default();
        for query in queries(len) {
            hops.prepare(&query, &layout);
            let most: i64 = hops.steps().iter().map(|step| 127 * i64::from(*step).abs()).sum();
            assert!(most <= i64::from(i32::MAX), "{len}: {most}");
        }
    }
}

#[test]
fn estimates_are_the_same_to_the_last_bit() {
    for layout in layouts() {
        let mut hops = Hops::default();
        for (seed, query) in queries(layout.padded).into_iter().enumerate() {
            hops.prepare(&query, &layout);
            let scale = hops.norm.max(f32::MIN_POSITIVE);
            let mut rows = vec![bytes(seed as u64, layout.stride), vec![0xff; layout.stride]];
            rows.push(rows[0].clone());
            // Factors as a row has them whose numbers are of the size of the query.
            for (n, factor) in
                rows[2][layout.factors..].as_chunks_mut::<2>().0.iter_mut().enumerate()
            {
                *factor = half::f16::from_f32(n as f32 - 32.0).to_le_bytes();
            }
            for row in &rows {
                for bound in [scale, 0.0, f32::INFINITY, f32::NAN] {
                    let terms = Terms { base: scale, scales: [scale / 16.0, scale.sqrt()], bound };
                    estimates_agree(&hops, &layout, row, terms);
                }
            }
        }
    }
}

fn estimates_agree(hops: &Hops, layout: &Layout, row: &[u8], terms: Terms) {
    let codes = &row[layout.own..layout.ids];
    let factors = row[layout.factors..].first_chunk::<128>().unwrap();
    let mut expected = [f32::NAN; DEGREE];
    let mask = estimates_plain(hops, codes, factors, terms, &mut expected);
    for kernel in Kernel::here() {
        let mut found = [f32::NAN; DEGREE];
        let below = kernel.estimates(hops, layout, row, terms, &mut found);
        assert_eq!(bits(&found), bits(&expected), "{kernel:?}, {layout:?}, {terms:?}");
        assert_eq!(below, mask, "{kernel:?}, {layout:?}, {terms:?}");
        let own = |n: usize| u32::from(found[n] < terms.bound) << n;
        assert_eq!(below, (0..DEGREE).map(own).sum::<u32>(), "{kernel:?}, {layout:?}, {terms:?}");
    }
}

/// Goal: where a node has no neighbour, there is none, whatever the query.
#[test]
fn nobody_is_never_near() {
    for layout in layouts() {
        let mut hops = Hops::default();
        let mut row = bytes(7, layout.stride);
        row[layout.factors..].fill(0);
        for factor in row[layout.factors..].as_chunks_mut::<2>().0.iter_mut().take(DEGREE) {
            *factor = half::f16::INFINITY.to_le_bytes();
        }
        for query in queries(layout.padded) {
            hops.prepare(&query, &layout);
            for kernel in Kernel::here() {
                let mut found = [0.0; DEGREE];
                for size in [1.0, hops.norm.max(f32::MIN_POSITIVE)] {
                    let scales = [size / 16.0, (size / layout.padded as f32).sqrt() / 16.0];
                    let terms = Terms { base: hops.norm, scales, bound: f32::INFINITY };
                    let mask = kernel.estimates(&hops, &layout, &row, terms, &mut found);
                    assert_eq!((mask, found), (0, [f32::INFINITY; DEGREE]), "{kernel:?}");
                }
            }
        }
    }
}

#[test]
fn tables_and_steps_are_exact() {
    for len in lengths() {
        for query in queries(len) {
            let largest = query.iter().fold(0f32, |max, x| max.max(x.abs()));
            for kernel in Kernel::here() {
                let per_unit = (255.0 / (4.0 * largest)).min(f32::MAX);
                let (mut found, mut expected) = (vec![[9; 16]; len / 4], vec![[8; 16]; len / 4]);
                kernel.tables(&query, per_unit, &mut found);
                tables_plain(&query, per_unit, &mut expected);
                assert_eq!(found, expected, "{kernel:?}, {len}");

                let per_unit = (255.0 / (12.0 * largest)).min(f32::MAX / 3.0);
                let (mut found, mut expected) = (vec![[9; 16]; len / 2], vec![[8; 16]; len / 2]);
                kernel.levels(&query, per_unit, &mut found);
                levels_plain(&query, per_unit, &mut expected);
                assert_eq!(found, expected, "{kernel:?}, {len}");

                let per_step = (1000.0 / largest).min(f32::MAX);
                let (mut found, mut expected) = (vec![9; len + 16], vec![9; len + 16]);
                let square = kernel.steps(&query, per_step, &mut found);
                let near = steps_plain(&query, per_step, &mut expected);
                assert_eq!(found, expected, "{kernel:?}, {len}");
                assert!(
                    (square - near).abs() <= 1e-5 * near,
                    "{kernel:?}, {len}: {square}, {near}"
                );
            }
        }
    }
}

#[test]
fn turns_are_the_same_to_the_last_bit() {
    for len in lengths() {
        let window = 1usize << len.ilog2();
        let signs: Vec<f32> = numbers(5, len).iter().map(|x| 0.3f32.copysign(*x)).collect();
        for window in [0..window, len - window..len, 0..16, 0..1] {
            let mut expected = numbers(6, len);
            turn_plain(&signs, &mut expected, window.clone());
            for kernel in Kernel::here() {
                let mut found = numbers(6, len);
                kernel.turn(&signs, &mut found, window.clone());
                assert_eq!(bits(&found), bits(&expected), "{kernel:?}, {len}, {window:?}");
            }
        }
    }
}

#[test]
fn nibbles_are_packed_alike() {
    for len in lengths() {
        let of = |four: &[u8; 64]| {
            let words = four.as_chunks::<2>().0;
            std::array::from_fn(|at| u16::from_le_bytes(words[at]))
        };
        let slots: Vec<[u16; DEGREE]> =
            bytes(8, len / 16 * 64).as_chunks::<64>().0.iter().map(of).collect();
        let mut expected = vec![1; len / 16 * 64];
        pack_plain(&slots, &mut expected);
        for kernel in Kernel::here() {
            let mut found = vec![2; expected.len()];
            kernel.pack(&slots, &mut found);
            assert_eq!(found, expected, "{kernel:?}, {len}");
        }
    }
}

/// Goal: codes are the same to the last bit; sums agree but for the order of adding.
#[test]
fn differences_of_codes_are_the_same() {
    for len in lengths() {
        let random = [bytes(1, len), bytes(2, len)];
        let pairs = [
            (&random[0], &random[1]),
            (&random[0], &random[0]),
            (&vec![0x80; len], &vec![0x7f; len]),
        ];
        for (c, x) in pairs {
            for (c_scale, x_scale) in [(0.013, 0.017), (0.013, 0.013), (3e12, 1e-12), (0.0, 0.0)] {
                let size = 127.0 * f32::max(c_scale, x_scale);
                for step in [None, Some(size / 2.0), Some(0.0)] {
                    residuals_agree((c, c_scale), (x, x_scale), step);
                }
            }
        }
    }
}

fn residuals_agree(c: (&[u8], f32), x: (&[u8], f32), step: Option<f32>) {
    let words = c.0.len() / 16;
    let mut expected = vec![[1; 2]; words];
    let near = residual_plain(c, x, step, &mut expected);
    // No number of a difference is larger, and none counts more than three times.
    let size = 3.0 * 128.0 * (c.1 + x.1) * c.0.len() as f32;
    for kernel in Kernel::here() {
        let mut found = vec![[2; 2]; words];
        let Residual { sum, squares, along } = kernel.residual(c, x, step, &mut found);
        assert_eq!(found, expected, "{kernel:?}, {words} words, {step:?}");
        assert!((sum - near.sum).abs() <= 1e-5 * near.sum, "{kernel:?}, {sum}, {near:?}");
        let apart = (squares - near.squares).abs();
        assert!(apart <= 1e-5 * near.squares, "{kernel:?}, {squares}, {near:?}");
        assert!((along - near.along).abs() <= 1e-5 * size, "{kernel:?}, {along}, {near:?}");
    }
}
