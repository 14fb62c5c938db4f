//! Files of vectors, of interactions and of titles.

use super::Outcome;
use std::{collections::BTreeMap, fs, path::Path};

/// The rows of a NumPy file of `float16` or `float32`, by item: row 0 is item 0.
pub(crate) fn vectors(path: &Path) -> Outcome<Vec<Vec<f32>>> {
    let bytes = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let wrong = || format!("{}: not a .npy of float16 or float32 in rows", path.display());
    let header = bytes.get(..10).filter(|b| b.starts_with(b"\x93NUMPY")).ok_or_else(wrong)?;
    let begin = 10 + usize::from(u16::from_le_bytes([header[8], header[9]]));
    let text = String::from_utf8_lossy(bytes.get(10..begin).ok_or_else(wrong)?).into_owned();
    let after = |name: &str| text.split(name).nth(1).unwrap_or("").to_owned();
    let shape: Vec<usize> = after("'shape': (")
        .split(')')
        .next()
        .unwrap_or("")
        .split(',')
        .filter_map(|number| number.trim().parse().ok())
        .collect();
    let [rows, dim] = shape[..] else { return Err(wrong().into()) };
    if after("'fortran_order': ").starts_with("True") || dim == 0 {
        return Err(wrong().into());
    }
    let kind = after("'descr': '");
    let data = &bytes[begin..];
    let numbers: Vec<f32> = match kind.get(..3) {
        Some("<f2") => data.as_chunks::<2>().0.iter().map(|b| half(*b)).collect(),
        Some("<f4") => data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        _ => return Err(wrong().into()),
    };
    if numbers.len() != rows * dim {
        return Err(wrong().into());
    }
    Ok(numbers.chunks_exact(dim).map(<[f32]>::to_vec).collect())
}

/// Numbers of words of items as vectors, by item: every word has eight places, drawn by its number, and
/// counts the more the rarer it is. Words that share a place are told apart by their other ones.
pub(crate) fn attributes(path: &Path) -> Outcome<Vec<Vec<f32>>> {
    const DIM: u64 = 512;
    let of: BTreeMap<usize, Vec<u64>> = serde_json::from_str(&fs::read_to_string(path)?)
        .map_err(|e| format!("{}: {e}", path.display()))?;
    let mut counts: BTreeMap<u64, f32> = BTreeMap::new();
    of.values().flatten().for_each(|word| *counts.entry(*word).or_default() += 1.0);
    let items = of.keys().next_back().map_or(0, |last| last + 1);
    if items > 1 << 24 {
        return Err(format!("{}: items are numbered too high", path.display()).into());
    }
    let mut rows = vec![vec![0f32; DIM as usize]; items];
    for (item, words) in &of {
        for word in words {
            let (mut state, weight) = (*word, (of.len() as f32 / counts[word]).ln());
            for _ in 0..8 {
                state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                let sign = if mixed >> 63 == 0 { 1.0 } else { -1.0 };
                rows[*item][(mixed >> 20 & (DIM - 1)) as usize] += sign * weight;
            }
        }
    }
    Ok(rows)
}

/// A number of half precision.
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let (sign, exponent, fraction) = (bits >> 15, bits >> 10 & 31, bits & 1023);
    let size = match exponent {
        0 => f32::from(fraction) * 2f32.powi(-24),
        31 if fraction == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + f32::from(fraction) / 1024.0) * 2f32.powi(i32::from(exponent) - 15),
    };
    if sign == 1 { -size } else { size }
}

/// `user item item ...`, or JSON `{"user": [item, ...]}` with items counted from 0, which are moved
/// by `first`.
pub(crate) fn interactions(path: &Path, first: u64) -> Outcome<Vec<(u64, Vec<u64>)>> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if text.trim_start().starts_with('{') {
        let lists: BTreeMap<u64, Vec<u64>> = serde_json::from_str(&text)?;
        let moved = |list: Vec<u64>| list.into_iter().map(|item| item + first).collect();
        return Ok(lists.into_iter().map(|(user, list)| (user, moved(list))).collect());
    }
    let mut lists = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let numbers: Result<Vec<u64>, _> = line.split_whitespace().map(str::parse).collect();
        let numbers = numbers.map_err(|e| format!("{}:{}: {e}", path.display(), at + 1))?;
        if let Some((user, items)) = numbers.split_first() {
            lists.push((*user, items.to_vec()));
        }
    }
    match lists.is_empty() {
        true => Err(format!("{}: has no interactions", path.display()).into()),
        false => Ok(lists),
    }
}

/// Titles by item.
pub(crate) fn titles(path: &Path) -> Outcome<BTreeMap<u64, String>> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split('\t').collect();
    let place = |name: &str| header.iter().position(|column| *column == name);
    let (Some(item), Some(title)) = (place("item"), place("title")) else {
        return Err(format!("{}: no columns `item` and `title`", path.display()).into());
    };
    let mut titles = BTreeMap::new();
    for line in lines {
        let cells: Vec<&str> = line.split('\t').collect();
        if let (Some(Ok(item)), Some(title)) =
            (cells.get(item).map(|c| c.parse()), cells.get(title))
        {
            titles.insert(item, (*title).to_owned());
        }
    }
    Ok(titles)
}
