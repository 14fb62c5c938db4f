//! Rows: a plain table of examples.

use crate::{
    error::{Error, Result},
    limits::NAME_BYTES_MAX,
};

/// Examples to learn from: numbers in named columns, a label and a weight for each row.
///
/// Values lie row by row; NaN is a value that is missing. A label is 1 for yes, 0 for no, or the share of
/// those asked who said yes. Rows of one group are never divided between learning and judging: give those
/// of one user, or one query, the same number.
///
/// ```
/// use bowerbird::model::classify::Rows;
/// # fn main() -> bowerbird::Result<()> {
/// let rows = Rows::new(["amount", "night"], vec![12.5, 0.0, 900.0, f32::NAN], vec![0.0, 1.0])?;
/// assert_eq!((rows.len(), rows.width()), (2, 2));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    names: Vec<String>,
    values: Vec<f32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
    groups: Option<Vec<u64>>,
}

/// Most columns: their products must fit memory.
pub(super) const COLUMNS_MAX: usize = 1024;
/// Most rows.
const ROWS_MAX: usize = u32::MAX as usize;

impl Rows {
    /// Rows that all weigh the same.
    ///
    /// # Errors
    /// `Invalid` for names that are empty, too long, too many or twice the same, for columns of different
    /// lengths, a value that is infinite, or a label outside 0..=1.
    pub fn new<N: Into<String>>(
        names: impl IntoIterator<Item = N>,
        values: Vec<f32>,
        labels: Vec<f32>,
    ) -> Result<Rows> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        check_names(&names)?;
        let refuse = |why: String| Err(Error::invalid("rows", why));
        if labels.len() > ROWS_MAX || labels.len().checked_mul(names.len()) != Some(values.len()) {
            let (values, labels, names) = (values.len(), labels.len(), names.len());
            return refuse(format!("have {values} values for {labels} labels of {names} columns"));
        }
        if let Some(at) = values.iter().position(|value| value.is_infinite()) {
            let (row, name) = (at / names.len(), &names[at % names.len()]);
            return refuse(format!("have an infinite {name:?} in row {row}; NaN is for missing"));
        }
        if let Some(at) = labels.iter().position(|label| !(0.0..=1.0).contains(label)) {
            return refuse(format!("have the label {} in row {at}; 0 to 1 is one", labels[at]));
        }
        let weights = vec![1.0; labels.len()];
        Ok(Rows { names, values, labels, weights, groups: None })
    }

    /// With a weight for each row.
    ///
    /// # Errors
    /// `Invalid` for another number of weights, or one that is negative or not finite.
    pub fn weighted(mut self, weights: Vec<f32>) -> Result<Rows> {
        let wrong = |weight: &f32| !weight.is_finite() || *weight < 0.0;
        if weights.len() != self.len() {
            let why = format!("are {} for {} rows", weights.len(), self.len());
            return Err(Error::invalid("weights", why));
        }
        if let Some(at) = weights.iter().position(wrong) {
            let why = format!("of row {at} is {}; it must be finite, 0 or more", weights[at]);
            return Err(Error::invalid("weight", why));
        }
        self.weights = weights;
        Ok(self)
    }

    /// With a group for each row.
    ///
    /// # Errors
    /// `Invalid` for another number of groups.
    pub fn grouped(mut self, groups: Vec<u64>) -> Result<Rows> {
        if groups.len() != self.len() {
            let why = format!("are {} for {} rows", groups.len(), self.len());
            return Err(Error::invalid("groups", why));
        }
        self.groups = Some(groups);
        Ok(self)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The labels.
    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    /// The weights.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The groups, if there are any.
    pub fn groups(&self) -> Option<&[u64]> {
        self.groups.as_deref()
    }

    /// The values of a row, if there is one of this number.
    pub fn row(&self, at: usize) -> Option<&[f32]> {
        let width = self.width();
        self.values.get(at.checked_mul(width)?..)?.get(..width)
    }

    /// Some of the rows, in this order; numbers of no row are passed over.
    pub fn some(&self, rows: impl IntoIterator<Item = usize>) -> Rows {
        let rows: Vec<usize> = rows.into_iter().filter(|at| *at < self.len()).collect();
        let of = |column: &[f32]| rows.iter().map(|at| column[*at]).collect();
        let groups = self.groups.as_ref();
        Rows {
            names: self.names.clone(),
            values: rows.iter().filter_map(|at| self.row(*at)).flatten().copied().collect(),
            labels: of(&self.labels),
            weights: of(&self.weights),
            groups: groups.map(|groups| rows.iter().map(|at| groups[*at]).collect()),
        }
    }

    /// Refuses what there is nothing to learn from: fewer than `least` rows of the rarer label.
    pub(super) fn check_both(&self, least: usize) -> Result<()> {
        let counted = self.labels.iter().zip(&self.weights).filter(|(_, weight)| **weight > 0.0);
        let (yes, no): (Vec<_>, Vec<_>) = counted.partition(|(label, _)| **label >= 0.5);
        let (yes, no) = (yes.len(), no.len());
        if yes.min(no) < least {
            let why = format!(
                "have {yes} labels for yes and {no} for no; at least {least} of each are needed. \
                 Label more, of the rarer kind above all."
            );
            return Err(Error::invalid("rows to learn from", why));
        }
        Ok(())
    }
}

/// Names of columns: some, short, and each once.
pub(super) fn check_names(names: &[String]) -> Result<()> {
    let refuse = |why: String| Err(Error::invalid("names of columns", why));
    if names.is_empty() || names.len() > COLUMNS_MAX {
        return refuse(format!("are {}; 1 to {COLUMNS_MAX} can be learned from", names.len()));
    }
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return refuse(format!("have {:?} twice", twice[0]));
    }
    // Features of the engine are called by what they are made of: two names and a few words.
    match names.iter().find(|name| name.is_empty() || name.len() > COLUMN_BYTES_MAX) {
        Some(name) => refuse(format!(
            "have one of {} bytes; 1 to {COLUMN_BYTES_MAX} it must have",
            name.len()
        )),
        None => Ok(()),
    }
}

/// Longest name of a column.
const COLUMN_BYTES_MAX: usize = 8 * NAME_BYTES_MAX;
