//! Defaults of whole structures, as the schema wants them beside those of fields.

macro_rules! defaults {
    ($($type:ident { $($field:ident: $value:expr),+ $(,)? })+) => {
        $(impl Default for $type {
            fn default() -> Self {
                Self { $($field: $value),+ }
            }
        })+
    };
}

pub(crate) use defaults;
