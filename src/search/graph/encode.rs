//! The row of a node, written: ids, codes and factors of its neighbours.

use super::{
    beam::own_numbers,
    grow::{Grow, Hand},
};
use crate::vector::{
    hop::{DEGREE, Layout, NOBODY},
    kernel::{
        Kernel,
        hop::{nibble, touch},
    },
};

impl Grow {
    /// All of a row but its own part.
    pub(super) fn encode(&self, hand: &mut Hand, c: &[u8], links: &[u32], row: &mut [u8]) {
        let Layout { padded, coded, bits, own, ids, factors, .. } = self.measure.layout;
        links.iter().for_each(|to| touch(self.own(*to)));
        let kernel = Kernel::best();
        let c_scale = own_numbers(c).1;
        hand.words.resize(padded / 16, [0; 2]);
        hand.slots.clear();
        hand.slots.resize(coded * bits / 16, [0; DEGREE]);
        for n in 0..DEGREE {
            let Some(&to) = links.get(n) else {
                row[ids - own + 4 * n..][..4].copy_from_slice(&NOBODY.to_le_bytes());
                let infinite = half::f16::INFINITY.to_le_bytes();
                row[factors - own + 2 * n..][..2].copy_from_slice(&infinite);
                continue;
            };
            row[ids - own + 4 * n..][..4].copy_from_slice(&to.to_le_bytes());
            let x = self.own(to);
            let x_scale = own_numbers(x).1;
            let codes = |from: usize, to: usize| ((&c[from..to], c_scale), (&x[from..to], x_scale));
            let (seen, rest) = hand.words.split_at_mut(coded / 16);
            let ((c1, x1), (c2, x2)) = (codes(0, coded), codes(coded, padded));
            let beyond = kernel.residual(c2, x2, None, rest).squares;
            let mut found = kernel.residual(c1, x1, None, seen);
            if bits == 2 {
                let step = (found.squares / coded as f32).sqrt();
                found = kernel.residual(c1, x1, Some(step), seen);
            }
            found.squares += beyond;
            lay(seen, bits, n, &mut hand.slots);
            let f = if found.sum > 0.0 { found.squares / found.sum } else { 0.0 };
            let pair = match self.measure.l2 {
                true => [found.squares + 2.0 * f * found.along, -2.0 * f],
                false => [0.0, -f],
            };
            for (which, factor) in pair.iter().enumerate() {
                let scaled = (factor / self.measure.scales[which]).clamp(-65504.0, 65504.0);
                let at = factors - own + 2 * (which * DEGREE + n);
                row[at..][..2].copy_from_slice(&half::f16::from_f32(scaled).to_le_bytes());
            }
        }
        kernel.pack(&hand.slots, &mut row[..ids - own]);
    }
}

/// Takes the words of one neighbour apart into those of which a nibble is four bits: one per sixteen
/// numbers, or two.
fn lay(seen: &[[u16; 2]], bits: usize, n: usize, slots: &mut [[u16; DEGREE]]) {
    let (byte, shift) = nibble(n);
    let slot = byte + 4 * shift as usize;
    if bits == 1 {
        for ([signs, _], slots) in seen.iter().zip(slots) {
            slots[slot] = *signs;
        }
        return;
    }
    for ([high, low], pair) in seen.iter().zip(slots.as_chunks_mut::<2>().0) {
        let both = spread(*low) | spread(*high) << 1;
        (pair[0][slot], pair[1][slot]) = (both as u16, (both >> 16) as u16);
    }
}

/// Sixteen bits with a zero after each.
fn spread(bits: u16) -> u32 {
    let mut x = u32::from(bits);
    x = (x | x << 8) & 0x00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333;
    (x | x << 1) & 0x5555_5555
}
