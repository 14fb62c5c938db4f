//! A retriever under a name of the caller's.

use crate::{
    error::Result,
    recommend::{Allowed, Context, Found, Retrieve},
};

/// Another retriever under this name: for two that would have the same, which scorers and selectors could
/// not tell apart.
///
/// ```
/// use bowerbird::{days, recommend::*};
/// let recommender = Recommender::new()
///     .retrieve(Named::new("this week", Popular::new(["view"], days(7), 50)))
///     .retrieve(Named::new("of all time", Popular::ever(["view"], 50)))
///     .score(Fused::new([("this week", 0.7), ("of all time", 0.3)]));
/// ```
pub struct Named {
    name: String,
    by: Box<dyn Retrieve>,
}

impl Named {
    /// What finds, and what it is called.
    pub fn new(name: &str, by: impl Retrieve + 'static) -> Named {
        Named { name: name.into(), by: Box::new(by) }
    }
}

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Named({}, {})", self.name, self.by.name())
    }
}

impl Retrieve for Named {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn retrieve(&self, cx: &Context<'_>, allowed: &Allowed, found: &mut Found<'_>) -> Result<()> {
        self.by.retrieve(cx, allowed, found)
    }
}
